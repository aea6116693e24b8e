"""One HTTP request being answered: what it says, and how it is answered. Raw ASGI, since every access passes here."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Iterable

from starlette.types import Message, Receive, Scope, Send

from keten.gateway.connection import Connection
from keten.gateway.problems import KINDS, RETRY_SECONDS, Headers, Problem, body_of, new_request_id, prefers_dutch

BODY_SECONDS = 15.0
_ALWAYS = [(b"x-content-type-options", b"nosniff")]
NO_STORE = (b"cache-control", b"no-store")


class ClientGone(Exception):
    """The client went away before its request was complete."""


class Call:
    """A request and its answer."""

    __slots__ = ("_receive", "_send", "connection", "headers", "method", "request_id", "scope", "started")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.connection: Connection = scope["keten.connection"]
        self.request_id = new_request_id()
        self.started = False

    # ---- what it says ------------------------------------------------------------------------------------------

    @property
    def raw_path(self) -> str:
        """The path as it was sent, escapes and all, without the query."""
        raw: bytes = self.scope["raw_path"]
        return raw.decode("latin-1")

    def query(self, *known: str) -> dict[str, str]:
        """The query's parameters of these names; others are ignored.

        `Problem` ("malformed") for one that is there twice, is empty, or is not UTF-8.
        """
        raw: bytes = self.scope["query_string"]
        found: dict[str, str] = {}
        pairs = urllib.parse.parse_qsl(raw.decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
        for name, value in pairs:
            if name not in known:
                continue
            if name in found or not value or _is_broken(value):
                raise Problem("malformed")
            found[name] = value
        return found

    def parameter(self, name: str) -> str:
        """A part of the path."""
        return str(self.scope["path_params"][name])

    def header(self, name: bytes) -> str | None:
        """A header's value; the first, where a client sends several."""
        for each, value in self.headers:
            if each == name:
                return value.decode("latin-1")
        return None

    def only(self, name: bytes) -> str | None:
        """A header's value; `Problem` ("malformed") when it is sent twice: two parties may then read two things."""
        values = [value for each, value in self.headers if each == name]
        if len(values) > 1:
            raise Problem("malformed")
        return values[0].decode("latin-1") if values else None

    def joined(self, name: bytes) -> str | None:
        """A header's value; several lines are one list, as RFC 9110 §5.3 has it."""
        values = [value for each, value in self.headers if each == name]
        return b", ".join(values).decode("latin-1") if values else None

    async def body(self, limit: int) -> bytes:
        """The whole content, of at most `limit` bytes, within `BODY_SECONDS`."""
        declared = self.header(b"content-length")
        if declared is not None and declared.isdigit() and int(declared[:20]) > limit:
            raise Problem("too-large", headers=[(b"connection", b"close")])
        content = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    content += message.get("body", b"")
                    if len(content) > limit:
                        raise Problem("too-large", headers=[(b"connection", b"close")])
                    if not message.get("more_body", False):
                        return bytes(content)
        except TimeoutError:
            raise Problem("timeout", headers=[(b"connection", b"close")]) from None

    # ---- how it is answered ------------------------------------------------------------------------------------

    async def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the status and headers."""
        self.started = True
        every = [*headers, *_ALWAYS, (b"x-request-id", self.request_id.encode("ascii"))]
        await self._send({"type": "http.response.start", "status": status, "headers": every})

    async def content(self, body: bytes | memoryview, *, more: bool = False) -> None:
        """Send content, once what was sent before has left room for it."""
        message: Message = {"type": "http.response.body", "body": body, "more_body": more}
        await self._send(message)

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer. To HEAD the same without its content."""
        await self.start(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.content(b"" if self.method == "HEAD" else body)

    async def problem(self, problem: Problem) -> None:
        """Answer with a problem document, in the language that the client prefers."""
        dutch = prefers_dutch(self.header(b"accept-language") or "")
        headers: Headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-language", b"nl" if dutch else b"en"),
            NO_STORE,
            *problem.headers,
        ]
        if problem.retry_after or problem.kind in RETRY_SECONDS:
            headers.append((b"retry-after", problem.retry_after.encode("ascii") or RETRY_SECONDS[problem.kind]))
        instance = self.raw_path[:500]
        await self.answer(KINDS[problem.kind].status, headers, body_of(problem, instance, self.request_id, dutch=dutch))


def _is_broken(text: str) -> bool:
    """Whether a text was not UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in text)
