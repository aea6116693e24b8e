"""One name for each face: passkeys, cookies and forms are bound to it; a browser that came by another is led there."""

from __future__ import annotations

import ipaddress

from starlette.requests import Request
from starlette.responses import Response

from keten.core.errors import Invalid
from keten.pages.forms import safe_next
from keten.pages.visits import Site, Visit


def elsewhere(site: Site, visit: Visit, request: Request) -> Response | None:
    """To the same page under the face's own name; None where the browser is there already.

    1. Only what is read; a form of another name is refused by its origin. What a proxy says in Host is its own affair.
    2. A name that was given leads anywhere. Without one it is this machine, which is another one for a browser that is
       not on it: that can't sign in, and is told so.

    What stands behind the '#' in an address stays there (Fetch standard, "HTTP-redirect fetch").
    Raises `Invalid` ("no-name").
    """
    given = request.headers.get("host", "").lower()
    if request.method not in ("GET", "HEAD") or site.behind_proxy:  # 1
        return None
    if given == site.origin.partition("://")[2].lower():
        return None
    if not site.named and not _is_here(visit.address):  # 2
        raise Invalid("no-name", "Passkeys need a host name: ask the administrator for the address of this site.")
    return Response(status_code=303, headers={"location": f"{site.origin}{visit.link(safe_next(visit.path))}"})


def _is_here(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_loopback
