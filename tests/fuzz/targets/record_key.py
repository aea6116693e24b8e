"""A record's key: what it becomes is the same for all that is written alike, becomes itself, and fits in a frame."""

from __future__ import annotations

import unicodedata

from keten.core.errors import Invalid
from keten.vault.record_ids import MAX_KEY, normal_key
from tests.fuzz.target import Target, refused, text_of


def check(data: bytes) -> bool:
    text = text_of(data)
    try:
        normal = normal_key(text)
    except Invalid as error:
        return refused(error, "record-key")
    normal.encode()
    assert 1 <= len(normal) <= MAX_KEY
    assert normal == normal.strip()
    assert normal_key(normal) == normal, "what was looked up once is found again"
    for alike in (f" {text}\t", *(unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD"))):
        assert normal_key(alike) == normal
    return True


FULL_WIDTH = b"\xef\xbc\xa1\xef\xbc\xa2\xef\xbc\x91"  # A, B and 1 as East Asian keyboards may write them
FOLDED = (
    "\u0345",
    "\u0307",
    "\u0130",
    "\u00df",
    "\ufb01",
    "\u03a3",
    "\u03c2",
    "\ufdfa",
    "\u200d",
    "\u00ad",
    "\u3000",
    "\ud7a3",
)

TARGET = Target(
    "record-key",
    check,
    lambda: [b"123456782", "Müller-Lüdenscheidt".encode(), FULL_WIDTH, "Straße".encode(), b" x "],
    words=(*(text.encode() for text in FOLDED), b"\xed\xa0\x80", b"\0", b"\x7f"),
    longest=300,
)
