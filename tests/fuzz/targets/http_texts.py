"""The form of a request for a token, and the query of a listing: each parameter once and in UTF-8, or a problem."""

from __future__ import annotations

import asyncio
import functools
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from starlette.types import Message

from keten.gateway.call import Call
from keten.gateway.http import MAX_FORM, Gateway
from keten.gateway.ledger_files import LedgerFiles
from keten.gateway.problems import Problem
from tests.fuzz.target import Target

NAMES = ("cursor", "limit", "path", "object")
GATEWAY = Gateway(cast("Any", None), LedgerFiles(Path("nowhere")), "https://a.example")


def _call(content: bytes, query: bytes) -> Call:
    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(_message: Message) -> None:
        raise AssertionError("nothing is answered by reading")

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"method": "POST", "headers": headers, "keten.connection": None, "query_string": query, "raw_path": b"/"}
    return Call(scope, receive, send)


def _form(data: bytes) -> dict[str, str]:
    return asyncio.run(GATEWAY._form(_call(data, b"")))


def _query(data: bytes) -> dict[str, str]:
    return _call(b"", data).query(*NAMES)


def check(read: Callable[[bytes], dict[str, str]], data: bytes) -> bool:
    try:
        found = read(data)
    except (Problem, ValueError):
        return False
    assert len(data) <= MAX_FORM
    for name, value in found.items():
        name.encode()
        value.encode()  # neither holds halves of surrogate pairs
    again = urllib.parse.urlencode(found).encode()
    assert not found or read(again) == found, "written and read again it is the same"
    return bool(found)


WORDS = (b"&", b"=", b"%", b"%ff", b"%00", b"%ED%A0%80", b"+", b";", b"&&", b"cursor=1&", b"limit=", b"a=b&", b"%2526")
FORM = Target(
    "token-form",
    functools.partial(check, _form),
    lambda: [b"grant_type=client_credentials&client_assertion=a.b.c&client_id=x", b"a=%C3%A9+b"],
    WORDS,
    calls=(100, 100_000),
)
QUERY = Target(
    "listing-query", functools.partial(check, _query), lambda: [b"cursor=abc&limit=10", b"path=/a/%C3%A9&x=%ff"], WORDS
)
