"""HTTP as it comes off a TLS connection: requests that every reader sees alike, within the limits, however cut.

The real protocol of the listener, under an application that remembers what reached it.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from typing import Any, NamedTuple, cast

from starlette.types import Receive, Scope, Send

from keten.core.addresses import networks
from keten.gateway.connection import Connection
from keten.gateway.server import MAX_HEADERS, MAX_URL, GatewayProtocol, HttpsServer
from tests.fuzz.target import Target

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Heard(NamedTuple):
    """A request as the application got it."""

    method: str
    path: bytes
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    version: str
    client: str


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.over = False

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def close(self) -> None:
        self.over = True

    def abort(self) -> None:
        self.over = True

    def is_closing(self) -> bool:
        return self.over

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def _converse(chunks: list[bytes]) -> tuple[list[Heard], list[int]]:
    """The requests that reached the application, and the status of each answer."""
    heard: list[Heard] = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        heard.append(
            Heard(
                scope["method"],
                scope["raw_path"],
                scope["query_string"],
                tuple(scope["headers"]),
                scope["http_version"],
                scope["client"][0],
            )
        )
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def run() -> bytes:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        proxies = networks(("10.0.0.0/8",))
        server = HttpsServer(app, tls, idle_seconds=60, header="X-Forwarded-For", proxies=proxies)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            connection = Connection(ours, "10.0.0.1", direct=False)
            protocol = GatewayProtocol(server._config, server._state, connection, server)
            wire = Wire()
            protocol.connection_made(wire)
            for chunk in chunks:
                protocol.data_received(chunk)
                for _ in range(4):
                    await asyncio.sleep(0)
            while server._state.tasks:
                await asyncio.wait(server._state.tasks)
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            wire.over = True
            protocol.connection_lost(None)
            return bytes(wire.written)

    with asyncio.Runner() as runner:
        written = runner.run(run())
    return heard, [int(status) for status in ANSWER.findall(written)]


def check(data: bytes) -> bool:
    heard, answered = _converse([data])
    for each in heard:
        _is_plain(each)
    again, _answered = _converse([data[at : at + 9] for at in range(0, min(len(data), 900), 9)] + [data[900:]])
    shorter = min(len(heard), len(again))
    assert again[:shorter] == heard[:shorter], "however the bytes come"
    assert answered.count(200) <= len(heard)
    assert all(status < 500 or status in (501, 503, 505) for status in answered)
    return bool(heard)


def _is_plain(each: Heard) -> None:
    """A request that a proxy in front of us would have read as we do."""
    names = [name for name, _value in each.headers]
    assert each.version in ("1.0", "1.1")
    assert len(names) <= MAX_HEADERS
    assert len(each.path) <= MAX_URL
    assert all(TOKEN.fullmatch(name) for name in names)
    assert not any({0, 10, 13} & set(value) for _name, value in each.headers)
    assert not {0, 10, 13, 32} & set(each.path + each.query)
    assert names.count(b"content-length") <= 1, "two lengths are two requests"
    assert not {b"content-length", b"transfer-encoding"} <= set(names), "two lengths are two requests"
    assert b"upgrade" not in names or b"connection" not in names or b"upgrade" not in dict(each.headers)[b"connection"]
    assert not each.client.startswith("10."), "a proxy is nobody's address"


GET = b"GET /v1/objects/abc?x=1 HTTP/1.1\r\nHost: a.example\r\nRange: bytes=0-5\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"
POST = b"POST /oauth/token HTTP/1.1\r\nHost: a.example\r\nContent-Length: 7\r\n\r\na=b&c=d"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
TARGET = Target(
    "http-requests",
    cast("Any", check),
    lambda: [GET, POST, CHUNKED, GET + POST + GET, b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"],
    words=(
        *(b"Content-Length: 3\r\n", b"Content-Length: +3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n"),
        *(b"Transfer-Encoding: identity, chunked\r\n", b"transfer-encoding : chunked\r\n", b"\r\n\r\n", b"\n\n", b"\r"),
        *(b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"Expect: 100-continue\r\n", b" HTTP/1.1\r\n", b" HTTP/2.0\r\n"),
        *(
            b" folded\r\n",
            b"\tx\r\n",
            b"0\r\n\r\n",
            b"ffffffffffffffff\r\n",
            b"http://b.example/",
            b"*",
            b"CONNECT a:1",
        ),
        *(
            b"X-Forwarded-For: 10.0.0.1\r\n",
            b"Connection: close\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x00",
            b"#",
        ),
    ),
    longest=1500,
    calls=(300, 200_000),
)
