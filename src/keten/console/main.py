"""The console's process: listen, serve, stop. Reads the database and the public ledger; has no key.

Who is signed in, and what a person does, goes through the keeper.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.types import ASGIApp

from keten import serving
from keten.console.history import History
from keten.console.link import KeeperLink
from keten.console.overview import Reader
from keten.console.page import Pages
from keten.console.proof import Looking
from keten.console.readings.desk import Desk
from keten.console.site import addresses, origin_of, site
from keten.console.web import build
from keten.core.db import reading_engine
from keten.core.listening import join_host, listen
from keten.core.settings import Settings
from keten.pages.visits import Keeper

LIMITS = serving.Limits(connections=200, keep_alive_seconds=10, stop_seconds=2)
BACKLOG = 128
SETTLE_SECONDS = 1.0  # what asks for a page as soon as the ready line is there need not hear that the keeper is away
DEFAULT_BIND = "127.0.0.1:8080"
_HERE = ("", "0.0.0.0", "::", "127.0.0.1", "::1", "localhost")  # noqa: S104 - compared, not bound


Beside = Callable[[Keeper, Callable[[Request], str]], Mapping[str, ASGIApp]]
"""Makes what is served beside the screens, of a way to the keeper and where a request came from: path → application."""


def run(settings: Settings, beside: Beside = lambda _keeper, _address: {}) -> int:
    """Run until SIGTERM or SIGINT; prints one JSON line when it listens. Returns the exit code."""
    asyncio.run(_serve(settings, beside))
    return 0


async def _serve(settings: Settings, beside: Beside) -> None:
    """Serve until told to stop.

    1. Listen: an address that can't be had is said before anything else.
    2. Begin to read the ledger, in a thread of its own, and to connect to the keeper.
    3. Serve, and say where.
    4. On SIGTERM or SIGINT: let answers finish for a moment, and end.
    """
    host, listening = listen(settings.console.bind or DEFAULT_BIND, BACKLOG)  # 1
    engine = reading_engine(settings.console_state)
    history = History(engine)
    looking = Looking(settings, history)
    pages = Pages(Reader(settings, engine, history, looking).read)
    desk = Desk(settings, engine, history, lambda: looking.latest)
    origin = origin_of(settings, listening.getsockname()[1])
    link = KeeperLink(settings.paths.console_socket, origin)
    looking.start()  # 2
    link.start()
    await link.settle(SETTLE_SECONDS)
    listener = settings.console

    def ready() -> None:
        sys.stdout.write(json.dumps({"console": _url(settings, host, origin)}) + "\n")  # 3
        sys.stdout.flush()

    others = beside(link, addresses(settings))
    application = build(settings, host, pages, site(settings, origin, link), desk, others)
    await serving.serve(application, listening, LIMITS, ready, listener.certificate, listener.certificate_key)  # 4
    await link.close()
    looking.stop()
    engine.dispose()


def _url(settings: Settings, host: str, origin: str) -> str:
    """Where the console is reached: what browsers call it; without a name, the address that it is bound to.

    Nobody can sign in at such an address, and the console says so.
    """
    if settings.console.public_url or host in _HERE:
        return origin
    scheme, _, rest = origin.partition("://")
    return f"{scheme}://{join_host(host, int(rest.rpartition(':')[2]))}"
