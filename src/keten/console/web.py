"""The console's web application: the overview in two languages, and what all screens share."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from keten.console.page import REFRESH_SECONDS, ROOM, Pages
from keten.core.settings import Settings
from keten.pages import static
from keten.pages.guard import Guard
from keten.pages.languages import preferred
from keten.pages.rendering import Frame, message
from keten.pages.words import LANGUAGES, Words

METHODS = ["GET"]  # Starlette answers HEAD where it answers GET


def build(settings: Settings, host: str, pages: Pages) -> ASGIApp:
    """The application. `host`: what the console is bound to."""
    routes = [
        Route("/", _choose, methods=METHODS),
        *(Route(f"/{language}", _overview(language, pages), methods=METHODS) for language in LANGUAGES),
        *static.routes(Path(settings.home) if settings.home else None),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _error})
    app.router.redirect_slashes = False  # a redirect would be built from the Host header
    return Guard(app, host_names(settings, host))


def host_names(settings: Settings, host: str) -> frozenset[str]:
    """The names by which the console may be called: its own, those of this machine, and its public URL's."""
    public = urlsplit(settings.console.public_url).hostname or ""
    return frozenset(name.lower() for name in ("localhost", socket.gethostname(), host, public) if name)


async def _choose(request: Request) -> Response:
    language = preferred(request.headers.get("accept-language", ""))
    return Response(status_code=302, headers={"location": f"/{language}", "vary": "accept-language"})


def _overview(language: str, pages: Pages) -> Callable[[Request], object]:
    async def answer(request: Request) -> Response:
        refreshing = request.query_params.get("refresh") != "off"
        frame = Frame(language=language, query="" if refreshing else "?refresh=off")
        page = await run_in_threadpool(pages.page, frame, refreshing=refreshing)
        # A header, not a <meta>: checkers of accessibility refuse the latter even where it can be turned off.
        headers = {"refresh": str(REFRESH_SECONDS)} if refreshing else {}
        return Response(page.body, page.status, headers | {"content-language": language}, "text/html; charset=utf-8")

    return answer


async def _error(request: Request, error: Exception) -> Response:
    """404 and 405 as pages; the path that was asked for is not repeated."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    language = preferred(request.headers.get("accept-language", ""))
    words = Words(language, room=ROOM)
    heading = words.gettext("There is no such page")
    body = message(words, Frame(language=language), heading, words.gettext("It is not there, or not for you to see."))
    return Response(body, status, headers | {"content-language": language}, "text/html; charset=utf-8")
