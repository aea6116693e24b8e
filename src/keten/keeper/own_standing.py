"""How it stands with everything that was granted to a person of a supplier: what it may fetch, until when, and why not.

A signed-in principal is told its own limits and reasons (law 8): also those of what was open to it and is over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from keten.budgets.service import left
from keten.core.clock import SECOND
from keten.core.db import translated
from keten.core.errors import Busy, Corrupt, Denied
from keten.exchange.listing import allowed
from keten.exchange.opening import Stale
from keten.identity.log_entries import STANDING_READ
from keten.identity.person_callers import VIA
from keten.identity.service import Principal
from keten.keeper.budget_protocol import BudgetLine
from keten.keeper.listings import MAX_ATTEMPTS
from keten.keeper.more import line_of
from keten.keeper.own_entries import record_told
from keten.keeper.portal_protocol import AskStanding, Standing, StandingLine
from keten.keeper.trusted import Trusted
from keten.policy.model import Allow
from keten.policy.service import Outcome
from keten.suppliers.model import Contract, Grant

log = logging.getLogger(__name__)

TOLD_US = 90 * 86_400 * SECOND
"""So long after it ended a grant is still told of."""
MOST_LINES = 1000
NOTHING_HOLDS_US = 60 * SECOND
_ORDER = ("open", "waiting", "closed")


class OwnStanding:
    """`portal.standing`. Its caller is known already (step 1 of a request's way)."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    async def answer(
        self, body: AskStanding, principal: Principal, country: str, still: Callable[[], None]
    ) -> Standing:
        """All of it.

        1. A person asks.
        2. Decide on each grant that is addressed to it, and find those that ended lately; look what is left of budgets.
        3. Record that it is told; when the register changed meanwhile: whether the person may still be here, again.
        4. Tell it.

        `still` raises `Denied` when the caller may no longer be here. Raises `Denied` ("not-allowed"), `Corrupt`,
        `Busy` ("register-changing").
        """
        trusted = self._trusted
        if principal.via != VIA:  # 1
            raise Denied("not-allowed", "Only people are told how they stand.")
        address = body.caller.address
        for _attempt in range(MAX_ATTEMPTS):
            epoch = trusted.door.fresh()
            now = trusted.clock.now()
            lines = self._lines(principal, country, now)  # 2
            granted = [grant for grant, line in lines if line.state == "open"]
            budgets = await asyncio.to_thread(self._left, granted, principal)
            told = tuple(_with(line, budgets.get(line.id, ())) for _grant, line in lines)
            is_open = sum(line.state == "open" for line in told)
            details = {"open": is_open, "closed": len(told) - is_open, "country": country}
            try:
                sealed = await record_told(trusted, epoch, principal, STANDING_READ, details, address)  # 3
            except Stale:
                still()
                continue
            still()
            ends = [line.until_us for line in told if line.state == "open"]
            begins = [line.since_us for line in told if line.state == "waiting"]
            holds = min((*ends, *begins, now + NOTHING_HOLDS_US)) - trusted.clock.recording_time()
            return Standing(sealed.id, sealed.index, told, country, max(0, holds))  # 4
        raise Busy("register-changing", "The register is changing; try again in a moment.")

    def _lines(self, principal: Principal, country: str, now: int) -> list[tuple[Grant, StandingLine]]:
        """Each grant with how it stands, as far as the register says."""
        trusted, person = self._trusted, principal.client_id
        labels = {one.grant.id: one.label for one in allowed(trusted.decisions, person, country, now)}
        outcomes = trusted.decisions.shares(person, country, now)
        found = [
            (one.grant, _line(one, one.grant, labels, self._contract(one.grant), now))
            for one in outcomes
            if one.grant is not None
        ]
        found += [(grant, _over(grant)) for grant in self._ended(principal.supplier, person, now)]
        found.sort(key=lambda pair: (_ORDER.index(pair[1].state), pair[1].label, -pair[1].since_us, pair[1].id))
        return found[:MOST_LINES]

    def _contract(self, grant: Grant) -> Contract | None:
        """The contract of a grant; None where its row does not hold: then that is why the grant is not open."""
        try:
            return self._trusted.register.contract(grant.contract)
        except Corrupt as error:
            if error.code != "register-mismatch":
                raise
            return None

    def _ended(self, supplier: str, person: str, now: int) -> list[Grant]:
        """What ended lately of what was addressed to the person; nothing where a row does not hold."""
        try:
            grants = self._trusted.register.grants_of(supplier)
        except Corrupt as error:
            if error.code != "register-mismatch":
                raise
            log.critical("what ended lately is not told: %s", error)
            return []
        return [
            grant
            for grant in grants
            if grant.ended is not None and now - grant.ended.at_us < TOLD_US
            if not grant.to or person in grant.to
        ]

    def _left(self, grants: Sequence[Grant], principal: Principal) -> dict[str, tuple[BudgetLine, ...]]:
        """What is left for the person under each grant that has a budget."""
        limited = [grant for grant in grants if grant.limits]
        if not limited:
            return {}
        trusted = self._trusted
        organisation = trusted.register.organisation()
        timezone = organisation.timezone if organisation else "UTC"
        now = trusted.clock.recording_time()
        with translated(), trusted.reader.connect() as reading:
            return {
                grant.id: tuple(line_of(one) for one in left(reading, grant, principal.client_id, now, timezone))
                for grant in limited
            }


def _line(outcome: Outcome, grant: Grant, labels: dict[str, str], contract: Contract | None, now: int) -> StandingLine:
    """A grant that has not ended."""
    decision, known = outcome.decision, outcome.attributes
    countries = () if known.contract_any_country else known.contract_countries
    if isinstance(decision, Allow):
        label, until = labels.get(grant.id, grant.label), decision.valid_until_us
        return StandingLine(grant.id, label, grant.form, grant.purpose, "open", until_us=until, countries=countries)
    waiting = decision.reasons == ("contract-not-started",) and known.contract_starts_us > now
    since = known.contract_starts_us if waiting else _ended_us(contract, now)
    state, until = ("waiting" if waiting else "closed"), known.contract_ends_us
    label = grant.label
    return StandingLine(grant.id, label, grant.form, grant.purpose, state, decision.reasons, since, until, countries)


def _ended_us(contract: Contract | None, now: int) -> int:
    """Since when a contract is over; 0: it is not."""
    if contract is None:
        return 0
    moments = [contract.ends_us] if contract.ends_us <= now else []
    if contract.ended is not None:
        moments.append(contract.ended.at_us)
    return min(moments, default=0)


def _over(grant: Grant) -> StandingLine:
    """A grant that ended, for good."""
    since = grant.ended.at_us if grant.ended is not None else 0
    return StandingLine(grant.id, grant.label, grant.form, grant.purpose, "closed", ("revoked",), since)


def _with(line: StandingLine, budget: tuple[BudgetLine, ...]) -> StandingLine:
    return msgspec.structs.replace(line, budget=budget)
