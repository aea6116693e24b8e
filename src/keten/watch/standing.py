"""What the watch is at work with, as the worker says it for `keten doctor` and `keten status`: one small JSON file.

It can be made anew at any time, and is no evidence: whoever may write in the worker's folder may write anything there.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TypeVar

import msgspec

from keten.core.errors import Unavailable
from keten.core.files import Files
from keten.watch.flows.lines import Counts

MOST_NAMED = 20
MOST_BYTES = 1024 * 1024
T = TypeVar("T")


class NotUsed(msgspec.Struct, frozen=True):
    """A rule of the organisation's own that is not used. file, and why."""

    file: str
    reason: str


class Standing(msgspec.Struct, frozen=True):
    """As the worker began.

    started_us: when. detectors: Keten's own. rules: ids of those in use. refused: the first that are not; not_used: how
    many there are.
    """

    started_us: int = 0
    detectors: int = 0
    rules: tuple[str, ...] = ()
    refused: tuple[NotUsed, ...] = ()
    not_used: int = 0


class FlowStanding(msgspec.Struct, frozen=True):
    """files: that are followed. suppliers: whose places are known. counts: of lines so far. doubled: flows read twice.

    read_us: when something was read last; sent_us: when it was reported last; waiting: a report was not taken yet.
    trouble: file → why it can't be read.
    """

    files: int = 0
    suppliers: int = 0
    counts: Counts = msgspec.field(default_factory=Counts)
    doubled: int = 0
    read_us: int = 0
    sent_us: int = 0
    waiting: bool = False
    trouble: dict[str, str] = {}


def write(path: Path, said: Standing | FlowStanding) -> None:
    """Say it. A disk that does not take it must not keep the watch from looking."""
    with contextlib.suppress(Unavailable, OSError):
        Files().write(path, msgspec.json.encode(said), 0o644)


def standing(path: Path) -> Standing | None:
    """What was said; None where nothing was, or nothing that can be read."""
    return _read(path, Standing)


def flows(path: Path) -> FlowStanding | None:
    """As `standing`, of flow logs."""
    return _read(path, FlowStanding)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MOST_BYTES), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None
