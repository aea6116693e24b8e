"""Connections of every bad kind, and whose they are behind a proxy."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct

import pytest

from keten.core.settings import Limits, Listener
from keten.gateway import server as server_module
from tests.unit.gateway.asking import get, in_thread, path_of
from tests.unit.gateway.conftest import Serving
from tests.unit.gateway.fake import Content, Scene

# ---- hostile connections ------------------------------------------------------------------------------------------


def talk(scene: Scene, *said_bytes: bytes, wait: bool = True) -> bytes:
    """Say raw bytes over TLS, and hear everything until the end."""
    context = ssl.create_default_context(cafile=str(scene.home / "ca.pem"))
    _, _, where = scene.url.partition("//")
    host, _, port = where.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname=host) as tls,
    ):
        for part in said_bytes:
            tls.sendall(part)
        heard = bytearray()
        while wait:
            data = tls.recv(65536)
            if not data:
                break
            heard += data
        return bytes(heard)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 400_000, 431),  # and never an end
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n Z: folded\x00\r\n\r\n", 400),
        (b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", 400),
        (b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n", 400),
        (b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),  # obs-fold
        (b"GET /healthz HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),  # a bare LF
        (b"GET /healthz HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400),  # a bare CR
        (b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /healthz\r\n\r\n", 505),  # HTTP/0.9
    ],
)
def test_requests_that_break_a_limit_or_the_grammar(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, request_bytes: bytes, status: int
) -> None:
    monkeypatch.setattr(server_module, "_LINGER_SECONDS", 0.2)

    async def testing(scene: Scene) -> None:
        heard = await in_thread(talk, scene, request_bytes.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        assert heard.startswith(f"HTTP/1.1 {status} ".encode())
        head, _, body = heard.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == status

    serving(testing)


def test_content_is_never_read_as_a_request(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser leaves HTTP at an Upgrade and counts no content: what a proxy takes for content would be a request."""
    monkeypatch.setattr(server_module, "_LINGER_SECONDS", 0.2)
    inner = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    async def testing(scene: Scene) -> None:
        outer = (
            b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
            b"Content-Length: %d\r\n\r\n" % len(inner)
        )
        for parts in ((outer, inner), (outer + inner,)):
            heard = await in_thread(talk, scene, *parts)
            assert heard.startswith(b"HTTP/1.1 400 ")
            assert heard.count(b"HTTP/1.1 ") == 1, "the content was answered"

    serving(testing)


def test_a_head_that_takes_too_long(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEAD_SECONDS", 0.1)

    async def testing(scene: Scene) -> None:
        assert (await in_thread(talk, scene, b"GET / HT")).startswith(b"HTTP/1.1 408 ")
        assert await in_thread(talk, scene) == b""  # nothing said at all
        assert await in_thread(talk, scene, b"\r\n\r\n\r\n") == b""

    serving(testing)


def test_an_idle_connection_is_closed(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        heard = await in_thread(talk, scene, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert heard.startswith(b"HTTP/1.1 200 ")

    serving(testing, limits=Limits(idle_seconds=1))


def test_pipelined_requests_are_answered_in_order_and_bounded(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        one = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
        last = b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        heard = await in_thread(talk, scene, one * 5 + last)
        assert [part[:3] for part in heard.split(b"HTTP/1.1 ")[1:]] == [b"200"] * 5 + [b"404"]
        try:
            heard = await in_thread(talk, scene, one * 500)
        except OSError:
            heard = b""
        assert heard.count(b"HTTP/1.1 200") < 500

    serving(testing)


def test_what_is_not_tls_is_let_go(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        def plain() -> bytes:
            host, _, port = scene.url.partition("//")[2].rpartition(":")
            with socket.create_connection((host, int(port)), timeout=30) as raw:
                raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                try:
                    return raw.recv(100)
                except ConnectionError:
                    return b""

        assert not (await in_thread(plain)).startswith(b"HTTP")
        old = ssl.create_default_context(cafile=str(scene.home / "ca.pem"))
        old.maximum_version = ssl.TLSVersion.TLSv1_2

        def older() -> None:
            host, _, port = scene.url.partition("//")[2].rpartition(":")
            with socket.create_connection((host, int(port)), timeout=30) as raw:
                old.wrap_socket(raw, server_hostname=host)

        with pytest.raises((ssl.SSLError, ConnectionError)):
            await in_thread(older)
        assert (await get(scene, "/healthz")).status == 200

    serving(testing)


def test_connections_above_the_limit_are_refused_and_the_rest_served(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        host, _, port = scene.url.partition("//")[2].rpartition(":")
        held = [await in_thread(socket.create_connection, (host, int(port))) for _ in range(2)]
        while len(scene.gateway.connections) < 2:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
        with pytest.raises((ssl.SSLError, ConnectionError)):  # one address may have half of four
            await in_thread(talk, scene, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        held.pop().close()
        while len(scene.gateway.connections) > 1:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
        assert (await get(scene, "/healthz")).status == 200
        held.pop().close()

    serving(testing, limits=Limits(connections=4))


# ---- behind proxies -----------------------------------------------------------------------------------------------


def proxied(scene: Scene, head: bytes, content: Content) -> bytes:
    """A request through a proxy that says `head` first."""
    context = ssl.create_default_context(cafile=str(scene.home / "ca.pem"))
    host, _, port = scene.url.partition("//")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        raw.sendall(head)
        with context.wrap_socket(raw, server_hostname=host) as tls:
            lines = "Host: a\r\nAuthorization: DPoP t\r\nDPoP: p\r\nConnection: close\r\nX-Real: 192.0.2.9\r\n"
            tls.sendall(f"GET {path_of(content)} HTTP/1.1\r\n{lines}\r\n".encode())
            heard = b""
            while data := tls.recv(65536):
                heard += data
            return heard


V2 = b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack(
    ">BBH4s4sHH", 0x21, 0x11, 12, b"\xc0\x00\x02\x07", b"\x7f\x00\x00\x01", 1, 2
)


@pytest.mark.parametrize(
    ("proxy", "trusted", "head", "address", "direct"),
    [
        ("v2", "127.0.0.0/8", V2, "192.0.2.7", False),
        ("X-Real", "127.0.0.0/8", b"", "192.0.2.9", False),
        ("v2", "10.0.0.0/8", b"", "127.0.0.1", True),
        ("X-Real", "10.0.0.0/8", b"", "127.0.0.1", True),
        ("X-Other", "127.0.0.0/8", b"", "", False),
    ],
)
def test_who_is_asking_behind_a_proxy(
    serving: Serving, proxy: str, trusted: str, head: bytes, address: str, direct: bool
) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x")
        assert b" 200 " in await in_thread(proxied, scene, head, content)
        caller = scene.keeper.bodies("exchange.open")[0].caller
        assert (caller.address, caller.direct) == (address, direct)

    serving(testing, gateway=Listener(proxy=proxy, trusted_proxies=(trusted,), public_url="https://keten.example"))


def test_a_trusted_proxy_that_says_nothing_of_its_client_is_not_served(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await in_thread(proxied, scene, b"", content)
        assert scene.keeper.bodies("exchange.open") == []

    settings = Listener(proxy="v2", trusted_proxies=("127.0.0.0/8",), public_url="https://keten.example")
    serving(testing, gateway=settings)
