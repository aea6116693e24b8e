"""What ending access would do: counted from the register and the ledger, before anybody confirms it."""

from __future__ import annotations

import msgspec

from keten.console.model import Held, Share
from keten.console.readings.desk import Reading
from keten.core.errors import NotFound
from keten.identity.model import Client, Ended, Person
from keten.suppliers.model import Contract, Grant, Supplier

KINDS: dict[str, type[Supplier | Contract | Grant | Client | Person]] = {
    "supplier": Supplier,
    "contract": Contract,
    "grant": Grant,
    "client": Client,
    "person": Person,
}


class Ending(msgspec.Struct, frozen=True):
    """What would end. kind: of `KINDS`. supplier, supplier_title: whose it is, "" for the organisation's own people.

    already: it has ended. clients, people: who may still act for it. open: its grants that give access now.
    transfers: that go on now and would be cut. held: what it has received and keeps; None for what received nothing by
    itself. complete: the ledger was read to its end, so that transfers and what is held are known.
    """

    kind: str
    id: str
    name: str
    supplier: str
    supplier_title: str
    already: Ended | None
    clients: int
    people: int
    contracts: int
    open: int
    transfers: int
    held: Held | None
    complete: bool


def read(reading: Reading, kind: str, row_id: str) -> Ending:
    """What ending this row would do. Raises `NotFound` where there is none, or its row does not hold."""
    row = reading.rows.one(KINDS[kind], row_id) if kind in KINDS else None
    if row is None:
        raise NotFound("not-found", "There is no such page.", row_id)
    supplier_id = row.id if isinstance(row, Supplier) else row.supplier
    supplier = reading.rows.one(Supplier, supplier_id) if supplier_id else None
    shares: list[Share] = []
    held: Held | None = None
    history = reading.history
    if supplier is not None and not isinstance(row, Client | Person):
        shared = reading.sharing.of(reading.rows, reading.connection, history, supplier, reading.now_us)
        shares = [one for one in shared.shares if _within(one, row)]
        held = shared.held if isinstance(row, Supplier) else None
    whole = isinstance(row, Supplier)
    return Ending(
        kind=kind,
        id=row.id,
        name=supplier.title if supplier is not None and whole else row.name,
        supplier=supplier_id,
        supplier_title=supplier.title if supplier is not None else "",
        already=row.ended,
        clients=_active(reading, Client, supplier_id) if whole else 0,
        people=_active(reading, Person, supplier_id) if whole else 0,
        contracts=_active(reading, Contract, supplier_id) if whole else 0,
        open=sum(one.state == "open" for one in shares),
        transfers=sum(_concerns(one.refs, one.actor, kind, row.id) for one in history.under_way.values()),
        held=held,
        complete=history.read >= history.entries,
    )


def _within(share: Share, row: Supplier | Contract | Grant) -> bool:
    if isinstance(row, Supplier):
        return True
    return share.contract == row.name if isinstance(row, Contract) else share.grant_id == row.id


def _active(reading: Reading, kind: type[Client | Person | Contract], supplier: str) -> int:
    return sum(one.ended is None for one in reading.rows.all(kind, supplier=supplier))


def _concerns(refs: dict[str, str], actor: str, kind: str, row_id: str) -> bool:
    return actor == row_id if kind in ("client", "person") else refs.get(kind) == row_id
