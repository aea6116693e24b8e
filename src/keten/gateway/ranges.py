"""Which bytes a request asks for: `Range` and `If-Range` (RFC 9110 §13.1.5, §14). Pure.

A range is taken as it stands before the object's size is known: the keeper clamps it. One range is served; several
are ignored, as is a header that is not in the grammar (§14.2: "MAY ignore", and a client then gets the whole).
"""

from __future__ import annotations

import re

import msgspec

_FARTHEST = 2**62  # beyond any object; fits the protocol's integers
_BYTES = re.compile(r"bytes=[ \t,]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t,]*\Z", re.IGNORECASE)
MAX_HEADER = 200


class Span(msgspec.Struct, frozen=True):
    """Bytes asked for. `start` < 0: the last -start bytes. `length` -1: to the end. `partial`: answered with 206."""

    start: int = 0
    length: int = -1
    partial: bool = False

    @property
    def empty(self) -> bool:
        """A suffix of no bytes at all, which no object can satisfy (§14.1.2)."""
        return self.length == 0


WHOLE = Span()


def parse_range(header: str | None) -> Span:
    """The one range that a `Range` header asks for, or `WHOLE` when there is none that is served."""
    if not header or len(header) > MAX_HEADER:
        return WHOLE
    found = _BYTES.match(header)
    if found is None:
        return WHOLE
    first, last, suffix = found.groups()
    if suffix is not None:
        count = _number(suffix)
        return Span(-count, -1, partial=True) if count else Span(0, 0, partial=True)
    start = _number(first)
    if not last:
        return Span(start, -1, partial=True)
    end = _number(last)
    # An invalid range (last before first) makes the whole header invalid, and that is ignored (§14.1.1).
    return Span(start, end - start + 1, partial=True) if end >= start else WHOLE


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return _FARTHEST if len(digits) > len(str(_FARTHEST)) else min(int(digits), _FARTHEST)


def etag_is_same(header: str, etag: str) -> bool:
    """`If-Match`: whether one of its entity tags is ours, by strong comparison (RFC 9110 §13.1.1)."""
    return header.strip() == "*" or any(one.strip() == etag for one in header.split(","))


def etag_matches(header: str, etag: str) -> bool:
    """`If-None-Match`: whether one of its entity tags is ours, by weak comparison (RFC 9110 §13.1.2)."""
    if header.strip() == "*":
        return True
    return any(one.strip().removeprefix("W/") == etag for one in header.split(","))


def honours_range(if_range: str | None, etag: str) -> bool:
    """`If-Range`: strong comparison; a date never matches, since no Last-Modified is sent (RFC 9110 §13.1.5)."""
    return if_range is None or if_range.strip() == etag
