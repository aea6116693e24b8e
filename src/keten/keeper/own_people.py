"""Who a supplier's people are, told to its contact: who can sign in, who has a link that waits, who has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import Connection as Reading

from keten.core.db import translated
from keten.core.errors import Busy, Denied
from keten.exchange.opening import Stale
from keten.identity import links, passkeys
from keten.identity.log_entries import COLLEAGUES_READ
from keten.identity.model import Person
from keten.identity.person_callers import VIA
from keten.identity.roles import roles_of
from keten.identity.rows import people as rows
from keten.identity.service import Principal
from keten.keeper.listings import MAX_ATTEMPTS
from keten.keeper.own_entries import record_told
from keten.keeper.portal_protocol import AskColleagues, Colleague, Colleagues
from keten.keeper.trusted import Trusted

MOST = 1000


class OwnPeople:
    """`portal.people`. Its caller is known already, and is a contact (step 1 of a request's way)."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    async def answer(
        self, body: AskColleagues, principal: Principal, country: str, still: Callable[[], None]
    ) -> Colleagues:
        """All of them.

        1. A person asks; its role was looked at before.
        2. Read the people of its supplier, and of nobody else.
        3. Record that they are told; when the register changed meanwhile: whether the person may still be here, again.
        4. Tell them.

        `still` raises `Denied` when the caller may no longer be here. Raises `Denied` ("not-allowed"), `Corrupt`,
        `Busy` ("register-changing").
        """
        trusted = self._trusted
        if principal.via != VIA:  # 1
            raise Denied("not-allowed", "Only people have colleagues here.")
        for _attempt in range(MAX_ATTEMPTS):
            epoch = trusted.door.fresh()
            found = await asyncio.to_thread(self._read, principal.supplier)  # 2
            told = tuple(found[:MOST])
            details: dict[str, object] = {"people": len(told), "country": country}
            address = body.caller.address
            try:
                sealed = await record_told(trusted, epoch, principal, COLLEAGUES_READ, details, address)  # 3
            except Stale:
                still()
                continue
            still()
            return Colleagues(sealed.id, sealed.index, told, cut=len(found) > MOST)  # 4
        raise Busy("register-changing", "The register is changing; try again in a moment.")

    def _read(self, supplier: str) -> list[Colleague]:
        """Those with access first, by name; erased ones are left out: nothing is known of them any more."""
        now = self._trusted.clock.recording_time()
        with translated(), self._trusted.reader.connect() as reading:
            found = [_line(reading, row, now) for row in rows.find(reading, supplier=supplier) if not row.erased]
        return sorted(found, key=lambda one: (one.ended_us > 0, one.name, one.id))


def _line(reading: Reading, row: Person, now: int) -> Colleague:
    held = passkeys.of_person(reading, row.id)
    waiting = [one.expires_us for one in links.of_person(reading, row.id) if links.usable(one, now)]
    return Colleague(
        row.id,
        row.name,
        roles_of(row, now),
        len(held),
        max((passkeys.uses(reading, one.id)[1] for one in held), default=0),
        max(waiting, default=0),
        row.ended.at_us if row.ended is not None else 0,
    )
