"""The console's process: listen, serve, stop. Reads the database and the public ledger; has no key."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from keten.console.history import History
from keten.console.overview import Reader
from keten.console.page import Pages
from keten.console.proof import Looking
from keten.console.web import build
from keten.core.db import reading_engine
from keten.core.listening import listen
from keten.core.settings import Settings

CONNECTIONS = 200
KEEP_ALIVE_SECONDS = 10
STOP_SECONDS = 2
BACKLOG = 128
DEFAULT_BIND = "127.0.0.1:8080"


class _Server(uvicorn.Server):
    """Stops when this process's own loop is told to; uvicorn would pass the signal on and end by it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; prints one JSON line when it listens. Returns the exit code."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # a malformed request is no news
    asyncio.run(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    """Serve until told to stop.

    1. Listen: an address that can't be had is said before anything else.
    2. Begin to read the ledger, in a thread of its own.
    3. Serve, and say where.
    4. On SIGTERM or SIGINT: let answers finish for a moment, and end.
    """
    host, listening = listen(settings.console.bind or DEFAULT_BIND, BACKLOG)  # 1
    engine = reading_engine(settings.console_state)
    history = History(engine)
    looking = Looking(settings, history)
    pages = Pages(Reader(settings, engine, history, looking).read)
    looking.start()  # 2
    server = _Server(_configured(settings, host, pages))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    await server.listening.wait()
    sys.stdout.write(json.dumps({"console": _url(settings, host, listening)}) + "\n")  # 3
    sys.stdout.flush()
    await serving  # 4
    looking.stop()
    engine.dispose()


def _configured(settings: Settings, host: str, pages: Pages) -> uvicorn.Config:
    listener = settings.console
    return uvicorn.Config(
        build(settings, host, pages),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_certfile=listener.certificate or None,
        ssl_keyfile=listener.certificate_key or None,
    )


def _url(settings: Settings, host: str, listening: socket.socket) -> str:
    """Where the console is reached: its public URL, or what it is bound to."""
    if settings.console.public_url:
        return settings.console.public_url.rstrip("/")
    scheme = "https" if settings.console.certificate else "http"
    shown = "localhost" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    port = listening.getsockname()[1]
    return f"{scheme}://[{shown}]:{port}" if ":" in shown else f"{scheme}://{shown}:{port}"
