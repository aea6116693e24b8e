"""Telling a client what is left of its budget, and taking its request for more."""

from __future__ import annotations

from collections.abc import Callable

from keten.budgets.model import Left
from keten.budgets.row import More
from keten.core.clock import rfc3339
from keten.core.errors import Busy, NotFound
from keten.exchange.asking import Asking, Question
from keten.exchange.opening import Stale
from keten.identity.service import Principal
from keten.keeper import protocol as said
from keten.keeper.budget_protocol import BudgetLine, MoreState
from keten.keeper.listings import MAX_ATTEMPTS
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in


class MoreVerb:
    """`budgets.more`. Its caller is known already (step 1)."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted
        self._asking = Asking(trusted.door, trusted.register, trusted.decisions, trusted.keys)

    async def answer(
        self, body: said.AskMore, principal: Principal, country: str, still: Callable[[], None]
    ) -> said.MoreTold:
        """Decide, note, record, answer. `still` raises `Denied` when the caller may no longer be here.

        Raises `NotFound` ("absent") for what is not there and what is refused alike; `Conflict` ("no-budget",
        "request-open") and `Busy` ("asked-often", "register-changing"), which a signed-in principal is told (law 8);
        `Invalid` (more-records, more-why, more-case), `Corrupt`.
        """
        trusted = self._trusted
        asked = Question(
            principal.client_id,
            body.share,
            country,
            principal.via,
            body.caller.address,
            body.records,
            body.why,
            body.case,
        )
        for _attempt in range(MAX_ATTEMPTS):
            decided = self._asking.evaluate(asked, trusted.clock.now())
            run = self._asking.committing(decided, trusted.sign_ins.refusals)
            try:
                answer, batch = await trusted.writer.run(run, alone=True)
            except Stale:
                still()
                continue
            if answer is None or answer.reasons:
                raise NotFound("absent", "There is nothing here.", ",".join(answer.reasons if answer else ()))
            sealed = sealed_in(batch, answer.index)
            now_us = trusted.clock.recording_time()
            request = state_of(answer.request, now_us) if answer.request is not None else None
            return said.MoreTold(sealed.id, sealed.index, tuple(line_of(one) for one in answer.budget), request)
        raise Busy("register-changing", "The register is changing; try again in a moment.")


def line_of(left: Left) -> BudgetLine:
    """What is left of a budget, as it is told."""
    return BudgetLine(
        left.per, left.budget, left.extra, left.spent, left.left, rfc3339(left.resets_us), left.then, left.most
    )


def state_of(request: More, now_us: int) -> MoreState:
    """A request, as its client is told of it."""
    return MoreState(
        request.id,
        request.state_at(now_us),
        request.records,
        request.per,
        rfc3339(request.asked_us),
        request.extra,
        rfc3339(request.until_us) if request.until_us else "",
        request.why if request.state == "refused" else "",
    )
