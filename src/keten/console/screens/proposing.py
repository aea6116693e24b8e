"""Asking for what takes two people: what it would do, why, and the passkey that signs for it first (law 14)."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from keten.console.screens import plans
from keten.console.screens.plans import Effects
from keten.console.screens.turn import Turn
from keten.core.errors import Conflict, Invalid, NotFound
from keten.keeper.protocol import Destroy, Destroyed
from keten.keeper.subject_protocol import Erase, Outcome
from keten.pages.stepping import Act
from keten.subjects.requests import MAX_BASIS
from keten.suppliers.service import MAX_REASON

DESTROY, ERASE = "revocation.destroy", "subjects.erase"
PLANNED = "look"
"""What is said as the reason when nothing is asked yet."""


class Wanted(msgspec.Struct, frozen=True):
    """What would be asked for: of `plans.HEADINGS`, about what, where its page is, and what it would do."""

    what: str
    id: str
    name: str
    page: str
    effects: Effects
    held: bool = False


async def ask(turn: Turn) -> Response:
    """What it would do, and why it is asked."""
    return _asked(turn, await _wanted(turn), "", "", "")


async def confirm(turn: Turn) -> Response:
    """The reason is given: a passkey confirms it. One that is none is asked for again."""
    wanted = await _wanted(turn)
    reason, basis = turn.form.get("reason", "").strip(), turn.form.get("basis", "").strip()
    words = turn.words
    if not reason or len(reason) > MAX_REASON or not reason.isprintable():
        text = words.gettext("Say why, in one line of at most %(count)s characters.") % {"count": MAX_REASON}
        return _asked(turn, wanted, reason[:MAX_REASON], basis[:MAX_BASIS], text, status=400)
    if len(basis) > MAX_BASIS or (basis and not basis.isprintable()):
        text = words.gettext("A legal basis is one line of at most 200 characters.")
        return _asked(turn, wanted, reason, basis[:MAX_BASIS], text, status=400)
    act = Act(
        heading=plans.heading(words, wanted.what, wanted.name),
        effects=(*wanted.effects.all, words.gettext("Nothing is done until another person has signed too.")),
        button=words.gettext("Ask for it"),
        action=f"{turn.visit.path}/done",
        back=wanted.page,
        fields={"reason": reason, "basis": basis},
    )
    return await turn.confirm(*_body(wanted, reason, basis), act)


async def done(turn: Turn) -> Response:
    """It is confirmed: from here on it waits."""
    wanted = await _wanted(turn)
    verb, body = _body(wanted, turn.form.get("reason", ""), turn.form.get("basis", ""))
    if verb == DESTROY:
        request = (await turn.do(verb, body, Destroyed, turn.finished)).request
    else:
        asked = (await turn.do(verb, body, Outcome, turn.finished)).request
        request = asked.id if asked else ""
    return turn.moved(f"/proposals/{request}" if request else wanted.page)


def _body(wanted: Wanted, reason: str, basis: str) -> tuple[str, msgspec.Struct]:
    """Verb and body, the very ones that the keeper takes the hash of."""
    if wanted.what == "erase":
        return ERASE, Erase(wanted.id, reason, basis)
    return DESTROY, Destroy(wanted.id, reason)


async def _wanted(turn: Turn) -> Wanted:
    """What the path is about, as the keeper plans it. Raises `NotFound`, `Conflict` ("ended", "held")."""
    row, first = turn.id(), turn.visit.path.split("/")[1]
    try:
        if first == "people":
            outcome = await turn.do(ERASE, Erase(row, PLANNED, plan_only=True), Outcome)
            plan, already = outcome.plan, outcome.already
            found = plans.effects(turn.words, "erase", plan)
            wanted = Wanted("erase", plan.id, plan.name, f"/people/{row}", found, bool(plan.holds))
        else:
            planned = await turn.do(DESTROY, Destroy(row, PLANNED, plan_only=True), Destroyed)
            already, found = planned.already, plans.destroyed(turn.words, planned)
            wanted = Wanted("destroy-dataset", planned.id, planned.name, f"/datasets/{row}", found)
    except Invalid as error:
        if error.code != "unknown-name":
            raise
        raise NotFound("not-found", "There is no such page.", row) from error
    if wanted.id != row:  # a name that looks as an id
        raise NotFound("not-found", "There is no such page.", row)
    if already:
        raise Conflict("ended", "This has ended already.")
    return wanted


def _asked(turn: Turn, wanted: Wanted, reason: str, basis: str, wrong: str, status: int = 200) -> Response:
    return turn.page(
        "propose.html",
        status=status,
        wanted=wanted,
        heading=plans.heading(turn.words, wanted.what, wanted.name),
        reason=reason,
        basis=basis,
        wrong=wrong,
        most=MAX_REASON,
        most_basis=MAX_BASIS,
    )
