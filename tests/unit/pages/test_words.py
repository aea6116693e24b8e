"""Numbers, moments and durations in both languages; and that no text is without its translation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

import keten
from keten.console import wording
from keten.pages import reasons
from keten.pages.words import LANGUAGES, SOURCE, Words, catalogue, locales
from keten.policy.reasons import REASONS

FOLDER = Path(keten.__file__).parent
ROOMS = sorted(path.parent.name for path in FOLDER.glob("*/locale"))
ROOT = Path(__file__).resolve().parents[3]
PLACE = re.compile(r"%\((\w+)\)s")
NOON_US = 1_795_345_384_000_000  # 2026-11-22T11:03:04Z
SUMMER_US = 1_782_864_000_000_000  # 2026-07-01T00:00:00Z
SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000


def extracted(room: str) -> dict[str, tuple[str, ...]]:
    """Every text of a room's templates and code: its first form, and all its forms."""
    found: dict[str, tuple[str, ...]] = {}
    words = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    for _file, _line, message, _comments, _context in extract_from_dir(str(FOLDER / room), methods, keywords=words):
        forms = (message,) if isinstance(message, str) else tuple(message)
        found[forms[0]] = forms
    return found


def translated(language: str, room: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Every text of a catalogue: its forms, and those of its translation."""
    with (locales(room) / language / "LC_MESSAGES" / f"{room}.po").open("rb") as stream:
        messages = [message for message in read_po(stream, locale=language) if message.id]
    assert not any(message.fuzzy for message in messages)
    return {_forms(message.id)[0]: (_forms(message.id), _forms(message.string)) for message in messages}


def _forms(text: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


OTHERS = [language for language in LANGUAGES if language != SOURCE]


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_untranslated_and_nothing_is_left_over(language: str, room: str) -> None:
    assert {first: forms for first, (forms, _said) in translated(language, room).items()} == extracted(room)


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("language", OTHERS)
def test_translations_hold_what_the_texts_hold(language: str, room: str) -> None:
    for forms, said in translated(language, room).values():
        assert len(forms) == len(said)
        assert all(text.strip() for text in said), forms
        for text in said:
            assert set(PLACE.findall(text)) == set(PLACE.findall(forms[-1])), forms
            assert text.count("%") == len(PLACE.findall(text)), "a lone per cent sign would break formatting"


def test_templates_hold_no_text_of_their_own() -> None:
    for path in sorted(FOLDER.glob("*/templates/*.html")):
        text = re.sub(r"{% block kind %}\w+{% endblock %}", "", path.read_text())  # a class
        text = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}|<!doctype html>", "", text, flags=re.DOTALL)
        text = re.sub(r"<code>.*?</code>|<title>.*?</title>|</?[a-z].*?>", "", text, flags=re.DOTALL)
        assert set(re.findall(r"[A-Za-z]{2,}", text)) <= {"Keten"}, path.name


def test_every_language_has_a_catalogue() -> None:
    assert set(ROOMS) >= {"console", "pages"}
    for room in ROOMS:
        assert {path.name for path in locales(room).iterdir()} == set(OTHERS)
        for language in OTHERS:
            assert len(catalogue(language, room)) > 20


def test_what_is_said_with_codes_is_complete() -> None:
    from typing import get_args

    from keten.console.model import State
    from keten.datasets.model import CLASSIFICATIONS
    from keten.suppliers.model import BUDGET_WINDOWS, FORMS, TIERS

    assert set(wording.STATES) == set(get_args(State))
    assert set(wording.CLASSES) == set(CLASSIFICATIONS)
    assert set(wording.TIERS) == set(TIERS)
    assert set(wording.FORMS) == set(FORMS)
    assert set(wording.WINDOWS) == set(BUDGET_WINDOWS)


# ---- reasons -------------------------------------------------------------------------------------------------------


def documented() -> Iterator[tuple[str, str, str]]:
    """The table of reasons in the documentation."""
    for line in (ROOT / "docs" / "formats" / "reasons.md").read_text().splitlines():
        row = re.match(r"\| `([\w-]+)` \| (.+?) \| (.+?) \|\Z", line)
        if row:
            yield row[1], row[2], row[3]


def test_reasons_are_said_as_documented() -> None:
    known = {code: (said.en, said.nl) for code, said in (REASONS | reasons.OTHERS).items()}
    for code, english, dutch in documented():
        if code in known:
            assert known[code] == (english, dutch), code
    assert set(REASONS).isdisjoint(reasons.OTHERS)


def test_a_reason_that_is_not_known_is_shown_as_it_is() -> None:
    assert Words("nl").reason("some-new-code") == "some-new-code"


# ---- numbers and moments -------------------------------------------------------------------------------------------


def test_numbers_and_sizes() -> None:
    dutch, english = Words("nl"), Words("en")
    assert (dutch.number(1234567), english.number(1234567)) == ("1.234.567", "1,234,567")
    shown = [dutch.size(count).replace("\u00a0", " ") for count in (0, 999, 1000, 1234, 9960, 56_789, 999_600, 10**12)]
    assert shown == ["0 B", "999 B", "1 kB", "1,2 kB", "10 kB", "57 kB", "1 MB", "1 TB"]
    assert english.size(8_440_000).replace("\u00a0", " ") == "8.4 MB"
    assert dutch.size(10**18).replace("\u00a0", " ") == "1.000.000 TB"


@given(st.integers(0, 10**19))
def test_sizes_are_never_four_digits_before_the_last_unit(count: int) -> None:
    shown = Words("en").size(count)
    number, unit = shown.split("\u00a0")
    assert unit == "TB" or float(number.replace(",", "")) < 1000


@pytest.mark.parametrize(
    ("us", "dutch", "english"),
    [
        (0, "0 s", "0 s"),
        (-5 * SECOND, "0 s", "0 s"),
        (59 * SECOND, "59 s", "59 s"),
        (94 * SECOND, "1 min 34 s", "1 min 34 s"),
        (2 * MINUTE, "2 min", "2 min"),
        (HOUR + 5 * SECOND, "1 u", "1 h"),
        (HOUR + 2 * MINUTE + 3 * SECOND, "1 u 2 min", "1 h 2 min"),
        (DAY, "1 dag", "1 day"),
        (2 * DAY + 3 * HOUR + MINUTE, "2 dagen 3 u", "2 days 3 h"),
        (30 * DAY + 3 * HOUR, "30 dagen", "30 days"),
        (4000 * DAY, "4.000 dagen", "4,000 days"),
    ],
)
def test_durations(us: int, dutch: str, english: str) -> None:
    assert (Words("nl").duration(us), Words("en").duration(us)) == (dutch, english)


def test_moments_are_of_the_organisations_zone() -> None:
    words = Words("nl", "Europe/Amsterdam")
    assert words.moment(NOON_US) == ('<time datetime="2026-11-22T11:03:04.000000Z">22 nov 2026 12:03:04 CET</time>')
    assert ">1 jul 2026 02:00:00 CEST<" in words.moment(SUMMER_US)
    assert ">22 Nov 2026 11:03:04 UTC<" in Words("en").moment(NOON_US)
    assert ">12:03:04<" in words.clock(NOON_US, NOON_US)
    assert ">22 nov 12:03:04<" in words.clock(NOON_US, NOON_US + DAY)


def test_days_end_at_their_last_moment() -> None:
    dutch, english = Words("nl", "Europe/Amsterdam"), Words("en", "Europe/Amsterdam")
    midnight = SUMMER_US - 2 * HOUR
    assert ">t/m 30 jun 2026<" in dutch.until(midnight)
    assert ">to the end of 30 Jun 2026<" in english.until(midnight)
    assert ">1 jul 2026 00:00:01<" in dutch.until(midnight + SECOND)
    assert ">1 jul 2026<" in dutch.day(midnight)
    assert ">1 jul 2026 02:00<" in dutch.day(SUMMER_US)
