"""What is shared with whoever is signed in: what it may fetch, until when and for what, what is left, and why not."""

from __future__ import annotations

import re

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from keten.core.errors import NotFound
from keten.keeper.people_protocol import Authorised
from keten.keeper.portal_protocol import Standing, StandingLine
from keten.pages.rendering import Frame, render
from keten.pages.seen import by_itself
from keten.pages.signing import frame
from keten.pages.visits import Site, Visit, answered
from keten.portal import asking, wording
from keten.portal.kept import Kept
from keten.portal.site import ROOM, Door, caller

REFRESH_SECONDS = 10
FILES = 100
"""Files on one page."""
_CURSOR = re.compile(r"[A-Za-z0-9_=-]{1,4096}\Z")


class SharesPages:
    """The start, and one page for each share."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._kept: Kept[Standing] = Kept()
        door.when_changed(self._kept.forget)

    async def overview(self, site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
        """Everything that is, will be or was open to this person. It refreshes itself, unless it is told not to."""
        refreshing = request.query_params.get("refresh") != "off"
        standing = await self._standing(visit, request)
        around = msgspec.structs.replace(frame(site, visit, found), query="" if refreshing else "?refresh=off")
        body = render(
            "shares.html",
            visit.words,
            around,
            ROOM,
            supplier=found.person.supplier_name,
            organisation=found.person.organisation,
            open=[(one, wording.budgets(visit.words, one)) for one in standing.lines if one.state == "open"],
            closed=[(one, wording.why(visit.words, one)) for one in standing.lines if one.state != "open"],
            country=standing.country,
            seconds=REFRESH_SECONDS,
            refreshing=refreshing,
        )
        response = answered(site, visit, body)
        if refreshing:  # a header, not a <meta>: checkers of accessibility refuse that even where it can be turned off
            response.headers["refresh"] = str(REFRESH_SECONDS)
        return response

    async def _standing(self, visit: Visit, request: Request) -> Standing:
        quiet = by_itself(request)
        kept = self._kept.get(visit.token) if quiet else None
        if kept is not None:
            return kept
        changes = self._kept.changes
        told = await asking.standing(self._door, caller(self._door, visit, request, quiet=quiet))
        self._kept.put(visit.token, told, changes, told.valid_for_us)
        return told

    async def share(self, site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
        """What is in one share, a page at a time; of one that is not open to this person: why, where it may know."""
        share_id = str(request.path_params["share"])
        cursor = request.query_params.get("cursor", "")
        who = caller(self._door, visit, request)
        around = frame(site, visit, found)
        try:
            page = await asking.share(self._door, who, share_id, cursor if _CURSOR.match(cursor) else "", FILES)
        except NotFound:
            told = await asking.standing(self._door, who)
            line = next((one for one in told.lines if one.id == share_id), None)
            if line is None:
                raise
            return answered(site, visit, _closed(visit, around, line), 404)
        (share,) = page.shares
        values = {"share": share, "next": page.next, "later": bool(cursor), "entry": page.entry}
        values["may"] = found.person.acts.__contains__
        return answered(site, visit, render("share.html", visit.words, around, ROOM, **values))


def _closed(visit: Visit, around: Frame, line: StandingLine) -> bytes:
    """The page of a share that is not open to this person."""
    return render("closed.html", visit.words, around, ROOM, line=line, reasons=wording.why(visit.words, line))
