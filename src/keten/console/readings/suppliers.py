"""Every supplier, a page at a time, in the order of what people call them."""

from __future__ import annotations

import msgspec

from keten.console.readings.desk import Reading
from keten.console.readings.paging import chosen
from keten.identity.model import Client, Ended, Person
from keten.ledger.reading import UNREADABLE
from keten.suppliers.model import Contract, Supplier

PAGE = 50
MOST = 20_000
"""Suppliers that are looked through; beyond them only a search by name finds the others."""


class SupplierLine(msgspec.Struct, frozen=True):
    """A supplier. running: contracts that have begun and are not over; ends_us: when the first of them ends, 0: none.

    clients, people: system accounts and persons that have not ended. received_us: when it received something at last;
    0: never, as far as the ledger was read.
    """

    id: str
    name: str
    title: str
    country: str
    tier: str
    ended: Ended | None
    frozen_until_us: int
    running: int
    ends_us: int
    clients: int
    people: int
    received_us: int


class SupplierLines(msgspec.Struct, frozen=True):
    """A page of them. count: how many match; page: from 1, of `pages`. broken: on it, whose row does not hold."""

    at_us: int
    lines: tuple[SupplierLine, ...]
    count: int
    all: int
    page: int
    pages: int
    broken: int
    complete: bool


class _Called(msgspec.Struct, frozen=True, gc=False):
    title: str = ""


def read(reading: Reading, wanted: str, page: int) -> SupplierLines:
    """One page.

    1. The names of all, as stored: they only choose which rows are shown.
    2. The rows of the page, each checked against the ledger; what does not hold is counted.
    """
    on = chosen(_called(reading), wanted, page, PAGE)  # 1
    ids = on.ids
    last = _last_received(reading)
    found = {one.id: one for one in reading.rows.some(Supplier, ids)}  # 2
    contracts: dict[str, list[Contract]] = {}
    for contract in reading.rows.among(Contract, "supplier", ids):
        contracts.setdefault(contract.supplier, []).append(contract)
    clients: dict[str, int] = {}
    for client in reading.rows.among(Client, "supplier", ids):
        clients[client.supplier] = clients.get(client.supplier, 0) + (client.ended is None)
    people: dict[str, int] = {}
    for person in reading.rows.among(Person, "supplier", ids):
        people[person.supplier] = people.get(person.supplier, 0) + (person.ended is None)
    lines = tuple(
        _line(reading, found[one], contracts.get(one, []), (clients.get(one, 0), people.get(one, 0)), last.get(one, 0))
        for one in ids
        if one in found
    )
    return SupplierLines(
        reading.at_us,
        lines,
        on.count,
        on.all,
        on.page,
        on.pages,
        len(ids) - len(lines),
        reading.history.read >= reading.history.entries,
    )


def _called(reading: Reading) -> list[tuple[str, str, str]]:
    """Title, name and id of every supplier."""
    decode = msgspec.json.Decoder(_Called).decode
    found: list[tuple[str, str, str]] = []
    for row_id, shown, body in reading.rows.called(Supplier, MOST):
        try:
            title = decode(body).title
        except (*UNREADABLE, msgspec.MsgspecError):
            title = shown
        found.append((title.casefold(), shown.casefold(), row_id))
    return found


def _last_received(reading: Reading) -> dict[str, int]:
    last: dict[str, int] = {}
    for (supplier, _dataset, _grant), pieces in reading.history.pieces.items():
        newest = max((one.last_us for one in pieces.values()), default=0)
        last[supplier] = max(last.get(supplier, 0), newest)
    return last


def _line(
    reading: Reading, one: Supplier, contracts: list[Contract], acting: tuple[int, int], received_us: int
) -> SupplierLine:
    """acting: how many system accounts and people."""
    now = reading.now_us
    running = [row.ends_us for row in contracts if row.ended is None and row.starts_us <= now < row.ends_us]
    return SupplierLine(
        id=one.id,
        name=one.name,
        title=one.title,
        country=one.country,
        tier=one.tier,
        ended=one.ended,
        frozen_until_us=one.frozen.until_us if one.frozen is not None and one.frozen_at(now) else 0,
        running=len(running),
        ends_us=min(running, default=0),
        clients=acting[0],
        people=acting[1],
        received_us=received_us,
    )
