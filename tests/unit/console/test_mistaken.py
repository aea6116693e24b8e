"""Mistakes of an estate file in Dutch: every one that the file's own tests make is known, and keeps what it names."""

from __future__ import annotations

import re

import pytest

from keten.console.mistaken import _FORMS, _TAILS, _pattern, told
from keten.core.errors import Invalid
from keten.pages.words import Words
from keten.suppliers.reading import parse
from tests.unit.suppliers.instances import ESTATE
from tests.unit.suppliers.test_reading import MISTAKES

DUTCH = Words("nl", room="console")
PLACE = re.compile(r"%\((\w+)\)s")
OTHERS = [
    b"",
    b"hello",
    b"a: b\n c: d\n",
    b"- - - - -" * 100,
    b"a: b\n---\nc: d\n",
    b"a: \xff",
    b"a: \x01",
    b"a: *b\n",
    b"a: &b c\nd: !e f\n",
    b"a: b\na: c\n",
    b"? [a]\n: b\n",
]


def said(content: bytes) -> list[str]:
    """What is wrong with a file, without its name and line."""
    with pytest.raises(Invalid) as caught:
        parse(content, "estate")
    return [re.sub(r"\Aestate:[0-9]* ?:? ?", "", line) for line in caught.value.public.splitlines()]


@pytest.mark.parametrize(("old", "new"), [one[:2] for one in MISTAKES])
def test_a_mistake_is_told_in_dutch(old: str, new: str) -> None:
    for text in said(ESTATE.replace(old, new, 1).encode()):
        found = told(DUTCH, text)
        assert found.language == "nl", text
        for name in re.findall(r"'[^' ]+'", text):
            assert name in found.text or name[1:-1] in found.text, (text, found.text)


@pytest.mark.parametrize("content", OTHERS)
def test_what_is_no_estate_is_told_in_dutch(content: bytes) -> None:
    assert {told(DUTCH, text).language for text in said(content)} == {"nl"}


def test_hints_and_words_are_in_dutch() -> None:
    assert told(DUTCH, "unknown role 'contct'; did you mean 'contact'?").text == (
        "rol 'contct' is niet bekend; bedoelt u 'contact'?"
    )
    twice = "the person id 'a' is used already, first at line 3"
    assert told(DUTCH, twice).text == "de id 'a' is al gebruikt (Persoon), eerst op regel 3"
    about = "person 'a': its supplier can't change (from 'b' to 'c'); give it a new id"
    assert told(DUTCH, about).text == "Persoon 'a': 'supplier' kan niet veranderen (van 'b' in 'c'); geef een nieuwe id"


def test_each_form_is_found_as_itself() -> None:
    """No form stands behind another one that takes its sentences for its own."""
    values = {"value": "'x'", "word": "person", "an": "an id", "line": "7", "said": "the file is empty"}
    for form in (*_FORMS, *_TAILS):
        text = form % {name: values.get(name, "9") for name in PLACE.findall(form)}
        first = next(one for one in (*_FORMS, *_TAILS) if _pattern(one).match(text))
        assert first == form


def test_what_is_not_known_stays_english_and_says_so() -> None:
    found = told(DUTCH, "something that no file ever said")
    assert (found.text, found.language) == ("something that no file ever said", "en")
    assert told(Words("en", room="console"), "the file is empty").text == "the file is empty"


@pytest.mark.parametrize("hostile", ["'" * 1999, "; did you mean " * 130, "unknown " * 240, ": " * 990, "a" * 100_000])
def test_a_hostile_text_takes_no_time(hostile: str) -> None:
    assert told(DUTCH, hostile).text
