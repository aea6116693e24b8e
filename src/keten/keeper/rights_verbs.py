"""The verbs of rights that somebody has to confirm: which they are, and confirming or ending them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Connection as Reading

from keten.core.clock import DAY, rfc3339
from keten.core.db import translated
from keten.core.errors import Corrupt, Invalid
from keten.exchange.entries import LOOKUP_ANSWERED, OBJECT_OPENED
from keten.identity.model import EndableRow, Person
from keten.keeper import protocol as said
from keten.keeper.rights_protocol import (
    MOST_CONFIRMED,
    MOST_RIGHTS,
    AskUnconfirmed,
    ConfirmGrants,
    ConfirmRoles,
    EndGrant,
    RightsConfirmed,
    Unconfirmed,
    Unconfirmeds,
)
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in
from keten.ledger.query import Filter, find
from keten.ledger.writing import Writing
from keten.suppliers import recertifying
from keten.suppliers.model import Grant

MAX_DAYS = 3650
_USES = (OBJECT_OPENED.name, LOOKUP_ANSWERED.name)


class Ends(Protocol):
    """Ends access (`OperatorVerbs`)."""

    async def revoke(self, connection: Connection, body: said.Revoke) -> said.Revoked:
        """End a row, and cut what hangs on it."""


class RightsVerbs:
    """Confirming grants and roles."""

    def __init__(self, trusted: Trusted, ends: Ends) -> None:
        self._trusted = trusted
        self._ends = ends

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {
            "rights.unconfirmed": waiting_verb(AskUnconfirmed, self.unconfirmed),
            "rights.confirm_grants": waiting_verb(ConfirmGrants, self.confirm_grants),
            "rights.confirm_roles": waiting_verb(ConfirmRoles, self.confirm_roles),
            "rights.end": waiting_verb(EndGrant, self.end),
        }

    # ---- reading ---------------------------------------------------------------------------------------------

    async def unconfirmed(self, _connection: Connection, body: AskUnconfirmed) -> Unconfirmeds:
        """What waits to be confirmed, or was not. Raises `Invalid` ("days")."""
        if not 0 <= body.soon_days <= MAX_DAYS:
            raise Invalid("days", f"Days are 0 to {MAX_DAYS}.", str(body.soon_days))
        return await asyncio.to_thread(self._waiting, body)

    def _waiting(self, body: AskUnconfirmed) -> Unconfirmeds:
        broken: list[Corrupt] = []
        now = self._trusted.clock.recording_time()
        until = now + body.soon_days * DAY
        with translated(), self._trusted.reader.connect() as reading:
            rows: list[Grant | Person] = [*recertifying.waiting_grants(reading, until, broken.append, body.owner)]
            if not body.owner:
                rows += recertifying.waiting_people(reading, until, broken.append)
            rows.sort(key=lambda row: (row.confirm_until_us, row.name))
            lines = tuple(self._line(reading, row, now) for row in rows[:MOST_RIGHTS])
        return Unconfirmeds(lines, len(rows) > MOST_RIGHTS, len(broken))

    def _owner(self, row: Grant) -> str:
        dataset = self._trusted.register.dataset(row.dataset)
        return dataset.owner if dataset is not None else ""

    def _line(self, reading: Reading, row: Grant | Person, now: int) -> Unconfirmed:
        register, grant = self._trusted.register, row if isinstance(row, Grant) else None
        return Unconfirmed(
            "grant" if grant else "person",
            row.id,
            row.name,
            rfc3339(row.confirm_until_us),
            row.lapsed_at(now),
            row.confirm.every_days if row.confirm else 0,
            supplier=_name(register.supplier(row.supplier)) if row.supplier else "",
            dataset=_name(register.dataset(grant.dataset)) if grant else "",
            purpose=grant.purpose if grant else "",
            by=_name(register.person(self._owner(grant))) if grant else "",
            used=_used(reading, grant.id) if grant else "",
            roles=row.roles if isinstance(row, Person) else (),
        )

    # ---- confirming and ending -------------------------------------------------------------------------------

    async def confirm_grants(self, connection: Connection, body: ConfirmGrants) -> RightsConfirmed:
        """These grants are still needed.

        Raises `Invalid` ("unknown-name", "how-many"), `Conflict` ("ended", "nothing-to-confirm"), `Corrupt`.
        """
        return await self._confirm("grant", body.grants, recertifying.confirm_grant, connection.actor)

    async def confirm_roles(self, connection: Connection, body: ConfirmRoles) -> RightsConfirmed:
        """The roles of these people are still needed; as `confirm_grants`. Nobody's own: `Conflict` ("own-self")."""
        return await self._confirm("person", body.people, recertifying.confirm_roles, connection.actor)

    async def _confirm(
        self, kind: str, asked: tuple[str, ...], confirm: Callable[[Writing, str, str], int], actor: str
    ) -> RightsConfirmed:
        """All of them in one transaction, each with its entry; twice the same is once."""
        wanted = tuple(dict.fromkeys(asked))
        if not 0 < len(wanted) <= MOST_CONFIRMED:
            raise Invalid("how-many", f"Confirm 1 to {MOST_CONFIRMED} at once.", str(len(wanted)))
        self._trusted.door.fresh()
        ids = {name: self._named(kind, name).id for name in wanted}

        def run(writing: Writing) -> dict[str, int]:
            return {name: confirm(writing, row_id, actor) for name, row_id in ids.items()}

        indexes, batch = await self._trusted.writer.run(run, alone=True)
        return RightsConfirmed({name: sealed_in(batch, index).id for name, index in indexes.items()})

    async def end(self, connection: Connection, body: EndGrant) -> said.Revoked:
        """This grant is not needed any more. Raises as `OperatorVerbs.revoke`."""
        return await self._ends.revoke(connection, said.Revoke("grant", body.grant, body.reason))

    def _named(self, kind: str, name: str) -> EndableRow:
        row = self._trusted.register.named(kind, name)
        if row is None:
            raise Invalid("unknown-name", f"There is no {kind} {name[:60]!r} in the register.")
        return row


def _name(row: EndableRow | None) -> str:
    return row.name if row is not None else ""


def _used(reading: Reading, grant: str) -> str:
    """When a grant was used last: a file that was opened, or records that were looked up; "" for never."""
    found = [
        entry.time_us
        for kind in _USES
        for entry in find(reading, Filter(grant=grant, kind=kind, newest_first=True, limit=1))
    ]
    return rfc3339(max(found)) if found else ""
