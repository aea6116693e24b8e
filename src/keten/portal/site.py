"""The portal as a site: what browsers call it, its menu, and what it has of the gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from keten.core.settings import Listener
from keten.keeper.caller import Caller
from keten.keeper.people_protocol import PersonProof
from keten.pages.rendering import Link
from keten.pages.visits import Site, Visit
from keten.pages.words import N_, Words

T = TypeVar("T")
ROOM = "portal"
OWN = "portal-keys"
MENU: tuple[tuple[str, str, str], ...] = (
    ("portal-shares", "", N_("Shared with me")),
    ("portal-log", "/log", N_("Log")),
    ("portal-people", "/people", N_("People")),
    ("portal-approve-recovery", "/recoveries", N_("Recoveries")),
    ("portal-keys", "/keys", N_("Keys and sessions")),
)
"""Act of `identity/roles.py`, path below the language, text: the pages of whoever may do that."""


class Door(Protocol):
    """What the screens have of the gateway."""

    async def call(self, verb: str, body: msgspec.Struct, answer: type[T]) -> T:
        """Say one verb to the keeper; raises as it did, `Unavailable` without it."""

    def from_(self, scope: Scope) -> tuple[str, bool]:
        """The address that a request is from, "" where a proxy did not say it; and whether it came directly."""

    def when_changed(self, callback: Callable[[], None]) -> None:
        """Call whenever the keeper says that something changed, or is gone."""

    async def give(self, person: PersonProof, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for an object with its content, or a part. Raises `KetenError` while nothing is sent."""


def site(listener: Listener, origin: str, door: Door) -> Site:
    """The portal's screens. origin: see `origin_of`."""
    return Site(
        room=ROOM,
        origin=origin,
        keeper=door,
        act=OWN,
        menu=menu,
        address=lambda request: door.from_(request.scope)[0],
        named=bool(listener.public_url),
        behind_proxy=bool(listener.proxy),
    )


def origin_of(listener: Listener, port: int) -> str:
    """What browsers call the portal: the origin of its public URL, else this machine's, where passkeys need no name.

    port: where it listens.
    """
    if listener.public_url:
        found = urlsplit(listener.public_url)
        host = found.hostname or ""
        shown = f"[{host}]" if ":" in host else host
        usual = {"https": 443, "http": 80}.get(found.scheme)
        return f"{found.scheme}://{shown}" + (f":{found.port}" if found.port and found.port != usual else "")
    return f"{'https' if listener.certificate else 'http'}://localhost:{port}"


def menu(words: Words, acts: tuple[str, ...]) -> tuple[Link, ...]:
    """The pages of somebody who may do these acts."""
    return tuple(Link(path, words.gettext(text)) for act, path, text in MENU if act in acts)


def caller(door: Door, visit: Visit, request: Request, *, quiet: bool = False) -> Caller:
    """Who asks, for the keeper to verify. quiet: a page asks that refreshes itself."""
    address, direct = door.from_(request.scope)
    return Caller(address, direct=direct, person=visit.proof, quiet=quiet)
