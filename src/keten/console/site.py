"""The console as a site: what browsers call it, its menu, and where a request came from."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import Request

from keten.core.addresses import forwarded_address, networks, normal_address, within
from keten.core.settings import Settings
from keten.pages.rendering import Link
from keten.pages.visits import Keeper, Site
from keten.pages.words import N_, Words

ROOM = "console"
OWN = "own-keys"
MENU: tuple[tuple[str, str, str], ...] = (
    ("see-overview", "", N_("Overview")),
    ("see-suppliers", "/suppliers", N_("Suppliers")),
    ("see-datasets", "/datasets", N_("Datasets")),
    ("see-alerts", "/alerts", N_("Alerts")),
    ("see-alerts", "/budgets", N_("Budgets")),
    ("answer-requests", "/requests", N_("Requests for more")),
    ("see-unconfirmed", "/rights", N_("Rights to confirm")),
    ("see-proposals", "/proposals", N_("Second person")),
    ("see-ledger", "/ledger", N_("Ledger")),
    ("explain-decision", "/decision", N_("Why?")),
    ("see-people", "/people", N_("People and roles")),
    ("see-recoveries", "/recoveries", N_("Recoveries")),
    ("apply-estate", "/estate", N_("Estate")),
    ("see-settings", "/settings", N_("Settings and health")),
)
"""Act of `identity/roles.py`, path below the language, text: the pages of whoever may do that."""


def site(settings: Settings, origin: str, keeper: Keeper) -> Site:
    """The console's screens. origin: see `origin_of`."""
    return Site(
        room=ROOM,
        origin=origin,
        keeper=keeper,
        act=OWN,
        menu=menu,
        address=addresses(settings),
        named=bool(settings.console.public_url),
        behind_proxy=bool(settings.console.proxy),
        passkeys=not settings.oidc.only,
        provider=settings.oidc.name if settings.oidc.issuer else None,
    )


def origin_of(settings: Settings, port: int) -> str:
    """What browsers call the console: the origin of its public URL, else this machine's, where passkeys need no name.

    port: where it listens.
    """
    if settings.console.public_url:
        found = urlsplit(settings.console.public_url)
        host = found.hostname or ""
        shown = f"[{host}]" if ":" in host else host
        usual = {"https": 443, "http": 80}.get(found.scheme)
        return f"{found.scheme}://{shown}" + (f":{found.port}" if found.port and found.port != usual else "")
    return f"{'https' if settings.console.certificate else 'http'}://localhost:{port}"


def menu(words: Words, acts: tuple[str, ...]) -> tuple[Link, ...]:
    """The pages of somebody who may do these acts."""
    return tuple(Link(path, words.gettext(text)) for act, path, text in MENU if act in acts)


def addresses(settings: Settings) -> Callable[[Request], str]:
    """Where a request came from: who connected, or whom a trusted proxy names ("" when it names nobody)."""
    proxies, header = networks(settings.console.trusted_proxies), settings.console.proxy

    def address(request: Request) -> str:
        try:
            peer = normal_address(request.client.host if request.client else "")
        except ValueError:
            return ""
        if not within(peer, proxies):
            return peer
        return forwarded_address(request.headers.getlist(header), proxies) or ""

    return address
