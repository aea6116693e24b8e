"""A contact's people: who can sign in, a one-time link for who can't yet, and ending who is to have no access any more.

Both acts take a fresh assertion of the contact's passkey, over exactly what is done.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from keten.core.errors import Invalid, NotFound
from keten.keeper.people_protocol import Authorised, Invite, Invited
from keten.keeper.portal_protocol import Colleague
from keten.keeper.protocol import Revoke, Revoked
from keten.pages import asking as people
from keten.pages.forms import form_of
from keten.pages.rendering import render
from keten.pages.signing import frame
from keten.pages.stepping import Act, confirm
from keten.pages.visits import Site, Visit, answered, moved
from keten.portal import asking
from keten.portal.site import ROOM, Door, caller

LINK_HOURS = 72
MOST_REASON = 200


class PeoplePages:
    """The list, and the two acts."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def show(self, site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
        """Everybody of the supplier."""
        told = await asking.colleagues(self._door, caller(self._door, visit, request))
        who = found.person
        values = {"people": told.people, "cut": told.cut, "own": who.id, "supplier": who.supplier_name}
        return answered(site, visit, render("people.html", visit.words, frame(site, visit, found), ROOM, **values))

    async def invite(self, site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
        """What inviting will do, to be confirmed."""
        form = await form_of(site, visit, request)
        one = await self._colleague(visit, request, form.get("person", ""))
        _, words = visit.words.gettext, visit.words
        act = Act(
            heading=_("Invite %(name)s") % {"name": one.name},
            effects=(
                _("A one-time link is made, which holds for %(duration)s. It is shown to you, once.")
                % {"duration": words.duration(LINK_HOURS * 3_600_000_000)},
                _("Hand it to %(name)s yourself. Whoever opens it first makes a passkey in that name.")
                % {"name": one.name},
                _("An earlier link for this person stops working."),
            ),
            button=_("Make the link"),
            action="/people/invited",
            back="/people",
            fields={"person": one.id},
        )
        return answered(site, visit, await confirm(site, visit, found, "people.invite", _invitation(form), act))

    async def invited(self, site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
        """Confirmed: the link, which is shown this once."""
        form = await form_of(site, visit, request)
        one = await self._colleague(visit, request, form.get("person", ""))
        made = await people.do(site, visit, "people.invite", _invitation(form), Invited, people.finished(visit, form))
        values = {"name": one.name, "link": f"{site.origin}/enrol#{made.token}", "until_us": made.expires_us}
        return answered(site, visit, render("invited.html", visit.words, frame(site, visit, found), ROOM, **values))

    async def end(self, site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
        """What ending a person will do, to be confirmed."""
        form = await form_of(site, visit, request)
        one = await self._colleague(visit, request, form.get("person", ""))
        _ = visit.words.gettext
        ending = _ending(form)
        act = Act(
            heading=_("End the access of %(name)s") % {"name": one.name},
            effects=(
                _("%(name)s is signed out everywhere, at once, and downloads that are under way are cut.")
                % {"name": one.name},
                _("Passkeys and one-time links of this person stop working, for good."),
                _("This cannot be undone: who is to come back is entered anew by the organisation."),
                _("The organisation sees that you did this, and why: %(reason)s") % {"reason": ending.reason},
            ),
            button=_("End the access"),
            action="/people/ended",
            back="/people",
            fields={"person": one.id, "reason": ending.reason},
        )
        return answered(site, visit, await confirm(site, visit, found, "revocation.revoke", ending, act))

    async def ended(self, site: Site, visit: Visit, _found: Authorised, request: Request) -> Response:
        """Confirmed: the person has no access any more."""
        form = await form_of(site, visit, request)
        shown = people.finished(visit, form)
        await people.do(site, visit, "revocation.revoke", _ending(form), Revoked, shown)
        return moved(site, visit, "/people")

    async def _colleague(self, visit: Visit, request: Request, person: str) -> Colleague:
        """The person that a form is about. Raises `NotFound` for whoever is not of this supplier."""
        told = await asking.colleagues(self._door, caller(self._door, visit, request))
        found = next((one for one in told.people if one.id == person), None)
        if found is None:
            raise NotFound("not-found", "It is not there, or not for you to see.")
        return found


def _invitation(form: dict[str, str]) -> Invite:
    return Invite(form.get("person", ""), LINK_HOURS)


def _ending(form: dict[str, str]) -> Revoke:
    """The end of a person, with why. Raises `Invalid` ("reason")."""
    reason = form.get("reason", "").strip()
    if not reason or len(reason) > MOST_REASON:
        raise Invalid("end-reason", "Say in a few words why this person's access ends.")
    return Revoke("person", form.get("person", ""), reason)
