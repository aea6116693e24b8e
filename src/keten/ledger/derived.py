"""Verification of `changes`, which is derived from entries: nothing missing, nothing more.

It has rows (ref, idx). Each range of entries looks for the rows that it must have; when the table has more rows than
were found so, the surplus is looked for one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection, String, Table, cast, func, select

from keten.ledger.faults import Fault
from keten.ledger.reading import raw
from keten.ledger.tables import entries

_REFS_AT_ONCE = 500
_ROWS_AT_ONCE = 2000

RefsOf = Callable[[Any, Any], set[str]]


class Expected:
    """The rows that a derived table must have of a range of entries; indexes are added in rising order."""

    def __init__(self) -> None:
        self.rows: dict[str, list[int]] = {}

    def add(self, refs: Iterable[str], index: int) -> None:
        """The rows of one entry."""
        rows = self.rows
        for ref in refs:
            found = rows.get(ref)
            if found is None:
                rows[ref] = [index]
            else:
                found.append(index)


class Compared(msgspec.Struct):
    """`there`: how many of the expected rows are in the table."""

    there: int = 0
    faults: list[Fault] = []


def compare(connection: Connection, table: Table, expected: Expected, first: int, end: int) -> Compared:
    """Whether the rows that are expected of a range are there.

    The database joins each id's indexes into one text, which nearly always equals the text that is expected.
    """
    compared = Compared()
    indexes = func.aggregate_strings(cast(table.c.idx, String), ",")
    refs = iter(expected.rows)
    while some := list(islice(refs, _REFS_AT_ONCE)):
        chosen = (
            select(raw(table.c.ref), indexes)
            .where(table.c.ref.in_(some), table.c.idx >= first, table.c.idx < end)
            .group_by(table.c.ref)
        )
        found = {row[0]: str(row[1]) for row in connection.execute(chosen)}
        for ref in some:
            wanted = expected.rows[ref]
            text = found.get(ref, "")
            if text == ",".join(map(str, wanted)):
                compared.there += len(wanted)
            else:
                _differ(compared, table, ref, set(wanted), text)
    return compared


def _differ(compared: Compared, table: Table, ref: str, wanted: set[int], text: str) -> None:
    """What is missing; what is too many is found by `surplus`."""
    there = wanted & {int(each) for each in text.split(",") if each.isdigit()}
    compared.there += len(there)
    for index in sorted(wanted - there):
        compared.faults.append(_missing(table, ref, index))


def surplus(
    connection: Connection, table: Table, there: int, end: int, refs_of: RefsOf
) -> Iterator[Fault]:
    """The rows of `table` beyond the `there` that were expected: no entry before `end` calls for them.

    `refs_of(kind, payload)` says which ids an entry has. Takes long only when there is something to be found.
    """
    count = int(connection.execute(select(func.count()).select_from(table)).scalar() or 0)
    left = count - there
    if left <= 0:
        return
    chosen = select(raw(table.c.ref), raw(table.c.idx)).execution_options(yield_per=_ROWS_AT_ONCE)
    for rows in connection.execute(chosen).partitions():
        known = _refs(connection, {row.idx for row in rows}, end, refs_of)
        for ref, index in rows:
            if ref not in known.get(index, ()):
                yield _too_many(table, ref, index)
                left -= 1
        if left <= 0:
            return


def _refs(connection: Connection, indexes: set[Any], end: int, refs_of: RefsOf) -> dict[Any, set[str]]:
    wanted = sorted(index for index in indexes if isinstance(index, int) and 0 <= index < end)
    known: dict[Any, set[str]] = {}
    for at in range(0, len(wanted), _REFS_AT_ONCE):
        columns = (raw(entries.c.idx), raw(entries.c.kind), raw(entries.c.payload))
        chosen = select(*columns).where(entries.c.idx.in_(wanted[at : at + _REFS_AT_ONCE]))
        known |= {row[0]: refs_of(row[1], row[2]) for row in connection.execute(chosen)}
    return known


def _missing(table: Table, ref: str, index: int) -> Fault:
    return Fault(str(table.name), "the row for this entry is missing", index=index, table=str(table.name), row=ref)


def _too_many(table: Table, ref: Any, index: Any) -> Fault:
    row = ref if isinstance(ref, str) else f"{ref!r:.90}"
    name = str(table.name)
    if isinstance(index, int):
        return Fault(name, "a row that this entry does not call for", index=index, table=name, row=row)
    return Fault(name, f"a row for no entry at all: {index!r:.40}", table=name, row=row)
