"""Both languages say every line, with the same figures."""

from __future__ import annotations

from string import Formatter

import pytest

from keten.drills.comparing import Compared
from keten.drills.scoreboard import Scoreboard
from keten.drills.words import COMPARED, LANGUAGES, LINES, STEPS, lasted, percent, shown, word


def names(text: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in Formatter().parse(text) if name}


def test_no_line_is_in_one_language_only() -> None:
    for code, said in LINES.items():
        assert set(said) == set(LANGUAGES)
        for english, dutch in zip(said["en"], said["nl"], strict=True):
            assert names(english) == names(dutch), code
            if code != "verify":
                assert english != dutch
    for code, texts in [*STEPS.items(), *COMPARED.items()]:
        assert set(texts) == set(LANGUAGES), code
        assert names(texts["en"]) == names(texts["nl"])


@pytest.mark.parametrize(
    ("value", "english", "dutch"),
    [
        (36_820_828, "36,820,828", "36.820.828"),
        (1234.56, "1,234.6", "1.234,6"),
        (None, "never", "nooit"),
        (True, "yes", "ja"),
        ({"slowed": 1200, "404": 1}, "slowed 1,200, 404 1", "slowed 1.200, 404 1"),
        ({}, "0", "0"),
        ("", "–", "–"),
    ],
)
def test_figures_as_people_write_them(value: object, english: str, dutch: str) -> None:
    assert (shown(value, "en"), shown(value, "nl")) == (english, dutch)


def test_shares_and_times() -> None:
    assert (percent(0.000228, "en"), percent(0.5, "nl")) == ("0.0228%", "50,00%")
    assert (lasted(2.5, "nl"), lasted(16 * 86_400, "nl"), lasted(16 * 86_400, "en")) == ("2,5 s", "16 dagen", "16 days")
    assert (word("okta", "nl"), word("ten", "nl")) == ("okta", "tien samen")


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_was_not_told_of_is_said_plainly(language: str) -> None:
    board = Scoreboard("webex", language=language, compared=[Compared("one", "okta", None, None, None, 0)])
    figures = {"misses": 67, "most": 17, "records": 7, "requests": 53, "refused": {"guessing": 40}, "seconds": 0.6}
    quiet = figures | {"before_alert": None, "alert_seconds": None, "siem_seconds": None, "refusal_seconds": 0.3}
    board.tell("guess", held=True, **quiet)
    board.tell("guess", held=True, **quiet | {"before_alert": 5, "alert_seconds": 0.4, "siem_seconds": 0.5})
    none, some = (line.seen for line in board.lines)
    assert ("no alert" if language == "en" else "geen melding") in none
    assert "5" in some
    assert "{" not in none + some
    assert board.lines[0].figures["records"] == 7
