"""The register, row by row: each compared with its last entry, and what does not hold is named instead of shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, func, select
from sqlalchemy.exc import DBAPIError

import keten.budgets.extras  # declares those of requests for more
import keten.identity.passkeys  # declares those of passkeys and links
import keten.suppliers.register  # declares the tables of the register
import keten.vault.service  # declares those of the vault
import keten.watch.alerts  # noqa: F401 - declares those of alerts
from keten.console.model import Mismatch
from keten.core.db import is_value
from keten.core.errors import Corrupt
from keten.ledger.bound import BoundRow, bound_tables, checked, checked_select
from keten.ledger.reading import UNREADABLE, raw

T = TypeVar("T", bound=BoundRow)
PAGE = 500
_LONGEST = 120


class Rows:
    """Reads rows in one transaction, and keeps what did not hold in `mismatches`, each row once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._found: dict[tuple[str, str], Mismatch] = {}
        self.failures = 0
        """How often a row did not hold; the same row counts each time that it is read."""

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        """Every row that was read and does not hold."""
        return tuple(self._found.values())

    def all(self, kind: type[T], **equal: str) -> Iterator[T]:
        """The rows of this type whose columns have these values, by id; never more than a page in memory."""
        yield from self._all(kind, [_table(kind).c[name] == value for name, value in equal.items()])

    def few(self, kind: type[T], most: int, **equal: str) -> Iterator[T]:
        """As `all`, but the first `most` of them alone."""
        table = _table(kind)
        conditions = [table.c[name] == value for name, value in equal.items()]
        statement = select(raw(table.c.id)).where(*conditions).order_by(table.c.id).limit(most)
        ids = [one for one in self._connection.execute(statement).scalars() if isinstance(one, str)]
        yield from self._page(table, kind, ids)

    def among(self, kind: type[T], column: str, values: Sequence[str]) -> Iterator[T]:
        """The rows of this type whose column has one of these values, at most a page of them; by id, as `all`."""
        yield from self._all(kind, [_table(kind).c[column].in_(values[:PAGE])])

    def _all(self, kind: type[T], conditions: Sequence[ColumnElement[bool]]) -> Iterator[T]:
        table = _table(kind)
        last = ""
        statement = select(raw(table.c.id)).where(*conditions).order_by(table.c.id).limit(PAGE)
        while True:
            found = self._connection.execute(statement.where(table.c.id > last)).scalars()
            ids = [one for one in found if isinstance(one, str)]  # any other is no id, and `ledger verify` names it
            yield from self._page(table, kind, ids)
            if len(ids) < PAGE:
                return
            last = ids[-1]

    def some(self, kind: type[T], ids: Sequence[str]) -> Iterator[T]:
        """The rows with these ids, by id; those that are not there or do not hold are left out. At most a page."""
        return self._page(_table(kind), kind, list(ids[:PAGE]))

    def called(self, kind: type[BoundRow], most: int, also: str = "body") -> Iterator[tuple[str, str, Any]]:
        """Id, name and one more column of every row of this type, by name, at most so many; as stored, not checked.

        Only to choose which rows are shown; those are then read with `some`.
        """
        table = _table(kind)
        statement = select(raw(table.c.id), raw(table.c.name), raw(table.c[also])).order_by(table.c.name).limit(most)
        for row_id, name, value in self._connection.execute(statement):
            if isinstance(row_id, str):
                yield row_id, name if isinstance(name, str) else "", value

    def newest(
        self, kind: type[BoundRow], by: str, states: Sequence[str] = (), before: int = 0, most: int = PAGE
    ) -> list[tuple[str, int]]:
        """Ids of the rows in these states (none: all), the newest first by the column `by`, with its value.

        before: only those whose value is below; 0 for all. As stored, as of `called`.
        """
        table = _table(kind)
        statement = select(raw(table.c.id), table.c[by]).order_by(table.c[by].desc()).limit(most)
        if states:
            statement = statement.where(table.c.state.in_(states))
        if before:
            statement = statement.where(table.c[by] < before)
        found = self._connection.execute(statement)
        return [(row_id, int(value)) for row_id, value in found if isinstance(row_id, str)]

    def count(self, kind: type[BoundRow], states: Sequence[str], by: str = "", since: int = 0) -> int:
        """How many rows are in these states; since: only those whose column `by` is above."""
        table = _table(kind)
        statement = select(func.count()).select_from(table).where(table.c.state.in_(states))
        if by:
            statement = statement.where(table.c[by] > since)
        return int(self._connection.execute(statement).scalar_one())

    def one(self, kind: type[T], row_id: str) -> T | None:
        """The row with this id; None when it is not there or does not hold."""
        return next(self._page(_table(kind), kind, [row_id]), None)

    def _page(self, table: Table, kind: type[T], ids: list[str]) -> Iterator[T]:
        """The checked rows. Where one holds what can't be read at all (a number for a text, say), one by one."""
        statement = checked_select(table).where(table.c.id.in_(ids)).order_by(table.c.id)
        try:
            found = self._connection.execute(statement).all()
        except (*UNREADABLE, DBAPIError) as error:
            if not _is_value(error):
                raise
            if len(ids) == 1:
                self._note(table, ids[0], "it holds what cannot be read")
                return
            for row_id in ids:
                yield from self._page(table, kind, [row_id])
            return
        for row in found:
            try:
                yield checked(table, kind, row)
            except Corrupt as error:
                self._note(table, row.id, error.reason.partition(": ")[2])
            except UNREADABLE:
                self._note(table, row.id, "it holds what cannot be read")

    def _note(self, table: Table, row_id: str, what: str) -> None:
        self.failures += 1
        name: Any = ""
        try:
            name = self._connection.execute(select(raw(table.c.name)).where(table.c.id == row_id)).scalar()
        except DBAPIError as error:
            if not _is_value(error):
                raise
        shown = name if isinstance(name, str) else ""
        self._found[table.name, row_id] = Mismatch(str(table.name), row_id, shown[:_LONGEST], what[:_LONGEST])


def _is_value(error: Exception) -> bool:
    """Whether a stored value could not be read, and not the database."""
    return not isinstance(error, DBAPIError) or is_value(error)


def _table(kind: type[BoundRow]) -> Table:
    """The table of a type of row. `ValueError` for a type that has none."""
    for table, found in bound_tables().values():
        if found is kind:
            return table
    raise ValueError(f"{kind.__name__} is not a row of the register")
