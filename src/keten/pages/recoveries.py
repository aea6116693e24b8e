"""Cases of recovery, for those who look at them and approve: the same pages at the console and at the portal."""

from __future__ import annotations

from starlette.responses import Response

from keten.core.errors import NotFound
from keten.keeper.people_protocol import Authorised, Done
from keten.keeper.recovery_protocol import ApproveRecovery, AskRecoveries, Recoveries, RecoveryLine
from keten.pages import asking
from keten.pages.rendering import render
from keten.pages.signing import frame
from keten.pages.stepping import Act, confirm
from keten.pages.visits import Site, Visit, answered, moved
from keten.pages.words import N_, Words

VERB = "recovery.approve"
APPROVALS = 2
"""As many as a case needs (`identity/recovery/model.py`, which no face loads)."""
STATES: dict[str, tuple[str, str]] = {
    "open": (N_("waits for approval"), "warn"),
    "approved": (N_("approved, and waits"), "warn"),
    "sent": (N_("the code is out"), "warn"),
    "done": (N_("done"), "calm"),
    "vetoed": (N_("stopped: not me"), "grave"),
    "lapsed": (N_("lapsed"), "calm"),
}
SLOTS: dict[str, str] = {
    "contact": N_("contact"),
    "owner": N_("owner of the data"),
    "administrator": N_("administrator"),
    "security-officer": N_("security officer"),
    "privacy-officer": N_("privacy officer"),
}


async def show(site: Site, visit: Visit, found: Authorised) -> Response:
    """Every case that is pending or ended lately."""
    told = await _cases(site, visit)
    around, own = frame(site, visit, found), site.room == "portal"
    body = render(
        "recoveries.html", visit.words, around, told=told, states=STATES, slots=SLOTS, own=own, needed=APPROVALS
    )
    return answered(site, visit, body)


async def ask(site: Site, visit: Visit, found: Authorised, case: str) -> Response:
    """What approving will do, to be confirmed. Raises `NotFound`."""
    one = await _case(site, visit, case)
    words = visit.words
    name = {"name": one.person_name}
    act = Act(
        heading=words.gettext("Approve that %(name)s gets back in") % name,
        effects=(
            words.gettext("You say that %(name)s asked for this: you saw or called this person yourself.") % name,
            words.gettext("Two people approve, each with a passkey. You do it as: %(role)s.")
            % {"role": words.gettext(SLOTS.get(one.able, "–"))},
            words.gettext(
                "Afterwards a code in two parts goes to two addresses of %(name)s that were there long before. You do "
                "not see it, and nobody can ask you for it."
            )
            % name,
            words.gettext(
                "Did somebody call you and press you to do this? Then do not: call %(name)s back at a number that "
                "you knew already."
            )
            % name,
        ),
        button=words.gettext("Approve"),
        action=f"/recoveries/{one.id}/{'approved' if one.supplier else 'approved-staff'}",
        back="/recoveries",
        fields={},
    )
    return answered(site, visit, await confirm(site, visit, found, VERB, _approval(one), act))


async def approve(site: Site, visit: Visit, case: str, form: dict[str, str]) -> Response:
    """Confirmed. Raises `NotFound`, and what the keeper raises."""
    one = await _case(site, visit, case)
    await asking.do(site, visit, VERB, _approval(one), Done, asking.finished(visit, form))
    return moved(site, visit, "/recoveries")


def _approval(one: RecoveryLine) -> ApproveRecovery:
    return ApproveRecovery(one.id, one.person, one.act)


async def _cases(site: Site, visit: Visit) -> Recoveries:
    return await asking.do(site, visit, "recovery.cases", AskRecoveries(), Recoveries)


async def _case(site: Site, visit: Visit, case: str) -> RecoveryLine:
    told = await _cases(site, visit)
    found = next((one for one in told.cases if one.id == case), None)
    if found is None:
        raise NotFound("not-found", "It is not there, or not for you to see.")
    return found


def opening(words: Words, name: str, person: str) -> Act:
    """What opening a case will do, to be confirmed. person: its random id."""
    named = {"name": name}
    return Act(
        heading=words.gettext("Open a recovery for %(name)s") % named,
        effects=(
            words.gettext("A letter goes to every address of %(name)s at once, with a link that stops it.") % named,
            words.gettext(
                "You open it, and that is all: others approve, and the code goes to %(name)s. You never see it."
            )
            % named,
            words.gettext(
                "Call %(name)s back first, at the number that is known here: not at one that the caller gives."
            )
            % named,
            words.gettext("Three of one supplier within a day freeze its recoveries."),
        ),
        button=words.gettext("Open the recovery"),
        action=f"/people/{person}/recovery/opened",
        back=f"/people/{person}",
        fields={},
    )
