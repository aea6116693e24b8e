"""Stylesheet, icon and the one script; and the file in which an organisation gives the screens its own colours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

THEME = "theme.css"
TYPES = {
    "keten.css": "text/css; charset=utf-8",
    "passkey.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
MOST = 65_536  # bytes of an organisation's own colours


def routes(home: Path | None) -> list[Route]:
    """All of `/static/`. home: the instance, in which `theme.css` may be; it is read when the process starts."""
    found = {name: files("keten.pages").joinpath("static", name).read_bytes() for name in TYPES}
    served = [(name, found[name], kind) for name, kind in TYPES.items()]
    served.append((THEME, _theme(home), TYPES["keten.css"]))
    return [Route(f"/static/{name}", _static(content, kind), methods=["GET"]) for name, content, kind in served]


def _theme(home: Path | None) -> bytes:
    """The organisation's own colours; nothing where there are none, or they can't be read by this process's user."""
    if home is None:
        return b""
    try:
        content = (home / THEME).read_bytes()
    except OSError:
        return b""
    return content if len(content) <= MOST else b""


def _static(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer
