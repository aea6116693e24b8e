"""People and roles: who is there, what each may do, and one-time links for whoever has no passkey yet."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from keten.console import acts, wording
from keten.console.phrases import phrase
from keten.console.readings import people
from keten.console.readings.people import PersonPage
from keten.console.screens.turn import Turn
from keten.core.errors import Conflict, NotFound
from keten.keeper.people_protocol import Invite, Invited
from keten.pages.stepping import Act

VERB = "people.invite"
HOURS = (1, 24, 72, 168)
USUAL_HOURS = 72


async def several(turn: Turn) -> Response:
    """A page of people, all of them or those whose name holds a word."""
    wanted = turn.asked("q")
    number = turn.page_asked()
    found = await turn.read(lambda reading: people.read(reading, wanted, number))
    query = _query(wanted, found.page)
    return turn.page("people.html", query=query, found=found, wanted=wanted, link_to=lambda one: _query(wanted, one))


async def roles(turn: Turn) -> Response:
    """What each role may do."""
    tables = [(side, acts.table(turn.words, side)) for side in acts.SIDES]
    return turn.page("roles.html", tables=tables)


async def one(turn: Turn) -> Response:
    """One person."""
    found = await _found(turn)
    words = turn.words
    timeline = [(line, phrase(words, line.kind), wording.actor(words, line.who)) for line in found.timeline.lines]
    supplier = bool(found.line.supplier_id)
    able = turn.may("invite-contact" if supplier else "invite-staff")
    standing = found.line.acting.ended is None
    return turn.page(
        "person.html",
        found=found,
        timeline=timeline if turn.may("see-ledger") else None,
        acts=acts.acts(words, found.acts),
        hours=HOURS,
        usual=USUAL_HOURS,
        invite=_invite_path(found) if able and standing and not found.line.keys else "",
        recover=f"/people/{found.line.acting.id}/recovery" if standing and turn.may("open-recovery") else "",
        end=_end_path(found) if standing and turn.may("end-access" if supplier else "end-person") else "",
    )


async def invite(turn: Turn) -> Response:
    """A link is wanted: what it does is spelled out, and a passkey confirms it."""
    found = await _invited(turn)
    hours, words, name = _hours(turn), turn.words, found.line.acting.name
    effects = [
        words.gettext("A link is made with which %(name)s makes a passkey, once. It is shown once, to you.")
        % {"name": name},
        words.ngettext("It holds for %(count)s hour.", "It holds for %(count)s hours.", hours)
        % {"count": words.number(hours)},
        words.gettext(
            "Whoever opens it first signs in as that person. Hand it over yourself, and be sure who is before you: a "
            "voice on the telephone can be anybody's."
        ),
    ]
    if found.line.link_us:
        effects.append(words.gettext("The link that was made before does not work any more."))
    act = Act(
        heading=words.gettext("Make a one-time link for %(name)s") % {"name": name},
        effects=tuple(effects),
        button=words.gettext("Make the link"),
        action=f"{turn.visit.path}/done",
        back=f"/people/{found.line.acting.id}",
        fields={"hours": str(hours)},
    )
    return await turn.confirm(VERB, Invite(found.line.acting.id, hours), act)


async def invited(turn: Turn) -> Response:
    """It is confirmed: the link, shown this once."""
    found = await _invited(turn)
    made = await turn.do(VERB, Invite(found.line.acting.id, _hours(turn)), Invited, turn.finished)
    face = found.face_url if found.line.supplier_id else turn.site.origin
    link = f"{face}/enrol#{made.token}" if face else ""
    return turn.page("invited.html", found=found, made=made, link=link)


async def _found(turn: Turn) -> PersonPage:
    row = turn.id()
    return await turn.read(lambda reading: people.one(reading, row))


async def _invited(turn: Turn) -> PersonPage:
    """Who is invited. Raises `NotFound` at the other side's path, `Conflict` for whoever can't be invited."""
    found = await _found(turn)
    if bool(found.line.supplier_id) != turn.visit.path.startswith("/access/"):
        raise NotFound("not-found", "There is no such page.")
    if found.line.acting.ended is not None:
        raise Conflict("ended", "Its access has ended already. What has ended stays ended.")
    return found


def _hours(turn: Turn) -> int:
    """How long the link holds: of those that are offered."""
    said = turn.form.get("hours", "")
    return int(said) if said in map(str, HOURS) else USUAL_HOURS


def _invite_path(found: PersonPage) -> str:
    return f"{'/access/person' if found.line.supplier_id else '/people'}/{found.line.acting.id}/invite"


def _end_path(found: PersonPage) -> str:
    return f"{'/access/person' if found.line.supplier_id else '/people'}/{found.line.acting.id}/end"


def _query(wanted: str, number: int) -> str:
    asked = {"q": wanted} if wanted else {}
    asked |= {"page": str(number)} if number > 1 else {}
    return f"?{urlencode(asked)}" if asked else ""
