"""One supplier: what it may have and has, by which contracts, who acts for it, and what happened."""

from __future__ import annotations

import msgspec

from keten.console.model import Held, Share
from keten.console.readings.desk import Reading
from keten.console.readings.lines import Lines, lines
from keten.core.errors import NotFound
from keten.identity.model import Client, Ended, Person
from keten.ledger.query import Filter
from keten.suppliers.model import Contract, Supplier

NEWEST = 25
MOST_ROWS = 20


class Acting(msgspec.Struct, frozen=True):
    """A person or system account of the supplier. keys: of a system account, how many."""

    id: str
    name: str
    ended: Ended | None
    suspended_until_us: int
    slowed: int
    keys: int = 0
    roles: tuple[str, ...] = ()


class SupplierPage(msgspec.Struct, frozen=True):
    """A supplier. grants, open: how many lines there are, and how many of them give access now.

    more: it has more grants, contracts, people or accounts than are shown. broken: rows that do not hold.
    complete: the ledger was read to its end, so that what was received is all of it. under_way: transfers that go on.
    """

    at_us: int
    now_us: int
    row: Supplier
    shares: tuple[Share, ...]
    grants: int
    open: int
    held: Held
    contracts: tuple[Contract, ...]
    people: tuple[Acting, ...]
    clients: tuple[Acting, ...]
    timeline: Lines
    under_way: int
    more: bool
    broken: int
    complete: bool


def read(reading: Reading, supplier_id: str) -> SupplierPage:
    """The supplier with this id. Raises `NotFound` where there is none, or its row does not hold."""
    rows, now = reading.rows, reading.now_us
    row = rows.one(Supplier, supplier_id)
    if row is None:
        raise NotFound("not-found", "There is no such page.", supplier_id)
    history = reading.history
    shared = reading.sharing.of(rows, reading.connection, history, row, now)
    contracts = sorted(rows.all(Contract, supplier=row.id), key=lambda one: (one.ended is not None, -one.ends_us))
    people = [acting(one, now) for one in rows.all(Person, supplier=row.id)]
    clients = [acting(one, now) for one in rows.all(Client, supplier=row.id)]
    newest = Filter(supplier=row.id, limit=NEWEST, newest_first=True)
    return SupplierPage(
        at_us=reading.at_us,
        now_us=now,
        row=row,
        shares=shared.shares[:MOST_ROWS],
        grants=len(shared.shares),
        open=sum(one.state == "open" for one in shared.shares),
        held=shared.held,
        contracts=tuple(contracts[:MOST_ROWS]),
        people=tuple(sorted(people, key=_order)[:MOST_ROWS]),
        clients=tuple(sorted(clients, key=_order)[:MOST_ROWS]),
        timeline=lines(reading.connection, reading.names, newest),
        under_way=sum(one.refs.get("supplier") == row.id for one in history.under_way.values()),
        more=shared.cut or max(len(shared.shares), len(contracts), len(people), len(clients)) > MOST_ROWS,
        broken=len(rows.mismatches),
        complete=history.read >= history.entries,
    )


def acting(row: Person | Client, now_us: int) -> Acting:
    """A person or system account as it is at a moment."""
    held = row.restraint if row.suspended_at(now_us) else None
    return Acting(
        id=row.id,
        name=row.name,
        ended=row.ended,
        suspended_until_us=held.suspended_until_us if held is not None else 0,
        slowed=row.slowed_at(now_us),
        keys=len(row.keys) if isinstance(row, Client) else 0,
        roles=row.roles if isinstance(row, Person) else (),
    )


def _order(one: Acting) -> tuple[bool, str]:
    return one.ended is not None, one.name.casefold()
