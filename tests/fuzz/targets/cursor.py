"""Cursors of listings: only what the keeper sealed for this client and question opens, to what was sealed."""

from __future__ import annotations

from keten.core.errors import Invalid
from keten.exchange.cursors import Cursors, Position
from tests.fuzz.target import Target, text_of

CURSORS = Cursors(b"\x31" * 32)
CLIENT, QUESTION = "abcdefghijklmnopqrstuvwxya", b"all"
POSITIONS = (Position("g" * 26, "file é.csv"), Position("h" * 26, None), Position("", ""))
SEALED = {CURSORS.seal(position, CLIENT, QUESTION): position for position in POSITIONS}
OTHERS = (CURSORS.seal(POSITIONS[0], "b" * 26, QUESTION), CURSORS.seal(POSITIONS[0], CLIENT, b"one"))


def check(data: bytes) -> bool:
    text = text_of(data)
    try:
        position = CURSORS.open(text, CLIENT, QUESTION)
    except Invalid:
        return False
    assert SEALED.get(text) == position, "only what was sealed, in its one spelling"
    return True


TARGET = Target(
    "cursor",
    check,
    lambda: [text.encode() for text in SEALED],
    words=(b"=", b"==", b"+", b"/", *(other.encode() for other in OTHERS)),
    longest=5000,
)
