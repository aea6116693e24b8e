"""What waits for a second person: what it would do, who signed, and signing or refusing it (law 14)."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from keten.console.screens import plans
from keten.console.screens.turn import Turn
from keten.core.clock import from_rfc3339
from keten.core.errors import Conflict, Denied, Invalid, NotFound
from keten.keeper.subject_protocol import Approve, Everything, Outcome, Plan, Refuse, RequestInfo, Requests
from keten.pages.stepping import Act
from keten.pages.words import N_
from keten.subjects.signing import RIGHTS
from keten.suppliers.service import MAX_REASON

APPROVE, REFUSE, LIST = "subjects.approve", "subjects.refuse", "subjects.requests"
STATES = {
    "waiting": (N_("Waits"), "warn"),
    "approved": (N_("Being carried out"), "calm"),
    "refused": (N_("Refused"), "calm"),
    "lapsed": (N_("Lapsed"), "calm"),
    "done": (N_("Carried out"), "open"),
}
SHOWN = 100


class Line(msgspec.Struct, frozen=True):
    """A request as it is shown. Moments are microseconds since 1970 UTC; decided_us 0: not yet."""

    info: RequestInfo
    heading: str
    asked_us: int
    lapses_us: int
    decided_us: int
    signed: tuple[tuple[str, int], ...]


async def several(turn: Turn) -> Response:
    """What waits, or all of it, newest first."""
    everything = turn.asked("state") == "all"
    found = (await turn.do(LIST, Everything(everything), Requests)).requests
    lines = [_line(turn, one) for one in reversed(found[-SHOWN:])]
    query = "?state=all" if everything else ""
    return turn.page(
        "proposals.html", query=query, lines=lines, everything=everything, states=STATES, more=len(found) > SHOWN
    )


async def one(turn: Turn) -> Response:
    """One of them."""
    return await _shown(turn, *await _found(turn))


async def answer(turn: Turn) -> Response:
    """A person would sign, which the passkey then confirms; or refuses."""
    found, plan = await _found(turn)
    if turn.form.get("action") == "refuse":
        reason = turn.form.get("reason", "").strip()
        if not reason or len(reason) > MAX_REASON or not reason.isprintable():
            text = turn.words.gettext("Say why, in one line of at most %(count)s characters.")
            return await _shown(turn, found, plan, text % {"count": MAX_REASON}, status=400)
        await turn.do(REFUSE, Refuse(found.id, reason, found.what), RequestInfo)
        return turn.moved(f"/proposals/{found.id}")
    if turn.form.get("action") != "sign":
        raise Invalid("action", "There is no such answer.")
    if found.state != "waiting":
        raise Conflict("request-over", "This does not wait any more.")
    if plan.holds and found.what != "release":
        raise Conflict("held", "A legal hold keeps it.")
    if _is_mine(turn, found):
        raise Denied("second-person", "You have signed for this; another person has to.")
    words = turn.words
    effects = plans.effects(words, found.what, plan)
    last = (
        words.gettext("It takes yet another person after you.")
        if found.people > 1
        else words.gettext("You are the last one: it is carried out at once, and cannot be undone.")
    )
    act = Act(
        heading=plans.heading(words, found.what, found.name),
        effects=(*effects.all, last),
        button=words.gettext("Sign"),
        action=f"/proposals/{found.id}/done",
        back=f"/proposals/{found.id}",
        fields={"what": found.what, "act": found.act},
    )
    return await turn.confirm(APPROVE, _approval(found.id, found.what, found.act), act)


async def signed(turn: Turn) -> Response:
    """It is confirmed: what was shown, not what stands there meanwhile."""
    row = turn.id()
    body = _approval(row, turn.form.get("what", ""), turn.form.get("act", ""))
    await turn.do(APPROVE, body, Outcome, turn.finished)
    return turn.moved(f"/proposals/{row}")


def _approval(request: str, what: str, act: str) -> Approve:
    return Approve(request, what=what, act=act)


async def _found(turn: Turn) -> tuple[RequestInfo, Plan]:
    """Raises `NotFound`."""
    found = await turn.do(APPROVE, Approve(turn.id(), plan_only=True), Outcome)
    if found.request is None:
        raise NotFound("not-found", "There is no such page.")
    return found.request, found.plan


async def _shown(turn: Turn, found: RequestInfo, plan: Plan, wrong: str = "", status: int = 200) -> Response:
    waits = found.state == "waiting" and found.people > 0
    second = found.what in RIGHTS and turn.may(RIGHTS[found.what][1])
    mine = _is_mine(turn, found)
    return turn.page(
        "proposal.html",
        status=status,
        line=_line(turn, found),
        row=found,
        plan=plan,
        effects=plans.effects(turn.words, found.what, plan),
        signs=waits and second and not mine and (not plan.holds or found.what == "release"),
        mine=mine,
        refuses=found.state == "waiting" and second,
        wrong=wrong,
        most=MAX_REASON,
        states=STATES,
    )


def _is_mine(turn: Turn, found: RequestInfo) -> bool:
    return any(one.person == turn.found.person.id for one in found.signed)


def _line(turn: Turn, info: RequestInfo) -> Line:
    return Line(
        info,
        plans.heading(turn.words, info.what, info.name),
        from_rfc3339(info.asked),
        from_rfc3339(info.lapses),
        from_rfc3339(info.decided) if info.decided else 0,
        tuple((one.name, from_rfc3339(one.at)) for one in info.signed),
    )
