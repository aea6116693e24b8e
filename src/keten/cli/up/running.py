"""What `keten up` leaves for other commands to find while it runs: addresses and process ids, in the run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keten.cli.locks import is_up
from keten.core.files import Files
from keten.core.settings import Paths


def state_file(paths: Paths) -> Path:
    """Where the ready line is kept."""
    return paths.run / "up.json"


def pid_file(paths: Paths, name: str) -> Path:
    """Where a process's id is kept."""
    return paths.run / f"{name}.pid"


def write_state(paths: Paths, state: dict[str, Any]) -> None:
    """Keep the ready line and the process ids."""
    Files().write(state_file(paths), json.dumps(state).encode())


def running(paths: Paths) -> dict[str, Any] | None:
    """What `keten up` said when it was ready; None when it does not run."""
    if not state_file(paths).exists() or not is_up(paths):
        return None
    try:
        found = json.loads(state_file(paths).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # it is just starting or stopping
    return found if isinstance(found, dict) else None
