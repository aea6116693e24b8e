"""`keten drill`: what the command makes of a scoreboard; the drills themselves are functional tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from keten.drills.fork import Fork
from keten.drills.scoreboard import Scoreboard
from tests.unit.cli.conftest import Keten


@pytest.mark.parametrize(("noticed", "code"), [(True, 0), (False, 1)])
def test_somebody_who_did_not_notice_is_the_exit_code(
    noticed: bool, code: int, keten: Keten, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Path | None] = []

    def made(_fork: Fork, _say: object, folder: Path) -> None:
        assert list(folder.iterdir()) == []

    def run(_fork: Fork, keep: Path | None = None) -> Scoreboard:
        kept.append(keep)
        board = Scoreboard("fork")
        board.add("the witness north", "notices", "evidence", held=True, seconds=1.0)
        board.add("the witness south", "notices", "nothing", held=noticed)
        return board

    monkeypatch.setattr(Fork, "__init__", made)
    monkeypatch.setattr(Fork, "run", run)
    done = keten("drill", "fork", "--evidence", str(tmp_path / "kept"), "--json")
    assert (done.code, done.json()["held"], done.json()["drill"]) == (code, noticed, "fork")
    shown = keten("drill", "fork")
    assert shown.code == code
    assert ("✗ the witness south" in shown.out) is not noticed
    assert "✓ the witness north" in shown.out
    assert kept == [tmp_path / "kept", None]


@pytest.mark.parametrize("words", [("nonsense",), ("contract-end", "--evidence", "x")])
def test_wrong_use(words: tuple[str, ...], keten: Keten) -> None:
    assert keten("drill", *words).code == 2
