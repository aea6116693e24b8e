"""What doctor says of destinations."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from sqlalchemy import Engine

from keten.cli.doctor.exporting import destinations
from keten.cli.doctor.findings import Case
from keten.core.clock import SECOND, wall_us
from keten.core.destinations import Destination
from keten.core.settings import Export, Settings
from keten.watch.export.state import STATE, State

FILE: dict[str, Any] = {"name": "soc", "kind": "file", "url": "out/events.jsonl"}
SPLUNK: dict[str, Any] = {"name": "soc", "kind": "splunk", "url": "https://splunk.example", "token_file": "token"}


def found(home: Path, state: State | None = None, **destination: Any) -> dict[str, str]:
    """Code → severity."""
    made = (msgspec.convert(destination, Destination),) if destination else ()
    settings = Settings(home=str(home), export=Export("5m", made))
    if state is not None:
        folder = settings.paths.outbox / "soc"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STATE).write_bytes(msgspec.json.encode(state))
    case = Case(settings, cast("Engine", None), None, None)
    return {one.code: one.severity for one in destinations(case)}


def test_nobody_is_told_anything(tmp_path: Path) -> None:
    assert found(tmp_path) == {"no-export": "note"}


def test_all_is_well(tmp_path: Path) -> None:
    assert found(tmp_path, State(cursor=5, sent=5), **FILE) == {}


@pytest.mark.parametrize(("ago", "severity"), [(10, "weak"), (400, "wrong")])
def test_one_that_fails(ago: int, severity: str, tmp_path: Path) -> None:
    state = State(failing_since_us=wall_us() - ago * SECOND, error="refused")
    assert found(tmp_path, state, **FILE) == {"export-failing": severity}


def test_what_was_left_out_and_who_is_named(tmp_path: Path) -> None:
    assert found(tmp_path, State(left_out=3), **FILE, operators=True) == {
        "export-left-out": "weak",
        "export-operators": "note",
    }


def test_a_token_that_others_may_read_or_that_promises_nothing(tmp_path: Path) -> None:
    token = tmp_path / "token"
    assert found(tmp_path, **SPLUNK) == {"export-settings": "wrong"}
    token.write_text("secret")
    token.chmod(0o640)
    assert found(tmp_path, **SPLUNK) == {"export-settings": "wrong"}
    token.chmod(0o600)
    assert found(tmp_path, **SPLUNK) == {}
    assert found(tmp_path, **SPLUNK, ack=False) == {"export-no-ack": "weak"}
    assert found(tmp_path, **FILE, ca="nowhere.pem") == {}
    assert found(tmp_path, **{**SPLUNK, "ca": "nowhere.pem"}) == {"export-settings": "wrong"}
