"""The content of `POST /v1/lookups/…`: what it asks, which said again asks the same, or that it is malformed."""

from __future__ import annotations

import msgspec

from keten.gateway.lookups import Asked, read
from keten.gateway.problems import Problem
from tests.fuzz.target import Target


def refused_as(kind: str) -> bool:
    assert kind == "malformed"
    return False


def check(data: bytes) -> bool:
    try:
        asked = read(data, Asked)
    except Problem as error:
        return refused_as(error.kind)
    for text in (*asked.keys, *asked.columns, asked.case):
        text.encode()
    assert read(msgspec.json.encode(asked), Asked) == asked
    return True


TARGET = Target(
    "lookup-content",
    check,
    lambda: [
        b'{"keys":["123456782","\\u00e9"],"case":"2026-0042"}',
        b'{"keys":[],"case":"","columns":["name","city"]}',
    ],
    words=(
        *(
            b'"keys":',
            b'"case":',
            b'"columns":',
            b'["',
            b'"]',
            b'"\\ud800"',
            b'"\\u0000"',
            b"\\",
            b'"more":1,',
            b"null",
        ),
        *(b"[" * 40, b'{"keys":' * 20, b"1e400", b'"keys":["x"],', b"\xef\xbb\xbf"),
    ),
    longest=600,
)
