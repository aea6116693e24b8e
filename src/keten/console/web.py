"""The console's web application: the overview in two languages, signing in, and what all screens share."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from keten.console.page import REFRESH_SECONDS, Pages
from keten.console.readings.desk import Desk
from keten.console.screens import table
from keten.core.settings import Settings
from keten.keeper.people_protocol import Authorised
from keten.pages import providing, recovering, signing, static
from keten.pages.guard import Guard
from keten.pages.languages import preferred
from keten.pages.seen import Screen, absent, screen
from keten.pages.visits import Site, Visit, answered, moved, visit_of
from keten.pages.words import LANGUAGES

OVERVIEW = "see-overview"
METHODS = ["GET"]  # Starlette answers HEAD where it answers GET


def build(
    settings: Settings, host: str, pages: Pages, site: Site, desk: Desk, beside: Mapping[str, ASGIApp] | None = None
) -> ASGIApp:
    """The application. `host`: what the console is bound to. beside: other applications, by the path they are below."""
    routes = [
        Route("/", signing.in_language(""), methods=METHODS),
        *screen(site, "GET", "", site.act, _overview(pages), refreshes=True),
        *table.routes(site, desk),
        *signing.routes(site),
        *recovering.routes(site),
        *providing.routes(site),
        *static.routes(Path(settings.home) if settings.home else None),
        *(Mount(path, app=app) for path, app in (beside or {}).items()),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _errors(site)})
    app.router.redirect_slashes = False  # a redirect would be built from the Host header
    return Guard(app, host_names(settings, host), https=site.https)


def host_names(settings: Settings, host: str) -> frozenset[str]:
    """The names by which the console may be called: its own, those of this machine, and its public URL's."""
    public = urlsplit(settings.console.public_url).hostname or ""
    return frozenset(name.lower() for name in ("localhost", socket.gethostname(), host, public) if name)


def _overview(pages: Pages) -> Screen:
    """The start: the overview for whoever may see it, and for the others the first page that they may see."""

    async def answer(site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
        if OVERVIEW not in found.person.acts:
            others = site.menu(visit.words, found.person.acts)
            return moved(site, visit, others[0].path if others else "/keys")
        refreshing = request.query_params.get("refresh") != "off"
        frame = msgspec.structs.replace(signing.frame(site, visit, found), query="" if refreshing else "?refresh=off")
        page = await run_in_threadpool(pages.page, frame, refreshing=refreshing)
        response = answered(site, visit, page.body, page.status)
        if refreshing:  # a header, not a <meta>: checkers of accessibility refuse that even where it can be turned off
            response.headers["refresh"] = str(REFRESH_SECONDS)
        return response

    return answer


def _errors(site: Site) -> Callable[[Request, Exception], Awaitable[Response]]:
    """404 and 405 as pages; the path that was asked for is not repeated."""

    async def answer(request: Request, error: Exception) -> Response:
        said = request.url.path.split("/")[1]
        language = said if said in LANGUAGES else preferred(request.headers.get("accept-language", ""))
        response = await absent(site, visit_of(site, request, language, ""))
        response.status_code = error.status_code if isinstance(error, HTTPException) else 500
        response.headers.update(getattr(error, "headers", None) or {})
        return response

    return answer
