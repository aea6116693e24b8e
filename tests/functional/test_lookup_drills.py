"""The drills of lookups, small, over the real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from keten.drills.france_travail import FranceTravail
from keten.drills.webex import Webex


def test_guessed_keys_and_ids(tmp_path: Path) -> None:
    board = Webex(lambda _what: None, people=4000, folder=tmp_path).run()
    assert [line.attack for line in board.lines if not line.held] == []
    assert len(board.lines) == 6


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_stolen_logins(tmp_path: Path) -> None:
    board = FranceTravail(lambda _what: None, people=20_000, folder=tmp_path).run()
    assert [line.attack for line in board.lines if not line.held] == []
    (one,) = [line for line in board.lines if line.attack.startswith("one stolen login")]
    assert one.figures["records"] <= 300
    assert one.figures["requests"] > one.figures["records"], "it was refused something"
