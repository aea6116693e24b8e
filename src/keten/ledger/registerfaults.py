"""Verification of the register: every row is what its last entry says, and no entry's row is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, column, func, or_, select, table

from keten.ledger.bound import BoundRow, bound_tables, mismatches
from keten.ledger.faults import Fault
from keten.ledger.reading import UNREADABLE, raw
from keten.ledger.tables import changes

_ROWS_AT_ONCE = 500
_NOT_COPIES = frozenset({"body", "entry"})


class Change(msgspec.Struct, frozen=True, gc=False):
    """A change that an entry recorded: the row's id and what it became, as exact JSON."""

    table: str
    row: str
    index: int
    after: bytes


class Shape(msgspec.Struct, frozen=True):
    """What must be known of a table of the register to verify its rows: its columns and their type in code."""

    table: str
    columns: tuple[str, ...]
    kind: type[BoundRow]


def shapes() -> tuple[Shape, ...]:
    """Every table of the register that is known here."""
    return tuple(
        Shape(name, tuple(each.name for each in known.columns), kind)
        for name, (known, kind) in sorted(bound_tables().items())
    )


def change_faults(
    connection: Connection, register: Sequence[Shape], recorded: Sequence[Change], size: int
) -> Iterator[Fault]:
    """Rows that do not agree with these changes; rows changed by entries from `size` on are too new to be verified.

    1. The table is known, and the row is in it.
    2. The row is not older than the change.
    3. If the change is its last one, the row's body is byte for byte what the change says.
    4. The row's columns are copies of its body.
    """
    by_table: dict[str, list[Change]] = {}
    for change in recorded:
        by_table.setdefault(change.table, []).append(change)
    known = {shape.table: shape for shape in register}
    for name, some in by_table.items():
        if name not in known:  # 1
            what = "it changes a table of the register that is not known here"
            yield from (Fault("register", what, index=change.index, table=name) for change in some)
            continue
        for at in range(0, len(some), _ROWS_AT_ONCE):
            yield from _table_faults(connection, known[name], some[at : at + _ROWS_AT_ONCE], size)


def _table_faults(
    connection: Connection, shape: Shape, some: Sequence[Change], size: int
) -> Iterator[Fault]:
    rows = table(shape.table, *(column(name) for name in shape.columns))  # columns without types: values as they are
    ids = sorted({change.row for change in some})
    found = {row.id: row for row in connection.execute(select(rows).where(rows.c.id.in_(ids)))}
    for change in some:
        row = found.get(change.row)
        if row is None:
            yield _fault(shape.table, change.row, "the row is missing")
        elif not isinstance(row.entry, int):
            yield _fault(shape.table, change.row, "its column entry is not a number")
        elif row.entry < change.index:  # 2
            yield older(shape.table, change.row, row.entry, change.index)
        elif row.entry == change.index and row.entry < size:
            yield from _row_faults(shape, row, change)


def _row_faults(shape: Shape, row: Any, change: Change) -> Iterator[Fault]:
    if row.body != change.after:  # 3
        yield _fault(shape.table, change.row, f"it differs from what entry {change.index} recorded")
    try:
        body = msgspec.json.decode(change.after, type=shape.kind)
    except UNREADABLE as error:
        yield _fault(shape.table, change.row, f"what entry {change.index} recorded is no such row: {error}")
        return
    for name in shape.columns:  # 4
        if name not in _NOT_COPIES and getattr(row, name) != getattr(body, name):
            yield _fault(shape.table, change.row, f"column {name} does not match what entry {change.index} recorded")


def older(name: str, row: str, entry: Any, index: int) -> Fault:
    """The fault of a row that was set back."""
    return _fault(name, row, f"it is of entry {entry!r:.40}, though entry {index} changed it after that")


def _fault(name: str, row: str, what: str) -> Fault:
    return Fault("register", what, table=name, row=row)


def row_faults(connection: Connection) -> Iterator[Fault]:
    """Rows that no entry wrote, and rows that are not of the newest entry that wrote them."""
    for name, (rows, _kind) in bound_tables().items():
        newest = select(func.max(changes.c.idx)).where(changes.c.ref == rows.c.id).scalar_subquery()
        wrong = or_(newest.is_(None), newest != rows.c.entry, rows.c.entry.is_(None))
        for row in connection.execute(select(raw(rows.c.id), raw(rows.c.entry), newest.label("newest")).where(wrong)):
            row_id = row.id if isinstance(row.id, str) else f"{row.id!r:.60}"
            if row.newest is None:
                yield _fault(name, row_id, "no entry declared this row")
            elif isinstance(row.entry, int) and row.entry < row.newest:
                yield older(name, row_id, row.entry, row.newest)
            else:
                what = f"it says entry {row.entry!r:.40} changed it last, but that was entry {row.newest}"
                yield _fault(name, row_id, what)


def rows_against_entries(connection: Connection, most: int) -> tuple[int, list[Fault]]:
    """Compare up to `most` rows with their own last entries: how many were looked at, and what does not hold.

    Sooner done than a verification, which reads every entry; it believes `changes`. The smallest tables come first.
    """
    seen = 0
    found: list[Fault] = []
    by_size = sorted((_rows_in(connection, rows), name) for name, (rows, _kind) in bound_tables().items())
    for _size, name in by_size:
        rows, kind = bound_tables()[name]
        count, wrong = mismatches(connection, rows, kind, most - seen)
        seen += count
        found += [_fault(name, one.row if isinstance(one.row, str) else f"{one.row!r:.60}", one.what) for one in wrong]
    return seen, found


def missing_rows(connection: Connection, most: int) -> list[Fault]:
    """Up to `most` rows that an entry declared and that are in no table."""
    gone = select(changes.c.ref, func.max(changes.c.idx).label("idx")).group_by(changes.c.ref)
    for rows, _kind in bound_tables().values():
        gone = gone.where(~select(rows.c.id).where(rows.c.id == changes.c.ref).exists())
    found = connection.execute(gone.limit(most))
    return [
        Fault("register", f"the row is missing, though entry {row.idx} recorded it", row=row.ref) for row in found
    ]


def row_count(connection: Connection) -> int:
    """How many rows the register has."""
    return sum(_rows_in(connection, rows) for rows, _kind in bound_tables().values())


def _rows_in(connection: Connection, rows: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(rows)).scalar() or 0)
