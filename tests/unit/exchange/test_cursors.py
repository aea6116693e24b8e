"""A cursor is of one client and one question, and says nothing to whoever has it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.crypto import new_key
from keten.core.errors import Invalid
from keten.core.ids import new_id
from keten.exchange.cursors import Cursors, Position

CURSORS = Cursors(new_key())
CLIENT, QUESTION = new_id(), b"everything"
NAME = "naam van een bestand.csv"
PLACE = Position(new_id(), NAME)


@given(st.one_of(st.none(), st.text(max_size=300)))
def test_it_leads_back_to_its_place(after: str | None) -> None:
    place = Position(new_id(), after)
    cursor = CURSORS.seal(place, CLIENT, QUESTION)
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert CURSORS.open(cursor, CLIENT, QUESTION) == place


def test_what_is_in_it_is_not_to_be_seen_and_never_the_same() -> None:
    made = {CURSORS.seal(PLACE, CLIENT, QUESTION) for _each in range(50)}
    assert len(made) == 50
    for cursor in made:
        raw = base64.urlsafe_b64decode(cursor + "==")
        assert NAME.encode() not in raw
        assert PLACE.grant.encode() not in raw


def refused(cursors: Cursors, cursor: str, client: str = CLIENT, question: bytes = QUESTION) -> tuple[str, str, str]:
    with pytest.raises(Invalid) as error:
        cursors.open(cursor, client, question)
    return error.value.code, error.value.public, error.value.reason


def test_whatever_is_wrong_with_it_the_answer_is_the_same() -> None:
    cursor = CURSORS.seal(PLACE, CLIENT, QUESTION)
    answers = {
        refused(CURSORS, cursor, client=new_id()),
        refused(CURSORS, cursor, question=b"another"),
        refused(Cursors(new_key()), cursor),
        *(refused(CURSORS, wrong) for wrong in ("", "a", "é", "\0", "=", cursor + "A", cursor[:-4], "A" * 100_000)),
    }
    assert len(answers) == 1


@given(st.data())
def test_a_changed_one_is_refused(data: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(CURSORS.seal(PLACE, CLIENT, QUESTION) + "=="))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    refused(CURSORS, base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


@given(st.text())
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    refused(CURSORS, text)
