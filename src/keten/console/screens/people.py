"""People and roles: who is there, what each may do, and one-time links for whoever has no passkey yet."""

from __future__ import annotations

from starlette.responses import Response

from keten.console import acts, wording
from keten.console.phrases import phrase
from keten.console.readings import people
from keten.console.readings.people import PersonPage
from keten.console.screens.turn import Turn
from keten.core.errors import Conflict, NotFound
from keten.keeper.people_protocol import Invite, Invited, OfPerson, PersonSessionList, SignedOut
from keten.pages.stepping import Act

VERB = "people.invite"
SIGN_OUT = "people.sign_out_all"
HOURS = (1, 24, 72, 168)
USUAL_HOURS = 72


async def several(turn: Turn) -> Response:
    """A page of people, all of them or those whose name holds a word."""
    wanted = turn.asked("q")
    number = turn.page_asked()
    found = await turn.read(lambda reading: people.read(reading, wanted, number))
    return turn.page(
        "people.html",
        query=turn.listed(wanted, found.page),
        found=found,
        wanted=wanted,
        link_to=lambda one: turn.listed(wanted, one),
    )


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
    seen = turn.may("end-sessions") and found.line.acting.ended is None
    sessions = (await _sessions(turn, found)).own.sessions if seen else None
    able = turn.may("invite-contact" if supplier else "invite-staff")
    standing = found.line.acting.ended is None
    inviting = able and standing and not found.line.keys
    return turn.page(
        "person.html",
        found=found,
        timeline=timeline if turn.may("see-ledger") else None,
        acts=acts.acts(words, found.acts),
        hours=HOURS,
        usual=USUAL_HOURS,
        sessions=sessions,
        invite=_invite_path(found) if inviting else "",
        unreached=inviting and supplier and not found.face_url,
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


async def sign_out(turn: Turn) -> Response:
    """Somebody is to be signed out everywhere: a passkey confirms it."""
    found = await _found(turn)
    words, about = turn.words, {"name": found.line.acting.name}
    count = len((await _sessions(turn, found)).own.sessions)
    if not count:
        raise Conflict("no-sessions", "This person is not signed in anywhere.")
    said = words.ngettext(
        "%(name)s is signed out of %(count)s session at once; what is under way in it is cut.",
        "%(name)s is signed out of %(count)s sessions at once; what is under way in them is cut.",
        count,
    )
    effects = [
        said % (about | {"count": words.number(count)}),
        words.gettext("The passkeys stay, so %(name)s can sign in again. To prevent that, end all access.") % about,
    ]
    if found.line.acting.id == turn.found.person.id:
        effects.append(words.gettext("That is you: this session ends as well."))
    act = Act(
        heading=words.gettext("Sign %(name)s out everywhere") % about,
        effects=tuple(effects),
        button=words.gettext("Sign out everywhere"),
        action=f"/people/{found.line.acting.id}/sign-out/done",
        back=f"/people/{found.line.acting.id}",
        fields={},
    )
    return await turn.confirm(SIGN_OUT, OfPerson(found.line.acting.id), act)


async def signed_out(turn: Turn) -> Response:
    """It is confirmed."""
    found = await _found(turn)
    await turn.do(SIGN_OUT, OfPerson(found.line.acting.id), SignedOut, turn.finished)
    return turn.moved(f"/people/{found.line.acting.id}")


async def _sessions(turn: Turn, found: PersonPage) -> PersonSessionList:
    return await turn.do("people.sessions", OfPerson(found.line.acting.id), PersonSessionList)


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
