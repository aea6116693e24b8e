"""One transaction of the only writer: changes, entries and the new signed head commit together, or none (law 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, bindparam, insert, select, update

from keten.core.db import Prepared, insert_many
from keten.core.errors import Conflict, FsyncFailed
from keten.ledger import bound
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from keten.ledger.notes import Verifier
from keten.ledger.sealing import Batch, Head, Sealer, head_from_row
from keten.ledger.tables import changes, entries, head

ROWS_AT_ONCE = 1000
_PARTS = ("size", "root", "edge", "note", "time_us")
_ALL = (*_PARTS, "low_water")
_BEFORE = (head.c.size == bindparam("before_size"), head.c.root == bindparam("before_root"))


def _replacing(parts: Sequence[str], *before: ColumnElement[bool]) -> Prepared:
    """Replace these parts of the head, where it is the one of before."""
    names = [f"{part}_" for part in parts] + (["before_size", "before_root"] if before else [])
    values: dict[str, Any] = {part: bindparam(f"{part}_") for part in parts}
    return Prepared(update(head).where(*before).values(values), names)


_KEEPING, _MOVING = _replacing(_PARTS), _replacing(_ALL)
_KEEPING_AFTER, _MOVING_AFTER = _replacing(_PARTS, *_BEFORE), _replacing(_ALL, *_BEFORE)
_LOCKING = Prepared(select(head.c.size, head.c.root).with_for_update(), [])


class Writing:
    """What a verb may do inside a transaction. Rooms get this object and never commit themselves."""

    def __init__(self, connection: Connection, sealer: Sealer, before: Head, time_us: int) -> None:
        self.connection = connection
        self.time_us = max(time_us, before.time_us)
        self._sealer = sealer
        self._before = before
        self._drafts: list[Draft] = []
        self.opened: list[int] = []
        self.closed: list[int] = []
        self.erased: list[int] = []  # entries whose payload this transaction destroys
        self._inserts: dict[str, list[dict[str, Any]]] = {}
        self._changed: list[tuple[str, int]] = []
        self.decides = False
        """Whether a row that decisions may look at was declared or changed."""
        self.last = False
        """Whether nothing may be recorded here after this transaction: the log goes on elsewhere."""

    @property
    def changed(self) -> bool:
        """Whether a bound row was declared or changed."""
        return bool(self._changed)

    @property
    def next_index(self) -> int:
        """The index that the next recorded entry will have."""
        return self._before.size + len(self._drafts)

    def record(self, draft: Draft) -> int:
        """Add a fact; returns the index that its entry will have."""
        self._drafts.append(draft)
        return self.next_index - 1

    def open(self, index: int) -> None:
        """Say that the entry at `index` began something whose end will be recorded (see `head.low_water`)."""
        self.opened.append(index)

    def close(self, index: int) -> None:
        """Say that what the entry at `index` began has its end recorded in this transaction."""
        self.closed.append(index)

    def mark(self) -> tuple[int, int, int]:
        """Where to go back to with `undo`."""
        return len(self._drafts), len(self.opened), len(self.closed)

    def undo(self, mark: tuple[int, int, int]) -> None:
        """Forget the facts recorded since `mark` (for a job that shares its transaction and failed)."""
        del self._drafts[mark[0] :]
        del self.opened[mark[1] :]
        del self.closed[mark[2] :]

    def write(
        self,
        table: Table,
        before: bound.BoundRow | None,
        after: bound.BoundRow,
        kind: Kind,
        actor: str,
        subjects: Sequence[str] = (),
        refs: dict[str, str] | None = None,
        details: dict[str, Any] | None = None,
    ) -> int:
        """Declare (`before` None) or change a bound row, with its entry; returns the entry's index."""
        index = self.record(
            Draft(
                kind,
                actor,
                tuple(subjects),
                refs or {},
                (details or {}) | bound.change_details(table, before, after),
            )
        )
        self._noted(table, after.id, index)
        row = bound.values(table, after) | {"entry": index}
        if before is None:
            waiting = self._inserts.setdefault(table.name, [])
            waiting.append(row)
            if len(waiting) >= ROWS_AT_ONCE:  # prepared for the database, a row takes several times its size
                self._flush_rows()
        else:
            self._flush_rows()
            done = self.connection.execute(update(table).where(table.c.id == after.id).values(row))
            if done.rowcount != 1:
                raise Conflict("row-gone", "The row that was to be changed is not there.", f"{table.name} {after.id}")
        return index

    def rewrite(
        self, table: Table, after: bound.BoundRow, kind: Kind, actor: str, refs: dict[str, str], details: dict[str, Any]
    ) -> int:
        """Change a bound row without saying what it was (`before` is null); returns the entry's index."""
        index = self.record(Draft(kind, actor, (), refs, details | bound.change_details(table, None, after)))
        self._noted(table, after.id, index)
        self._flush_rows()
        row = bound.values(table, after) | {"entry": index}
        if self.connection.execute(update(table).where(table.c.id == after.id).values(row)).rowcount != 1:
            raise Conflict("row-gone", "The row that was to be changed is not there.", f"{table.name} {after.id}")
        return index

    def _noted(self, table: Table, row_id: str, index: int) -> None:
        self._changed.append((row_id, index))
        self.decides = self.decides or bool(table.info["decides"])

    def _flush_rows(self) -> None:
        for name, rows in self._inserts.items():
            self.connection.execute(insert(bound.bound_tables()[name][0]), rows)
        self._inserts = {}

    def seal(self, low_water: int | None = None) -> Batch | None:
        """Write all entries and the new head; None when nothing was recorded. The caller commits."""
        self._flush_rows()
        if not self._drafts:
            return None
        batch = self._sealer.seal(self._before, self._drafts, self.time_us)
        insert_many(self.connection, entries, batch.rows)
        insert_many(self.connection, changes, self._changed)
        store_head(self.connection, batch.head, low_water, after=self._before)
        return batch


