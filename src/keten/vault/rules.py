"""Rules of the vault: file names, digests, media types, reasons, and how long content is kept. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata

from keten.core.errors import Invalid
from keten.vault.caseless import caseless

MAX_NAME_BYTES = 255  # of most file systems, in UTF-8
MAX_NAME_CHARACTERS = 200  # of the column
MAX_REASON = 500
MAX_RETENTION_DAYS = 36_525
DAY_US = 86_400_000_000
NOTICE_US = 7 * DAY_US
"""So long content stays at least that a shorter retention would destroy: what one person changes, another can stop."""
MAX_CONTENT = (2**32 - 1) << 20  # bytes: what the frames' 32-bit counter can number (docs/formats/vault.md)
MAX_RECORDS = 2**53

_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):\Z")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}\Z")

# Joiners are part of how Persian, Indic languages and emoji are written; every other invisible character is refused.
_JOINERS = frozenset("\u200c\u200d")
_REFUSED = {
    "Cc": "a control character",
    "Cf": "an invisible character",
    "Cs": "half of a surrogate pair",
    "Co": "a private-use character",
    "Cn": "a character that does not exist",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}


def normal_name(name: str) -> str:
    """A file name as it is stored: NFC, one path component that every recipient can make a file of.

    1. Normalise to NFC, so that a name is the same whatever keyboard or file system it came from.
    2. Refuse what could be a path, an empty or dotted name, or would be cut off.
    3. Refuse separators, control and invisible characters (which make one name look like another: bidirectional
       overrides turn "fdp.exe" into "exe.pdf").

    Raises `Invalid` ("file-name").
    """
    if len(name) > 4 * MAX_NAME_CHARACTERS:  # before any work is spent on it
        raise _bad_name(f"it is longer than {MAX_NAME_CHARACTERS} characters")
    normal = unicodedata.normalize("NFC", name)  # 1
    if not normal or normal in {".", ".."}:  # 2
        raise _bad_name("it is empty or made of dots only")
    if normal != normal.strip() or normal.endswith("."):
        raise _bad_name("it begins or ends with a space, or ends with a full stop")
    for character in normal:  # 3
        if character in "/\\":
            raise _bad_name("it holds a path separator")
        refused = _REFUSED.get(unicodedata.category(character))
        if refused and character not in _JOINERS:
            raise _bad_name(f"it holds {refused} (U+{ord(character):04X})")
    if len(normal.encode("utf-8")) > MAX_NAME_BYTES or len(normal) > MAX_NAME_CHARACTERS:
        raise _bad_name(f"it is longer than {MAX_NAME_CHARACTERS} characters or {MAX_NAME_BYTES} bytes")
    return normal


def name_key(name: str) -> bytes:
    """What two names share that some recipient's file system takes for the same: case and compatibility forms.

    SHA-256 over its caseless form, so of a fixed length.
    """
    return hashlib.sha256(caseless(name).encode("utf-8")).digest()


def check_digest(digest: str) -> str:
    """`digest` when it is a whole-content SHA-256 in the form of RFC 9530 §2; raises `Invalid` ("digest")."""
    found = _DIGEST.match(digest)
    try:
        raw = base64.b64decode(found.group(1), validate=True) if found else b""
    except binascii.Error as error:
        raise Invalid("digest", "A digest is sha-256=:<base64>: (RFC 9530).", digest[:80]) from error
    if not found or base64.b64encode(raw).decode("ascii") != found.group(1):
        raise Invalid("digest", "A digest is sha-256=:<base64>: (RFC 9530).", digest[:80])
    return digest


def digest_text(raw: bytes) -> str:
    """32 bytes of SHA-256 in the form of RFC 9530 §2."""
    return f"sha-256=:{base64.b64encode(raw).decode('ascii')}:"


def check_media_type(media_type: str) -> str:
    """`media_type` in lower case when it is type/subtype without parameters (RFC 6838 §4.2); raises `Invalid`."""
    lowered = media_type.lower()
    if not _MEDIA_TYPE.match(lowered):
        raise Invalid("media-type", "A media type is type/subtype, such as text/csv.", media_type[:80])
    return lowered


def check_size(size: int) -> int:
    """`size` in bytes when content of that size can be kept; raises `Invalid` ("content-too-large", "size")."""
    if size < 0:
        raise Invalid("size", "A size in bytes is 0 or more.", str(size))
    if size > MAX_CONTENT:
        raise Invalid("content-too-large", f"One object holds at most {MAX_CONTENT} bytes.", str(size))
    return size


def check_records(records: int) -> int:
    """`records` when it is a count; raises `Invalid` ("records")."""
    if not 0 <= records <= MAX_RECORDS:
        raise Invalid("records", "The number of records is 0 or more.", str(records))
    return records


def check_reason(reason: str) -> str:
    """Why something is destroyed, trimmed; raises `Invalid` ("reason") when it is empty, long or unprintable."""
    trimmed = reason.strip()
    if not trimmed or len(trimmed) > MAX_REASON or not trimmed.isprintable():
        raise Invalid("reason", f"Say why, in at most {MAX_REASON} printable characters.")
    return trimmed


def expires_us(put_us: int, retention_days: int) -> int:
    """When content put at `put_us` is to be destroyed, in microseconds; 0: never (`retention_days` 0 or less)."""
    if retention_days <= 0:
        return 0
    return put_us + min(retention_days, MAX_RETENTION_DAYS) * DAY_US


def moved_us(before_us: int, put_us: int, retention_days: int, now_us: int) -> int:
    """When content is to be destroyed once the retention of its dataset changed. before_us: until then; 0: never.

    Never before `NOTICE_US` from now, unless it was to go sooner anyhow: destroying takes two people (law 14), and a
    retention is changed by one.
    """
    after = expires_us(put_us, retention_days)
    if not after:
        return 0
    notice = now_us + NOTICE_US
    return max(after, min(before_us, notice) if before_us else notice)


def _bad_name(why: str) -> Invalid:
    return Invalid("file-name", f"The file name cannot be used: {why}.")
