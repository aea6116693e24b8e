"""The portal's web application: its screens in every language, and content to download."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from keten.core.errors import Denied, KetenError, Unavailable
from keten.core.settings import Settings
from keten.pages import recovering, seen, signing, static
from keten.pages.guard import Guard
from keten.pages.languages import preferred
from keten.pages.problems import SIGNED_OUT, problem
from keten.pages.rendering import message
from keten.pages.seen import Line, Screen, absent
from keten.pages.visits import Site, answered, frame_of, visit_of
from keten.pages.words import LANGUAGES
from keten.portal import recovery
from keten.portal.log import LogPages
from keten.portal.lookups import LookupPages
from keten.portal.people import PeoplePages
from keten.portal.shares import SharesPages
from keten.portal.site import Door, origin_of, site

log = logging.getLogger(__name__)

__all__ = ["build", "origin_of", "screens"]


def screens(door: Door) -> tuple[Line[Screen], ...]:
    """Every screen of the portal beside the sign-in pages and `objects`, with the act that it takes."""
    shares, lookups, log, people = SharesPages(door), LookupPages(door), LogPages(door), PeoplePages(door)
    return (
        Line("GET", "", "portal-shares", shares.overview, refreshes=True),
        Line("GET", "/shares/{share}", "portal-shares", shares.share),
        Line("POST", "/shares/{share}/lookup", "portal-fetch", lookups.look),
        Line("GET", "/shares/{share}/more", "portal-fetch", lookups.budget),
        Line("POST", "/shares/{share}/more", "portal-fetch", lookups.ask),
        Line("GET", "/log", "portal-log", log.show),
        Line("GET", "/people", "portal-people", people.show),
        Line("GET", "/recoveries", "portal-approve-recovery", recovery.show),
        Line("POST", "/recoveries/{case}/approve", "portal-approve-recovery", recovery.ask),
        Line("POST", "/recoveries/{case}/approved", "portal-approve-recovery", recovery.approve),
        Line("POST", "/people/invite", "portal-invite", people.invite),
        Line("POST", "/people/invited", "portal-invite", people.invited),
        Line("POST", "/people/end", "portal-end-person", people.end),
        Line("POST", "/people/ended", "portal-end-person", people.ended),
    )


def build(settings: Settings, host: str, origin: str, door: Door) -> ASGIApp:
    """The application. host: what the portal is bound to; origin: what browsers call it."""
    listener = settings.portal
    portal = site(listener, origin, door)
    routes = [
        Route("/", signing.in_language(""), methods=["GET"]),
        *seen.screens(portal, screens(door), lambda one: one.handler),
        *(Route(f"/{one}/objects/{{id}}", Download(portal, one, door), methods=["GET"]) for one in LANGUAGES),
        *signing.routes(portal),
        *recovering.routes(portal),
        *static.routes(Path(settings.home) if settings.home else None),
    ]
    failing = _errors(portal)
    app = Starlette(routes=routes, exception_handlers={HTTPException: failing, Exception: failing})
    app.router.redirect_slashes = False  # a redirect would be built from the Host header
    public = urlsplit(listener.public_url).hostname or ""
    names = frozenset(name.lower() for name in ("localhost", socket.gethostname(), host, public) if name)
    return Guard(app, names, https=portal.https)


class Download:
    """One object, as a file to keep: never shown in the portal's own pages, whatever is in it.

    1. It was asked for from a page of this site, or by hand: no other site makes a browser spend a budget.
    2. The gateway gives it, as it gives it to systems; the keeper looks at the session, decides and records.
    3. What goes wrong before the first byte becomes a page. Whoever goes on with a download is not sent to where one
       signs in: a browser would keep that page in place of the file.
    """

    def __init__(self, portal: Site, language: str, door: Door) -> None:
        self._site = portal
        self._language = language
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        visit = visit_of(self._site, request, self._language, "")
        try:
            if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):  # 1
                raise Denied("foreign-form", "This did not come from a page of this site.")
            if not visit.session:
                raise Denied("session-ended", "You are not signed in.")
            await self._door.give(visit.proof, scope, receive, send)  # 2
        except KetenError as error:  # 3
            if error.code in SIGNED_OUT and "range" in request.headers:
                words = visit.words
                text = words.gettext("You are signed out. Sign in, and go on with the download.")
                body = message(words, frame_of(visit), words.gettext("You are signed out"), text)
                response = answered(self._site, visit, body, 403)
            else:
                response = problem(self._site, visit, error)
            await response(scope, receive, send)


def _errors(portal: Site) -> Callable[[Request, Exception], Awaitable[Response]]:
    """404, 405 and what broke here as pages; the path that was asked for is not repeated."""

    async def answer(request: Request, error: Exception) -> Response:
        said = request.url.path.split("/")[1]
        language = said if said in LANGUAGES else preferred(request.headers.get("accept-language", ""))
        visit = visit_of(portal, request, language, "")
        if not isinstance(error, HTTPException):
            log.error("a page could not be made", exc_info=error)
            return problem(portal, visit, Unavailable("page-failed", "Something went wrong here; it was noted."))
        response = await absent(portal, visit)
        response.status_code = error.status_code
        response.headers.update(getattr(error, "headers", None) or {})
        return response

    return answer
