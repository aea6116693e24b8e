"""What is recorded about whoever is signed in; for a contact, about its whole supplier."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from keten.keeper.people_protocol import Authorised
from keten.pages.rendering import render
from keten.pages.signing import frame
from keten.pages.visits import Site, Visit, answered
from keten.portal import asking, wording
from keten.portal.site import ROOM, Door, caller

LINES = 50
_DIGITS = 15


class LogPages:
    """The log, newest first."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def show(self, site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
        """A page of it. `before` in the query: only entries before this index."""
        given = request.query_params.get("before", "")
        before = int(given) if given.isascii() and given.isdigit() and len(given) <= _DIGITS else -1
        page = await asking.log(self._door, caller(self._door, visit, request), before, LINES)
        lines = [(one, wording.happened(visit.words, one)) for one in page.lines]
        values = {"lines": lines, "next": page.next, "whole": page.whole, "later": before >= 0, "entry": page.entry}
        return answered(site, visit, render("log.html", visit.words, frame(site, visit, found), ROOM, **values))
