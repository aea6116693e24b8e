"""Security headers on every answer of a face's screens, and no answer under a name that is not its own."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not "no-referrer": with that, browsers say "null" for the origin of a form, and it could not be told from a
    # stranger's (Fetch standard, "append a request Origin header").
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), "
    "publickey-credentials-get=(self), publickey-credentials-create=(self)",
    "cache-control": "no-store",
}
POLICY = "content-security-policy"
"""A stricter one of an answer's own stays: what is downloaded is put into a sandbox."""
TRANSPORT = ("strict-transport-security", "max-age=31536000")


class Guard:
    """Security headers on every answer, and no answer under a name that is not this face's.

    Anybody's page could be called by a name of its own that resolves to this address, and then read the screens in a
    reader's browser (DNS rebinding). An address in the Host header cannot be that; a foreign name can.
    https: whether browsers come by HTTPS; they are then told to do so from now on (RFC 6797).
    """

    def __init__(self, app: ASGIApp, names: frozenset[str], *, https: bool = False) -> None:
        self._app = app
        self._names = names
        self._headers = HEADERS | (dict([TRANSPORT]) if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(part: Message) -> None:
            if part["type"] == "http.response.start":
                headers = MutableHeaders(scope=part)
                for name, value in self._headers.items():
                    if name != POLICY or POLICY not in headers:
                        headers[name] = value
            await send(part)

        if self._is_ours([value for name, value in scope["headers"] if name == b"host"]):
            await self._app(scope, receive, guarded)
        else:
            text = "This is not the address of this site.\n"
            refusal = Response(text, 421, media_type="text/plain; charset=utf-8")
            await refusal(scope, receive, guarded)

    def _is_ours(self, given: list[bytes]) -> bool:
        if len(given) != 1:
            return False
        try:
            host = urlsplit(f"//{given[0].decode('latin-1')}")
            name = (host.hostname or "").rstrip(".")
        except ValueError:  # a bracket that is not closed, say
            return False
        return name in self._names or is_address(name)


def is_address(name: str) -> bool:
    """Whether a host is an IP address, which can't have passkeys (WebAuthn Level 3 §5.1.2: a valid domain)."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
