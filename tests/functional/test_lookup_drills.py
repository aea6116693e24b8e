"""The drills of lookups, small, over the real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from keten.drills.france_travail import FranceTravail
from keten.drills.webex import Webex


@pytest.mark.slow
def test_guessed_keys_and_ids(tmp_path: Path) -> None:
    board = Webex(lambda _what: None, people=4000, folder=tmp_path, language="nl").run()
    assert [line.attack for line in board.lines if not line.held] == []
    assert len(board.lines) == 7
    drive = [one for one in board.compared if one.watcher == "panther-drive"]
    assert [one.before_alert is not None and one.before_alert <= 20 for one in drive] == [True] * 3
    out = [one.out for one in board.compared if one.watcher == "keten"]
    assert all(found is not None and found <= most for found, most in zip(out, (17, 59, 300), strict=True))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_stolen_logins(tmp_path: Path) -> None:
    drill = FranceTravail(lambda _what: None, people=20_000, folder=tmp_path, advisers=20, stolen=3)
    board = drill.run()
    assert [line.attack for line in board.lines if not line.held] == []
    one, fast, ten, patient = board.lines[:4]
    for line in (one, fast, ten):
        figures = line.figures
        assert figures["response"] in {"slow", "suspend"}, line.seen
        assert figures["siem_seconds"] >= figures["alert_seconds"] > 0
        assert figures["requests"] > figures["records"], "he was refused something"
    assert max(one.figures["records"], fast.figures["records"]) <= 300
    assert 0 < patient.figures["before_best"] < patient.figures["out"]
    assert {one.thief for one in board.compared} == {"one", "fast", "ten", "patient", "there-2024"}
