"""One HTTP server for every process that serves pages or a protocol of its own: the console, and a witness.

Those two may not import each other, and what lies below both knows no web framework; so this is a room with one module.
The gateway has a server of its own, which cuts transfers.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import uvicorn
from starlette.types import ASGIApp

from keten.core.errors import Invalid


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is served: connections at once; seconds that an idle one is kept, and that answers have at the end."""

    connections: int
    keep_alive_seconds: int
    stop_seconds: int


class _Server(uvicorn.Server):
    """Stops when this process's own loop is told to; uvicorn would pass the signal on and end by it."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


async def serve(
    application: ASGIApp,
    listening: socket.socket,
    limits: Limits,
    ready: Callable[[], None],
    certificate: str = "",
    key: str = "",
) -> None:
    """Serve on a socket that listens, until SIGTERM or SIGINT; then answers may finish. `ready`: called once it serves.

    With `certificate` and `key` (PEM files) it speaks HTTPS. Raises `Invalid` ("certificate") when they can't be used.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # a malformed request is no news
    configured = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.stop_seconds,
        ssl_certfile=certificate or None,
        ssl_keyfile=key or None,
    )
    try:
        configured.load()
    except OSError as error:  # ssl.SSLError is one
        public = f"The certificate {certificate} and its key {key} cannot be used."
        raise Invalid("certificate", public, str(error)) from error
    server = _Server(configured, ready)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    await server.serve(sockets=[listening])
