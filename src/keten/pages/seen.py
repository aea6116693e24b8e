"""Screens for whoever is signed in and may see them; others are sent to sign in, or told that nothing is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keten.core.errors import Denied, KetenError, NotFound
from keten.keeper.people_protocol import Authorised
from keten.pages import asking
from keten.pages.forms import MOST_BYTES
from keten.pages.problems import problem
from keten.pages.signing import frame, routed
from keten.pages.visits import Site, Visit, frame_of

H = TypeVar("H")
Screen = Callable[[Site, Visit, Authorised, Request], Awaitable[Response]]


class Line(msgspec.Struct, Generic[H], frozen=True):
    """A line of a face's table of screens. path: below the language, as Starlette has it.

    act: of `identity/roles.py`, that the keeper is asked. handler: what shows it, in the face's own form. refreshes: it
    refreshes itself. most: bytes of a form; files: it may hold files.
    """

    method: str
    path: str
    act: str
    handler: H
    refreshes: bool = False
    most: int = MOST_BYTES
    files: bool = False


def screens(site: Site, lines: Iterable[Line[H]], shown: Callable[[Line[H]], Screen]) -> list[Route]:
    """The routes of a table, in every language. shown: a line as `screen` has it."""
    return [
        route
        for one in lines
        for route in screen(site, one.method, one.path, one.act, shown(one), refreshes=one.refreshes)
    ]


def screen(site: Site, method: str, path: str, act: str, handler: Screen, *, refreshes: bool = False) -> list[Route]:
    """One screen in every language, for whoever holds the act (`identity/roles.py`). Nothing is shown before that.

    1. Nobody is signed in in this browser: to where one signs in, and back here after it.
    2. The keeper is asked, each time. Of a page that refreshes itself only what a person did counts as use (`quiet`).
    3. Who may not see it gets the very page that stands for what is not there; so does whoever asks for a thing that is
       absent, or not for that person to see (the handler raises `NotFound`).

    path: below the language, as Starlette has it. The handler is given who it is and what that person may do; of a POST
    it has `form_of` look at the form before anything else. What it raises becomes a page.
    """

    async def shown(site: Site, visit: Visit, request: Request) -> Response:
        if not visit.session:  # 1
            raise Denied("session-ended", "You are not signed in.")
        quiet = refreshes and by_itself(request)
        try:
            found = await asking.authorise(site, visit, act, quiet=quiet)  # 2
        except Denied as error:
            if error.code != "not-allowed":
                raise
            return await absent(site, visit)  # 3
        try:
            return await handler(site, visit, found, request)
        except NotFound:
            return await absent(site, visit)  # 3
        except KetenError as error:
            return problem(site, visit, error, frame(site, visit, found))

    return routed(site, method, path, shown)


async def absent(site: Site, visit: Visit) -> Response:
    """The page for what is not there, or not for this person to see; with the menu for whoever is signed in.

    It does not say at which address it was asked for, so that it is the same at all of them.
    """
    visit = msgspec.structs.replace(visit, path="")
    around = frame_of(visit, enter=False)
    if visit.session:
        try:
            around = frame(site, visit, await asking.authorise(site, visit, site.act, quiet=True))
        except KetenError:  # then it is somebody who is not signed in
            around = frame_of(visit, enter=False)
    return problem(site, visit, NotFound("not-found", "It is not there, or not for you to see."), around)


def by_itself(request: Request) -> bool:
    """Whether a page was asked for by a browser that refreshes it, not by a person.

    `Sec-Fetch-User` is said when a person did it (Fetch Metadata). A browser that never says so is one whose pages
    keep nobody signed in: that ends sooner, not later.
    """
    return request.headers.get("sec-fetch-user", "") != "?1"
