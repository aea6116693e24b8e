"""Answering lookups: records leave the keeper one by one, and of each only the columns that are granted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from keten.budgets.errors import Limited
from keten.core.clock import rfc3339
from keten.core.errors import Busy, NotFound, Unavailable
from keten.exchange.lookups import Answered, Found, Looked, Lookup, Lookups, Ready, matched
from keten.exchange.opening import Stale
from keten.exchange.sealed_tables import Version
from keten.exchange.sourced import Sourced
from keten.identity.service import Principal
from keten.keeper import protocol as said
from keten.keeper.limits import limited
from keten.keeper.listings import MAX_ATTEMPTS
from keten.keeper.record_keys import RecordKeys
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in
from keten.policy.model import Allow

log = logging.getLogger(__name__)


class LookupVerb:
    """`exchange.lookup`. Its caller is known already (step 1)."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted
        self._keys = RecordKeys(trusted)
        self._told = ""
        self._lookups = Lookups(trusted.door, trusted.register, trusted.decisions, trusted.tables, trusted.scores)

    async def answer(
        self, body: said.LookUp, principal: Principal, country: str, still: Callable[[], None]
    ) -> said.LookedUp:
        """Answer a lookup, once it is recorded.

        1. Its caller is known (`GatewayVerbs.lookup`).
        2. Read the register, and 3. decide.
        4. Find the records: in the vault, or by the connector in a system. What that can't give is a refusal.
        5. Charge budgets and misses, with the entry; a refusal is recorded, and costs nothing.
        6. Commit; what was decided on a register that has changed since is decided again.
        7. Answer. Nothing has left the keeper before.

        `still` raises `Denied` when the caller may no longer be here.

        Raises `NotFound` ("absent") for what is not there and what is refused alike; `Busy` ("budget-spent",
        "budget-slow", "guessing", "register-changing") and `Denied` ("budget-step-up"), which a signed-in principal is
        told (law 8); `Invalid`, `Unavailable`, `Corrupt`. "system-unavailable" is a refusal that is recorded.
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
            ready = self._lookups.evaluate(asked, trusted.clock.now())  # 2, 3
            found: list[Found] = []
            if isinstance(ready.outcome.decision, Allow) and not ready.failed:
                try:
                    ready, found = await self._find(ready)  # 4
                except Unavailable as error:
                    if not error.code.startswith("system-"):
                        raise
                    self._tell(error)
                    ready = msgspec.structs.replace(ready, failed=error.code)
            run = self._lookups.committing(ready, found, trusted.sign_ins.refusals)  # 5
            try:
                answered, batch = await trusted.writer.run(run)  # 6
            except Stale:
                still()
                continue
            if ready.failed:
                raise Unavailable("system-unavailable", "The system that holds these records cannot be asked now.")
            _require(answered, body.share, trusted.clock.recording_time())
            if answered is None or not answered.records:
                raise NotFound("absent", "There is nothing here.")
            sealed = sealed_in(batch, answered.index)  # 7
            return said.LookedUp(sealed.id, sealed.index, answered.records)
        raise Busy("register-changing", "The register is changing; try again in a moment.")

    async def _find(self, ready: Ready) -> tuple[Ready, list[Found]]:
        """What is asked for, and whose case it is.

        A table of the vault takes up to a millisecond for each key, and a system its time: the loop waits for neither.
        """
        looked, records = await self._look(ready.table, ready.lookup.keys)
        cases, _records = await self._look(ready.caseload, ready.lookup.keys)
        if isinstance(ready.table, Sourced):
            ready = msgspec.structs.replace(ready, records=records)
        return ready, matched(ready, looked, cases)

    def _tell(self, error: Unavailable) -> None:
        """Say once what is wrong with a system; the ledger has each refusal."""
        if str(error) != self._told:
            log.warning("lookups fail: %s", error)
        self._told = str(error)

    async def _look(self, table: Version | Sourced | None, keys: tuple[str, ...]) -> tuple[Looked, int]:
        if table is None:
            return [], 0
        if isinstance(table, Version):
            return await asyncio.to_thread(table.look, keys), table.table.records
        records_key = await self._keys.of(table.dataset, "keeper")
        rows = await self._trusted.connector.rows(table.question(keys))
        return table.looked(records_key, keys, rows), rows.estimate


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
