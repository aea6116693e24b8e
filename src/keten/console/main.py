"""The console's process: listen, serve, stop. Reads the database and the public ledger; has no key."""

from __future__ import annotations

import asyncio
import json
import socket
import sys

from keten import serving
from keten.console.history import History
from keten.console.overview import Reader
from keten.console.page import Pages
from keten.console.proof import Looking
from keten.console.web import build
from keten.core.db import reading_engine
from keten.core.listening import listen
from keten.core.settings import Settings

LIMITS = serving.Limits(connections=200, keep_alive_seconds=10, stop_seconds=2)
BACKLOG = 128
DEFAULT_BIND = "127.0.0.1:8080"


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; prints one JSON line when it listens. Returns the exit code."""
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
    listener = settings.console

    def ready() -> None:
        sys.stdout.write(json.dumps({"console": _url(settings, host, listening)}) + "\n")  # 3
        sys.stdout.flush()

    application = build(settings, host, pages)
    await serving.serve(application, listening, LIMITS, ready, listener.certificate, listener.certificate_key)  # 4
    looking.stop()
    engine.dispose()


def _url(settings: Settings, host: str, listening: socket.socket) -> str:
    """Where the console is reached: its public URL, or what it is bound to."""
    if settings.console.public_url:
        return settings.console.public_url.rstrip("/")
    scheme = "https" if settings.console.certificate else "http"
    shown = "localhost" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    port = listening.getsockname()[1]
    return f"{scheme}://[{shown}]:{port}" if ":" in shown else f"{scheme}://{shown}:{port}"
