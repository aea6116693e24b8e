"""Accepting connections, for HTTPS and SFTP alike: how many, from where, and whose they are behind a proxy."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable

from keten.core.addresses import networks, normal_address, within
from keten.core.listening import listen
from keten.core.settings import Listener
from keten.gateway.addresses import (
    PROXY_HEADER_BYTES,
    ProxyError,
    proxied_address,
    proxy_rest,
)
from keten.gateway.connection import Connection

log = logging.getLogger(__name__)

BACKLOG = 1024
PROXY_SECONDS = 5.0
NOT_SENT_BYTES = 256 * 1024  # what the kernel takes ahead of what it can send
_LONGER_SECONDS = 15  # the kernel gives a peer up after the gateway would have
_TCP_NOTSENT_LOWAT = 25  # linux/tcp.h; Python 3.11 has no name for it
_OUT_OF_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

Serve = Callable[[Connection], Awaitable[None]]


class Acceptor:
    """One listening socket."""

    def __init__(self, listener: Listener, *, connections: int, slow_reader_seconds: int) -> None:
        self._listener = listener
        self._most = connections
        # One address may not take everything: half leaves room for everybody else.
        self._most_per_address = max(1, connections // 2)
        self._silent_seconds = slow_reader_seconds + _LONGER_SECONDS
        self._proxies = networks(listener.trusted_proxies)
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._open: dict[Connection, str] = {}
        self._by_address: Counter[str] = Counter()

    @property
    def connections(self) -> tuple[Connection, ...]:
        """What is connected now."""
        return tuple(self._open)

    def bind(self) -> tuple[str, int]:
        """Listen; returns host and port (0 picks a port). Raises `Invalid` or `Unavailable` ("cannot-listen")."""
        host, listening = listen(self._listener.bind, BACKLOG)
        self._socket = listening
        return host, listening.getsockname()[1]

    def start(self, serve: Serve) -> None:
        """Accept: `serve` is run for every connection, and returns once it is set up. Errors of the network end it."""
        if self._socket is None:
            raise ValueError("bind first")
        self._accepting = asyncio.ensure_future(self._accept(self._socket, serve))

    def stop(self) -> None:
        """Accept nobody any more. What is connected stays."""
        if self._accepting is not None:
            self._accepting.cancel()
        if self._socket is not None:
            self._socket.close()

    async def _accept(self, listening: socket.socket, serve: Serve) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _OUT_OF_FILES:
                    log.warning("cannot accept: %s", error)
                    await asyncio.sleep(0.1)
                continue
            connection = self._admit(accepted, peer)
            if connection is not None:
                task = asyncio.ensure_future(self._take(connection, serve))
                self._serving.add(task)
                task.add_done_callback(self._serving.discard)

    def _admit(self, accepted: socket.socket, peer: tuple[str, int]) -> Connection | None:
        """A connection within the limits; above them it is closed at once, so that nobody waits in vain."""
        connection = Connection(accepted, normal_address(peer[0]), direct=True)
        if len(self._open) >= self._most:
            connection.reset()
            return None
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOT_SENT_BYTES)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._silent_seconds * 1000)
        self._open[connection] = ""
        return connection

    async def _take(self, connection: Connection, serve: Serve) -> None:
        connection.when_lost(lambda: self._forget(connection))
        try:
            if self._listener.proxy and within(connection.address, self._proxies):
                connection.direct = False
                if self._listener.proxy == "v2":
                    await asyncio.wait_for(self._read_proxy(connection), PROXY_SECONDS)
            # Behind a header-speaking proxy every connection is the proxy's.
            own = connection.direct or self._listener.proxy == "v2"
            if own and self._by_address[connection.address] >= self._most_per_address:
                connection.reset()
                connection.lost(None)
                return
            self._open[connection] = connection.address
            self._by_address[connection.address] += 1
            await serve(connection)
        except (OSError, TimeoutError, ProxyError) as error:
            log.debug("a connection from %s was not set up: %s", connection.address, error)
            connection.reset()
            connection.lost(None)
        except BaseException:
            connection.reset()
            connection.lost(None)
            raise

    async def _read_proxy(self, connection: Connection) -> None:
        head = await _exactly(connection.sock, PROXY_HEADER_BYTES)
        rest = await _exactly(connection.sock, proxy_rest(head))
        address = proxied_address(head, rest)
        if address is not None:
            connection.address = address

    def _forget(self, connection: Connection) -> None:
        address = self._open.pop(connection, "")
        if address:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]


async def _exactly(sock: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    found = bytearray()
    while len(found) < count:
        part = await loop.sock_recv(sock, count - len(found))
        if not part:
            raise ProxyError("the connection ended in the PROXY header")
        found += part
    return bytes(found)
