"""Rows of the register that are bound to the ledger: a row says what should be, its last entry proves who said so.

A bound row holds the JSON of one frozen type in `body`, the index of the entry that wrote it in `entry`, and copies
of some fields as columns to find it by. Reading checks all of it; what does not match is never used (law 4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Column, Connection, LargeBinary, Select, String, Table, bindparam, func, literal_column, select

from keten.core.db import Prepared, metadata
from keten.core.errors import Corrupt
from keten.ledger.reading import UNREADABLE
from keten.ledger.sealing import commitment, leaf_bytes
from keten.ledger.tables import Index, changes, entries

_FIXED = frozenset({"id", "name", "body", "entry"})
_ROWS_AT_ONCE = 500
_TABLES: dict[str, tuple[Table, type[BoundRow]]] = {}


class BoundRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every row of the register has: its random id, and the organisation's own name for it."""

    id: str
    name: str


T = TypeVar("T", bound=BoundRow)


class Mismatch(Corrupt):
    """A row that is not what the ledger says: of which table, which row (its id as it is stored), and what differs."""

    def __init__(self, table: str, row: Any, what: str) -> None:
        super().__init__(
            "register-mismatch",
            "A row of the register does not match the ledger; it is not used.",
            f"table {table}, row {row}: {what}",
        )
        self.table = table
        self.row = row
        self.what = what


class _Change(msgspec.Struct, frozen=True, gc=False):
    """The part of an entry's details that says what a row was and became."""

    table: str
    row: str
    after: msgspec.Raw
    before: msgspec.Raw = msgspec.Raw(b"null")


class _ChangePayload(msgspec.Struct, frozen=True, gc=False):
    details: _Change


_decode_change = msgspec.json.Decoder(_ChangePayload).decode


def bound_table(
    name: str, kind: type[BoundRow], *columns: Column[Any], added: Sequence[Column[Any]] = (), decides: bool = True
) -> Table:
    """Declare a table of bound rows of type `kind`; each extra column is named after a field of that type.

    added: those that an upgrade added, which stand behind all others.

    decides: whether a decision may look at such a row, so that a change of one ends what was remembered of the others.
    """
    table = Table(
        name,
        metadata,
        Column("id", String(26), primary_key=True),
        Column("name", String(200), nullable=False, index=True),
        *columns,
        Column("body", LargeBinary, nullable=False),
        Column("entry", Index, nullable=False),
        *added,
        info={"decides": decides},
    )
    _TABLES[name] = (table, kind)
    return table


def bound_tables() -> dict[str, tuple[Table, type[BoundRow]]]:
    """Every table of bound rows, by name, for verification."""
    return _TABLES


def values(table: Table, row: BoundRow) -> dict[str, Any]:
    """A row's column values, without `entry`."""
    fixed = {"id": row.id, "name": row.name, "body": msgspec.json.encode(row)}
    return fixed | {column.name: getattr(row, column.name) for column in table.columns if column.name not in _FIXED}


def change_details(table: Table, before: BoundRow | None, after: BoundRow) -> dict[str, Any]:
    """The `details` of the entry that declares or changes a row."""
    return {
        "table": str(table.name),  # SQLAlchemy's own kind of string otherwise
        "row": after.id,
        "before": msgspec.Raw(msgspec.json.encode(before)) if before else None,
        "after": msgspec.Raw(msgspec.json.encode(after)),
    }


def checked_select(table: Table) -> Select[Any]:
    """Rows of `table`, each with its entry and the newest change recorded for it, ready for `checked`."""
    newest = select(func.max(changes.c.idx)).where(changes.c.ref == table.c.id).scalar_subquery()
    return select(
        *table.columns,
        entries.c.idx.label("e_idx"),
        entries.c.id.label("e_id"),
        entries.c.payload.label("e_payload"),
        entries.c.salt.label("e_salt"),
        entries.c.leaf.label("e_leaf"),
        newest.label("e_newest"),
    ).select_from(table.outerjoin(entries, entries.c.idx == table.c.entry))


