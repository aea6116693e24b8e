"""`keten drill`: what the command makes of a scoreboard; the drills themselves are functional tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from keten.drills.comparing import Compared
from keten.drills.fork import Fork
from keten.drills.scoreboard import Scoreboard
from keten.drills.webex import Webex
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


@pytest.mark.parametrize(("language", "verdict"), [("en", "Everything held."), ("nl", "Alles hield stand.")])
def test_a_scoreboard_with_its_comparison_in_both_languages(
    language: str, verdict: str, keten: Keten, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def made(_drill: Webex, _say: object, *, language: str) -> None:
        asked.append(language)

    def run(_drill: Webex) -> Scoreboard:
        board = Scoreboard("webex", language=asked[-1])
        board.tell("verify", held=True, said="fine")
        board.compared += [
            Compared("ten", "panther-box", 653, None, 33.8, 2),
            Compared("patient", "keten", 2953, 5280, 16 * 86_400.0, None),
        ]
        return board

    monkeypatch.setattr(Webex, "__init__", made)
    monkeypatch.setattr(Webex, "run", run)
    shown = keten("drill", "webex", "--lang", language)
    assert shown.code == 0
    assert verdict in shown.out
    assert "panther-box" in shown.out
    assert ("16 dagen" in shown.out, "niet gestopt" in shown.out) == (language == "nl",) * 2
    found = keten("drill", "webex", "--lang", language, "--json").json()
    assert found["compared"][0] == {
        "thief": "ten", "watcher": "panther-box", "before_alert": 653, "out": None, "seconds": 33.8, "honest": 2,
    }  # fmt: skip
    assert asked == [language] * 2


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("contract-end", "--evidence", "x"),
        ("webex", "--full"),
        ("fork", "--lang", "nl"),
        ("webex", "--lang", "fr"),
    ],
)
def test_wrong_use(words: tuple[str, ...], keten: Keten) -> None:
    assert keten("drill", *words).code == 2
