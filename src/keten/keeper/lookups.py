"""Answering lookups: records leave the keeper one by one, and of each only the columns that are granted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from keten.budgets.errors import Limited
from keten.core.clock import rfc3339
from keten.core.errors import Busy, NotFound
from keten.exchange.lookups import Answered, Lookup, Lookups, find
from keten.exchange.opening import Stale
from keten.identity.service import Principal
from keten.keeper import protocol as said
from keten.keeper.limits import limited
from keten.keeper.listings import MAX_ATTEMPTS
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in
from keten.policy.model import Allow


class LookupVerb:
    """`exchange.lookup`. Its caller is known already (step 1)."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted
        self._lookups = Lookups(trusted.door, trusted.register, trusted.decisions, trusted.tables, trusted.scores)

    async def answer(
        self, body: said.LookUp, principal: Principal, country: str, still: Callable[[], None]
    ) -> said.LookedUp:
        """Decide, find, charge, record, answer. `still` raises `Denied` when the caller may no longer be here.

        Raises `NotFound` ("absent") for what is not there and what is refused alike; `Busy` ("budget-spent",
        "budget-slow", "guessing", "register-changing") and `Denied` ("budget-step-up"), which a signed-in principal is
        told (law 8); `Invalid`, `Unavailable`, `Corrupt`.
        """
        trusted = self._trusted
        asked = Lookup(
            principal.client_id,
            body.share,
            body.keys,
            body.case,
            country,
            principal.via,
            body.caller.address,
            body.columns,
            principal.began_us,
        )
        for _attempt in range(MAX_ATTEMPTS):
            ready = self._lookups.evaluate(asked, trusted.clock.now())
            found = await asyncio.to_thread(find, ready) if isinstance(ready.outcome.decision, Allow) else []
            run = self._lookups.committing(ready, found, trusted.sign_ins.refusals)
            try:
                answered, batch = await trusted.writer.run(run)
            except Stale:
                still()
                continue
            _require(answered, body.share, trusted.clock.recording_time())
            if answered is None or not answered.records:
                raise NotFound("absent", "There is nothing here.")
            sealed = sealed_in(batch, answered.index)
            return said.LookedUp(sealed.id, sealed.index, answered.records)
        raise Busy("register-changing", "The register is changing; try again in a moment.")


def _require(answered: Answered | None, share: str, now_us: int) -> None:
    """Raises what a refusal is told as."""
    if answered is None or not answered.reasons:
        return
    if answered.spent is not None:
        raise limited(answered.spent, share, now_us)
    if answered.stopped_until_us:
        data = {"until": rfc3339(answered.stopped_until_us)}
        raise Limited("guessing", "Too many keys were asked for that there are not; lookups are stopped.", data)
    raise NotFound("absent", "There is nothing here.", ",".join(answered.reasons))
