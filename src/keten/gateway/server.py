"""The HTTPS listener: uvicorn's HTTP/1.1 protocol, over our own accepting, with the limits that it lacks.

Ours in addition: TLS 1.3 only; the connection in the request's scope, so that a transfer can be cut; the size of a
request's head, the time it may take, the number of pipelined requests; a bounded write buffer.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from keten.core.addresses import Network, forwarded_address
from keten.core.errors import Invalid
from keten.gateway.connection import Connection
from keten.gateway.delivery import PIECE
from keten.gateway.problems import KINDS, Problem, body_of, new_request_id

log = logging.getLogger(__name__)

MAX_HEAD = 32 * 1024  # request line and headers
MAX_EARLY = 1024 * 1024  # received between the handshake and its being heard of, a turn or two of the loop
MAX_URL = 4 * 1024
MAX_HEADERS = 100
MAX_PIPELINED = 16
HEAD_SECONDS = 15.0
HANDSHAKE_SECONDS = 10.0
_SHUTDOWN_SECONDS = 2.0
_LINGER_SECONDS = 1.0


class _Refused(Exception):
    """A request's head breaks a limit."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class GatewayProtocol(HttpToolsProtocol):
    """One HTTPS connection."""

    def __init__(self, config: uvicorn.Config, state: ServerState, connection: Connection, server: HttpsServer) -> None:
        super().__init__(config, state, {})
        self._begun = False
        self._broken = ""
        self._connection = connection
        self._https = server
        self._early: list[bytes] = []
        self._ended_early = False
        self._head_bytes = 0  # received while the head is not complete
        self._header_bytes = 0  # of the headers that are parsed
        self._in_head = False
        self._message_open = False
        self._head_timer: asyncio.TimerHandle | None = None

    # ---- the connection ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """TLS is up; what the client said in the same breath is taken now."""
        if self._ended_early:
            return
        transport.set_write_buffer_limits(high=PIECE)
        coalescing = Coalescing(transport, lambda: self._message_open)
        self._connection.transport = coalescing
        super().connection_made(coalescing)
        self._begun = True
        self.client = (self._connection.address, 0)
        self._arm_head()
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever was under way on it ends."""
        self._disarm_head()
        if not self._begun:  # lost between handshake and `connection_made`
            self._ended_early = True
        else:
            super().connection_lost(exc)
            self._unset_keepalive_if_required()
        self._connection.lost(exc)

    def eof_received(self) -> None:
        """The client said that it is done."""
        self._connection.at_eof()

    # ---- limits ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse, and count what a request's head takes until it is complete."""
        if not self._begun:
            self._early.append(data)
            if sum(map(len, self._early)) > MAX_EARLY:
                self._connection.reset()
            return
        if self.transport.is_closing():
            return
        if not self._answering:
            self._arm_head()
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._refuse("headers-too-large")

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says to a malformed request: ours is a problem document, and names the limit that was broken."""
        log.debug("%s", msg)
        self._refuse(self._broken or "malformed")

    @property
    def _answering(self) -> bool:
        """Whether an answer is under way."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, kind: str) -> None:
        if self.transport.is_closing():
            return
        if self._answering:
            # An answer to an earlier request is on its way: nothing may be written into the middle of it.
            self._connection.cut("failed")
            return
        request_id = new_request_id()
        body = body_of(Problem(kind), "about:blank", request_id, dutch=False)
        status = KINDS[kind].status
        head = (
            f"HTTP/1.1 {status} {KINDS[kind].title}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\ncache-control: no-store\r\nx-request-id: {request_id}\r\n"
            "x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["keten.connection"] = self._connection  # type: ignore[typeddict-unknown-key]  # an extension of ours
        self._head_bytes = self._header_bytes = 0
        self._in_head = True
        self._message_open = True
        if len(self.pipeline) >= MAX_PIPELINED:
            self._break("busy")

    def on_url(self, url: bytes) -> None:
        """Part of the address."""
        super().on_url(url)
        if len(self.url) > MAX_URL:
            self._break("too-long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._header_bytes += len(name) + len(value) + 4
        if len(self.headers) >= MAX_HEADERS or self._header_bytes > MAX_HEAD:
            self._break("headers-too-large")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete: the request may run."""
        self._in_head = False
        self._disarm_head()
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            self._break("version")
        if self.parser.should_upgrade():
            # The parser takes what follows for another protocol, content that was announced included: whoever
            # believes the announcement (a proxy in front) and we would then read different requests.
            self._break("malformed")
        self.client = self._https.client_of(self._connection, self.headers)
        self.scope["client"] = self.client
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._message_open = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is sent. Content that nobody asked for is not read on."""
        super().on_response_complete()
        if self._message_open and not self.pipeline and not self.transport.is_closing():
            self.transport.close()

    def _break(self, kind: str) -> None:
        self._broken = kind
        raise _Refused(kind)  # the parser turns this into its own error; `send_400_response` follows

    def _arm_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_too_slow)

    def _disarm_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_too_slow(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            if self._in_head:
                self._refuse("timeout")
            else:
                self.transport.close()


class Coalescing(asyncio.Transport):
    """What is written in one turn of the loop leaves together: head and content in one TLS record."""

    _MOST = 16 * 1024  # beyond that, joining costs more than another record

    def __init__(self, transport: asyncio.Transport, unread: Callable[[], bool]) -> None:
        super().__init__()
        self._transport = transport
        self._unread = unread
        self._lingering = False
        self._parts: list[bytes | bytearray | memoryview] = []
        self._waiting = 0
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write soon."""
        if not data:
            return
        if len(data) > self._MOST:
            self._flush()
            self._transport.write(data)
            return
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._waiting += len(data)

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts, self._waiting = self._parts, [], 0
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def get_write_buffer_size(self) -> int:
        """What is written and still here."""
        return self._waiting + self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Close after what was written.

        While the client is still sending, closing would be a reset, which takes the answer back before it is read: so
        what comes is read and thrown away for a moment first (RFC 9112 §9.6).
        """
        self._flush()
        if not self._unread():
            self._transport.close()
        elif not self._lingering:
            self._lingering = True
            self._transport.resume_reading()
            self._loop.call_later(_LINGER_SECONDS, self._transport.close)

    def abort(self) -> None:
        """Close at once."""
        self._parts, self._waiting = [], 0
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._lingering or self._transport.is_closing()

    def pause_reading(self) -> None:
        """Read nothing for now."""
        if self._lingering:
            return
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows of itself."""
        return self._transport.get_extra_info(name, default)


class _Held(asyncio.Protocol):
    """Holds a plain connection until its first bytes are there, which TLS then gets.

    Pausing in `connection_made` is not enough: uvloop starts reading right after it, and what comes before TLS takes
    over would be lost.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: asyncio.Transport | None = None
        self.first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport below TLS is what a reset needs."""
        self._transport = cast("asyncio.Transport", transport)
        self._connection.raw = self._transport

    def data_received(self, data: bytes) -> None:
        """The first bytes; nothing more is read until TLS is there."""
        if self._transport is not None:
            self._transport.pause_reading()
        if not self.first.done():
            self.first.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone before a byte came."""
        if not self.first.done():
            self.first.set_exception(exc or ConnectionResetError("the connection ended before TLS"))


def _feed(transport: asyncio.Transport, data: bytes) -> None:
    """Give a transport's new protocol (TLS) what its old one had received."""
    protocol = cast("asyncio.BufferedProtocol", transport.get_protocol())
    rest = memoryview(data)
    while rest:
        buffer = memoryview(protocol.get_buffer(len(rest)))
        count = min(len(buffer), len(rest))
        buffer[:count] = rest[:count]
        protocol.buffer_updated(count)
        rest = rest[count:]


class HttpsServer:
    """Serves an application on accepted connections."""

    def __init__(
        self, app: ASGIApp, tls: ssl.SSLContext, *, idle_seconds: int, header: str, proxies: tuple[Network, ...]
    ) -> None:
        self._config = uvicorn.Config(
            app,
            loop="none",
            http=GatewayProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=idle_seconds,
        )
        self._config.load()
        # What it calls errors is malformed requests and connections that we cut; our own errors are logged by us.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._tls = tls
        self._header = header.lower().encode("ascii")
        self._proxies = proxies
        self._state = ServerState()
        self._ticking: asyncio.TimerHandle | None = None

    def show(self, tls: ssl.SSLContext) -> None:
        """Another certificate, for connections from now on."""
        self._tls = tls

    def start(self) -> None:
        """Keep the `Date` header right."""
        self._tick()

    def _tick(self) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode("ascii"))]
        self._ticking = asyncio.get_running_loop().call_later(1.0, self._tick)

    async def serve(self, connection: Connection) -> None:
        """Set up TLS and HTTP on an accepted connection. Raises `OSError` (also for TLS) when that fails."""
        loop = asyncio.get_running_loop()
        protocol = GatewayProtocol(self._config, self._state, connection, self)
        raw, held = await loop.connect_accepted_socket(lambda: _Held(connection), connection.sock)
        try:
            first = await asyncio.wait_for(held.first, HANDSHAKE_SECONDS)
            starting = asyncio.ensure_future(
                loop.start_tls(
                    raw,
                    protocol,
                    self._tls,
                    server_side=True,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                    ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
                )
            )
            await asyncio.sleep(
                0
            )  # TLS is now the transport's protocol, and hears of it in the next turn; then we feed
            loop.call_soon(_feed, raw, first)
            transport = await starting
        except BaseException:
            raw.abort()
            raise
        if transport is None:
            raise ConnectionResetError("the connection ended in the handshake")
        protocol.connection_made(transport)

    def client_of(self, connection: Connection, headers: list[tuple[bytes, bytes]]) -> tuple[str, int]:
        """Whom a request is from; behind a proxy that says it in a header, each request anew."""
        if self._header and not connection.direct:
            values = [value.decode("latin-1") for name, value in headers if name == self._header]
            connection.address = forwarded_address(values, self._proxies) or ""
        return connection.address, 0

    async def drain(self, seconds: float) -> None:
        """Let what is running finish, for at most `seconds`; connections that are idle close at once."""
        if self._ticking is not None:
            self._ticking.cancel()
        for protocol in list(self._state.connections):
            protocol.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=seconds)

    async def stop(self) -> None:
        """End the requests that still run; those whose connection is gone end by themselves."""
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=_SHUTDOWN_SECONDS)
        tasks: list[asyncio.Task[Any]] = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.3 and HTTP/1.1, with this certificate. Raises `Invalid` ("certificate")."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        where = f"The TLS certificate {certificate} or its key cannot be used."
        raise Invalid("certificate", where, str(error)) from error
    return context