def checked(table: Table, kind: type[T], found: Sequence[Any]) -> T:
    """The row as its type, after comparing it with its last entry.

    1. The entry it names exists, is its newest change, and its payload is the one that the leaf commits to.
    2. What that entry says the row became is, byte for byte, what the row is.
    3. The columns are copies of what the body says.

    found: a row of `checked_select`. Raises `Mismatch` naming table, row and what differs.
    """
    row_id = found[0]
    place = _places(table)
    body, entry = found[place.body], found[place.entry]
    index, entry_id, payload, salt, leaf, newest = found[place.ends :]
    if index is None or payload is None:  # 1
        raise _mismatch(table, row_id, f"its entry {entry} is missing")
    if not all(isinstance(each, bytes) for each in (body, payload, salt, leaf)):  # a column may hold anything
        raise _mismatch(table, row_id, "something of it is not stored as bytes")
    if newest != entry:
        raise _mismatch(table, row_id, f"it is of entry {entry}, but entry {newest} changed it last")
    named = isinstance(entry_id, str) and entry_id.isascii()
    if not named or leaf_bytes(entry_id, commitment(salt, entry_id, payload)) != leaf:
        raise _mismatch(table, row_id, f"the payload of entry {entry} is not what its leaf commits to")
    try:
        change = _decode_change(payload).details  # 2
        row: T = _decoder(kind)(body)
    except UNREADABLE as error:
        raise _mismatch(table, row_id, str(error)) from error
    if change.table != table.name or change.row != row_id or bytes(change.after) != body:
        raise _mismatch(table, row_id, f"it differs from what entry {entry} recorded")
    for at, name in place.copies:  # 3
        if found[at] != getattr(row, name):
            raise _mismatch(table, row_id, f"column {name!r} does not match the row's body")
    return row


def get(connection: Connection, table: Table, kind: type[T], row_id: str) -> T | None:
    """One row by id, checked; None when there is none."""
    found = _prepared(table, ("id",)).rows(connection, (row_id,))
    return checked(table, kind, found[0]) if found else None


def newest_change(connection: Connection, row_id: str, but: str = "", below: int | None = None) -> int:
    """The index of the entry that declared or changed a row of any table last; -1 when none did.

    but: a kind of entry that changes nothing of what is asked about. below: only entries before that index.
    """
    found = connection.execute(
        select(func.max(changes.c.idx))
        .select_from(changes.join(entries, entries.c.idx == changes.c.idx))
        .where(changes.c.ref == row_id, entries.c.kind != but, *([] if below is None else [changes.c.idx < below]))
    ).scalar()
    return -1 if found is None else int(found)


def mismatches(connection: Connection, table: Table, kind: type[T], most: int) -> tuple[int, list[Mismatch]]:
    """Check up to `most` rows, in the order of their ids: how many were looked at, and those that do not hold."""
    wrong: list[Mismatch] = []
    seen, after = 0, ""
    while some := _page(table).rows(connection, (after, min(_ROWS_AT_ONCE, most - seen))):
        for row in some:
            try:
                checked(table, kind, row)
            except Mismatch as error:
                wrong.append(error)
        seen += len(some)
        after = some[-1][0]
    return seen, wrong


def find(connection: Connection, table: Table, kind: type[T], **equal: Any) -> list[T]:
    """Rows whose columns equal the given values, checked, in the order in which they were last changed."""
    found = _prepared(table, tuple(equal)).rows(connection, tuple(equal.values()))
    return [checked(table, kind, row) for row in found]


class _Places(msgspec.Struct, frozen=True, gc=False):
    """Where in a row of `checked_select` what stands; `copies`: of fields of the body. From `ends` on: its entry."""

    body: int
    entry: int
    copies: tuple[tuple[int, str], ...]
    ends: int


@cache
def _places(table: Table) -> _Places:
    names = [column.name for column in table.columns]
    copies = tuple((at, name) for at, name in enumerate(names) if name not in ("body", "entry"))
    return _Places(names.index("body"), names.index("entry"), copies, len(names))


@cache
def _decoder(kind: type[T]) -> Callable[[bytes], T]:
    return msgspec.json.Decoder(kind).decode


@cache
def _page(table: Table) -> Prepared:
    """Rows after an id, and how many at most."""
    after = table.c.id > bindparam("after_")
    statement = checked_select(table).where(after).order_by(table.c.id).limit(bindparam("most_"))
    statement = statement.offset(literal_column("0"))  # else there would be a parameter for it
    return Prepared(statement, ["after_", "most_"])


@cache
def _prepared(table: Table, names: tuple[str, ...]) -> Prepared:
    """Rows whose columns `names` equal parameters, given in that order."""
    statement = checked_select(table).order_by(table.c.entry)
    for name in names:
        statement = statement.where(table.c[name] == bindparam(f"{name}_"))
    return Prepared(statement, [f"{name}_" for name in names])


def _mismatch(table: Table, row_id: str, what: str) -> Mismatch:
    return Mismatch(str(table.name), row_id, what)
