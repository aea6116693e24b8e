"""The console's web application: the overview in two languages, its stylesheet and icon, and nothing that changes."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from importlib.resources import files
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keten.console.page import REFRESH_SECONDS, Pages, message
from keten.console.words import LANGUAGES, Words
from keten.core.settings import Settings

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
STATIC = {"console.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
METHODS = ["GET"]  # Starlette answers HEAD where it answers GET
MOST_ACCEPTED = 1000  # characters of Accept-Language that are looked at


def build(settings: Settings, host: str, pages: Pages) -> ASGIApp:
    """The application. `host`: what the console is bound to."""
    routes = [
        Route("/", _choose, methods=METHODS),
        *(Route(f"/{language}", _overview(language, pages), methods=METHODS) for language in LANGUAGES),
        *(Route(f"/static/{name}", _static(name), methods=METHODS) for name in STATIC),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _error})
    app.router.redirect_slashes = False  # a redirect would be built from the Host header
    return Guard(app, host_names(settings, host))


def host_names(settings: Settings, host: str) -> frozenset[str]:
    """The names by which the console may be called: its own, those of this machine, and its public URL's."""
    public = urlsplit(settings.console.public_url).hostname or ""
    return frozenset(name.lower() for name in ("localhost", socket.gethostname(), host, public) if name)


class Guard:
    """Security headers on every answer, and no answer under a name that is not the console's.

    Anybody's page could be called by a name of its own that resolves to this address, and then read the overview in a
    reader's browser (DNS rebinding). An address in the Host header cannot be that; a foreign name can.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(part: Message) -> None:
            if part["type"] == "http.response.start":
                headers = MutableHeaders(scope=part)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(part)

        if self._is_ours([value for name, value in scope["headers"] if name == b"host"]):
            await self._app(scope, receive, guarded)
        else:
            refusal = _plain(421, "This is not the address of the console.")
            await refusal(scope, receive, guarded)

    def _is_ours(self, given: list[bytes]) -> bool:
        if len(given) != 1:
            return False
        try:
            host = urlsplit(f"//{given[0].decode('latin-1')}")
            name = (host.hostname or "").rstrip(".")
        except ValueError:  # a bracket that is not closed, say
            return False
        return name in self._names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def preferred(accepted: str) -> str:
    """The language that an Accept-Language header (RFC 9110 §12.5.4) prefers of ours; Dutch where it says nothing."""
    best, language = 0.0, "nl"
    for part in accepted[:MOST_ACCEPTED].split(","):
        named, _, rest = part.strip().partition(";")
        code = named.strip().lower().partition("-")[0]
        weight = _weight(rest.strip())
        if code in LANGUAGES and weight > best:
            best, language = weight, code
    return language


def _weight(text: str) -> float:
    """The weight of one language, 1 where there is none; 0 for what is none."""
    if not text:
        return 1.0
    name, _, value = text.partition("=")
    digits = value.strip()
    if name.strip().lower() != "q" or not digits.replace(".", "", 1).isdigit() or not digits.isascii():
        return 0.0
    return min(float(digits), 1.0)


async def _choose(request: Request) -> Response:
    language = preferred(request.headers.get("accept-language", ""))
    return Response(status_code=302, headers={"location": f"/{language}", "vary": "accept-language"})


def _overview(language: str, pages: Pages) -> Callable[[Request], object]:
    async def answer(request: Request) -> Response:
        refreshing = request.query_params.get("refresh") != "off"
        page = await run_in_threadpool(pages.page, language, refreshing=refreshing)
        # A header, not a <meta>: checkers of accessibility refuse the latter even where it can be turned off.
        headers = {"refresh": str(REFRESH_SECONDS)} if refreshing else {}
        return Response(page.body, page.status, headers | {"content-language": language}, "text/html; charset=utf-8")

    return answer


def _static(name: str) -> Callable[[Request], object]:
    content = files("keten.console").joinpath("static", name).read_bytes()

    async def answer(_request: Request) -> Response:
        return Response(content, media_type=STATIC[name])

    return answer


async def _error(request: Request, error: Exception) -> Response:
    """404 and 405 as pages; the path that was asked for is not repeated."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    language = preferred(request.headers.get("accept-language", ""))
    words = Words(language)
    heading = words.gettext("There is no such page")
    text = words.gettext("The console has one page, the overview; it can only be read.")
    body = message(language, heading, text)
    return Response(body, status, headers | {"content-language": language}, "text/html; charset=utf-8")


def _plain(status: int, text: str) -> Response:
    return Response(f"{text}\n", status, media_type="text/plain; charset=utf-8")