def require_head(connection: Connection, expected: Head) -> None:
    """Lock the stored head until this transaction ends, and see that nobody else has gone on from it.

    Raises `FsyncFailed` ("head-moved"): another keeper records in this database, so this one must stop.
    """
    found = _LOCKING.rows(connection, ())
    if (tuple(found[0]) if found else (0, expected.root)) != (expected.size, expected.root):
        raise _moved(expected)


def store_head(
    connection: Connection, new: Head, low_water: int | None = None, *, after: Head | None = None
) -> None:
    """Replace the stored head (one row).

    after: the head that must be stored there now; one without entries may not be stored yet. Raises `FsyncFailed`
    ("head-moved") when it is another one.
    """
    values: tuple[Any, ...] = (new.size, new.root, new.edge.encode(), new.note, new.time_us)
    if low_water is not None:
        values = (*values, low_water)
    if after is None:
        changed = (_KEEPING if low_water is None else _MOVING).changed(connection, values)
    else:
        replacing = _KEEPING_AFTER if low_water is None else _MOVING_AFTER
        changed = replacing.changed(connection, (*values, after.size, after.root))
    if changed == 0:
        if after is not None and after.size:
            raise _moved(after)
        row = dict(zip(_ALL, values, strict=False)) | {"one": 1, "low_water": low_water or 0}
        connection.execute(insert(head).values(row))


def _moved(expected: Head) -> FsyncFailed:
    public = "Another keeper records in this database; this one stops."
    return FsyncFailed("head-moved", public, f"the stored head is not that of size {expected.size}")


def load_head(connection: Connection, verifier: Verifier) -> Head | None:
    """The stored head, checked; None in a database without one. Raises `Corrupt`."""
    row = connection.execute(select(head)).mappings().first()
    return None if row is None else head_from_row(dict(row), verifier)


def load_low_water(connection: Connection) -> int:
    """The index from which accesses may still be open."""
    return int(connection.execute(select(head.c.low_water)).scalar() or 0)
