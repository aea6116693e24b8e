"""`Range`, `If-Range` and entity tags: one span that says what the header says, or the whole."""

from __future__ import annotations

import re

from keten.gateway.ranges import WHOLE, etag_is_same, etag_matches, honours_range, parse_range
from tests.fuzz.target import Target

ETAG = '"sha-256=abc"'
ONE = re.compile(r"\s*bytes=[\s,]*(\d*)-(\d*)[\s,]*", re.ASCII | re.IGNORECASE)


def check(data: bytes) -> bool:
    header = data.decode("latin-1")
    span = parse_range(header)
    for says in (etag_is_same(header, ETAG), etag_matches(header, ETAG), honours_range(header, ETAG)):
        assert not says or ETAG in header or header.strip() == "*"
    if span == WHOLE:
        return False
    said = ONE.fullmatch(header)
    assert said is not None, "one range"
    first, last = said.groups()
    assert span.partial
    if first:
        assert span.start == min(int(first), 2**62)
        assert span.length == -1 if not last else span.start + span.length - 1 == min(int(last), 2**62)
        assert span.length == -1 or span.length > 0
    else:
        assert span.empty if int(last) == 0 else (span.start, span.length) == (-min(int(last), 2**62), -1)
    return True


TARGET = Target(
    "ranges",
    check,
    lambda: [b"bytes=0-0", b"bytes=5-", b"bytes=-7", b"Bytes= ,1-99999999999999999999, "],
    words=(b"bytes=", b"-", b"bytes", ETAG.encode(), b"W/", b"*", b"\xb2"),
    longest=300,
)
