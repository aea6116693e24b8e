"""Who is how far in which budget: what each may still receive under a grant, in the windows that run now."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from keten.budgets.model import Left, Limit
from keten.budgets.service import left
from keten.console.readings.desk import Reading
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
    called = [row_id_name for row_id_name, dataset in _called(reading) if own is None or dataset in own]  # 1
    sought = wanted.casefold()
    matching = [row_id for name, row_id in sorted(called) if sought in name]
    pages = max(1, -(-len(matching) // PAGE))
    page = min(max(page, 1), pages)
    ids = matching[(page - 1) * PAGE : page * PAGE]
    found = {one.id: one for one in reading.rows.some(Grant, ids)}  # 2
    organisation = next(reading.rows.all(Organisation), None)
    zone = organisation.timezone if organisation else "UTC"
    lines = tuple(_line(reading, found[one], zone) for one in ids if one in found)  # 3
    broken = len(ids) - len(lines)
    return BudgetLines(reading.at_us, lines, len(matching), len(called), page, pages, broken, bool(owner))


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


def _line(reading: Reading, grant: Grant, zone: str) -> BudgetLine:
    names, rows = reading.names, reading.rows
    principals: list[Client | Person] = [*rows.all(Client, supplier=grant.supplier)]
    principals += rows.all(Person, supplier=grant.supplier)
    able = [one for one in principals if one.ended is None and (not grant.to or one.id in grant.to)]
    able.sort(key=lambda one: one.name)
    spent = tuple(
        Spent(one.name, left(reading.connection, grant, one.id, reading.now_us, zone)) for one in able[:MOST_OF_GRANT]
    )
    supplier, dataset = names.of(Supplier, grant.supplier), names.of(Dataset, grant.dataset)
    return BudgetLine(grant, supplier, dataset, spent, max(len(able) - MOST_OF_GRANT, 0))
