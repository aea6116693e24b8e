"""The ids of records: what a key in a table becomes, so that no entry, index or budget ever holds the key itself."""

from __future__ import annotations

import hmac

from keten.core.errors import Invalid
from keten.core.ids import encode_id
from keten.vault.caseless import caseless

MAX_KEY = 200  # characters
ID_BYTES = 16


def normal_key(value: object) -> str:
    """A record's key as text that is compared: of a text its caseless form (`caseless`), without spaces at its ends.

    A whole number is its digits. Raises `Invalid` ("record-key") for anything else: no text, empty, too long, control
    characters, half a surrogate.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Invalid("record-key", "A key is a text or a whole number.", type(value).__name__)
    text = caseless(str(value)).strip()
    if not 1 <= len(text) <= MAX_KEY:
        raise Invalid("record-key", f"A key has 1 to {MAX_KEY} characters.", f"{len(text)} characters")
    if not text.isprintable():
        raise Invalid("record-key", "A key has printable characters only.")
    return text


def record_tag(records_key: bytes, normal: str) -> bytes:
    """HMAC-SHA256 (RFC 2104) of a normalised key under its dataset's records key, cut to 128 bits."""
    return hmac.digest(records_key, normal.encode(), "sha256")[:ID_BYTES]


def record_id(tag: bytes) -> str:
    """A tag in the form that every id has; it names one record of one dataset, through all versions of its table."""
    return encode_id(tag)
