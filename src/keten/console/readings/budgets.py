"""Who is how far in which budget: what each may still receive under a grant, in the windows that run now."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from keten.budgets.model import Left, Limit
from keten.budgets.service import left
from keten.console.readings.desk import Reading
from keten.console.readings.paging import chosen
from keten.datasets.model import Dataset
from keten.identity.model import Client, Ended, Person
from keten.ledger.reading import UNREADABLE
from keten.suppliers.model import Grant, Organisation, Supplier

PAGE = 20
MOST = 20_000
MOST_OF_GRANT = 25
"""Principals that are shown of one grant, by name."""


class Spent(msgspec.Struct, frozen=True):
    """What one principal has received under a grant, in each of its windows."""

    who: str
    windows: tuple[Left, ...]


class BudgetLine(msgspec.Struct, frozen=True):
    """A grant with a budget; names, "" where a row is gone. more: principals that are not shown."""

    row: Grant
    supplier: str
    dataset: str
    spent: tuple[Spent, ...]
    more: int


class BudgetLines(msgspec.Struct, frozen=True):
    """A page of them; as of `readings.suppliers`. own: only those of one owner's datasets."""

    at_us: int
    lines: tuple[BudgetLine, ...]
    count: int
    all: int
    page: int
    pages: int
    broken: int
    own: bool


class _Stored(msgspec.Struct, frozen=True, gc=False):
    dataset: str = ""
    ended: Ended | None = None
    budget_records: int = 0
    more_budgets: tuple[Limit, ...] = ()


class _Owned(msgspec.Struct, frozen=True, gc=False):
    owner: str = ""


def read(reading: Reading, wanted: str, page: int, owner: str = "") -> BudgetLines:
    """One page, by the name of the grant. owner: only grants of datasets of this person; "": of all.

    1. Grants as stored choose which are shown: those that stand and have a budget.
    2. The rows of the page, each checked against the ledger; what does not hold is counted.
    3. Whoever may use each, and what that has received in the windows that run.
    """
    own = set(_own(reading, owner)) if owner else None
    called = (named for named, dataset in _called(reading) if own is None or dataset in own)
    on = chosen(called, wanted, page, PAGE)  # 1
    ids = on.ids
    found = {one.id: one for one in reading.rows.some(Grant, ids)}  # 2
    organisation = next(reading.rows.all(Organisation), None)
    zone = organisation.timezone if organisation else "UTC"
    able = _able(reading, tuple(found.values()))  # 3
    lines = tuple(_line(reading, found[one], able.get(found[one].supplier, []), zone) for one in ids if one in found)
    broken = len(ids) - len(lines)
    return BudgetLines(reading.at_us, lines, on.count, on.all, on.page, on.pages, broken, bool(owner))


def _called(reading: Reading) -> Iterator[tuple[tuple[str, str], str]]:
    """Name and id of each such grant, and its dataset."""
    decode = msgspec.json.Decoder(_Stored).decode
    for row_id, name, body in reading.rows.called(Grant, MOST):
        try:
            stored = decode(body)
        except (*UNREADABLE, msgspec.MsgspecError):
            yield (name.casefold(), row_id), ""  # it is read again with its entry, and counted as broken
            continue
        if stored.ended is None and (stored.budget_records or stored.more_budgets):
            yield (name.casefold(), row_id), stored.dataset


def _own(reading: Reading, owner: str) -> Iterator[str]:
    decode = msgspec.json.Decoder(_Owned).decode
    for row_id, _name, body in reading.rows.called(Dataset, MOST):
        try:
            if decode(body).owner == owner:
                yield row_id
        except (*UNREADABLE, msgspec.MsgspecError):
            continue


def _able(reading: Reading, grants: tuple[Grant, ...]) -> dict[str, list[Client | Person]]:
    """Whoever may act of each supplier, by name; and what the page calls suppliers and datasets, read together."""
    suppliers = sorted({one.supplier for one in grants})
    reading.names.load(Supplier, suppliers)
    reading.names.load(Dataset, (one.dataset for one in grants))
    rows: list[Client | Person] = [*reading.rows.among(Client, "supplier", suppliers)]
    rows += reading.rows.among(Person, "supplier", suppliers)
    able: dict[str, list[Client | Person]] = {}
    for one in rows:
        if one.ended is None:
            able.setdefault(one.supplier, []).append(one)
    return {supplier: sorted(some, key=lambda one: one.name) for supplier, some in able.items()}


def _line(reading: Reading, grant: Grant, able: list[Client | Person], zone: str) -> BudgetLine:
    names = reading.names
    named = [one for one in able if not grant.to or one.id in grant.to]
    spent = tuple(
        Spent(one.name, left(reading.connection, grant, one.id, reading.now_us, zone)) for one in named[:MOST_OF_GRANT]
    )
    supplier, dataset = names.of(Supplier, grant.supplier), names.of(Dataset, grant.dataset)
    return BudgetLine(grant, supplier, dataset, spent, max(len(named) - MOST_OF_GRANT, 0))
