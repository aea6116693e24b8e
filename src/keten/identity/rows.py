"""How rooms above read and write a room's rows without touching its tables: checked, and each with its entry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Connection, Table, func, select

from keten.core.errors import Corrupt
from keten.identity import entries, tables
from keten.identity.model import Client, EndableRow, Ended, Person
from keten.ledger import bound
from keten.ledger.kinds import Kind
from keten.ledger.writing import Writing

T = TypeVar("T", bound=bound.BoundRow)
E = TypeVar("E", bound=EndableRow)
PAGE = 2000
ERASED_REASON = "erased"


class Rows(Generic[T]):
    """The rows of one kind.

    word: what the estate file and the commands call one. changed: the kind of entry of a plain change.
    refs: what an entry about a row concerns, by word.
    principal: whether a row is someone, and thus the subject of its entries.

    Every reading method raises `Corrupt` ("register-mismatch") for a row that is not what its last entry says.
    """

    def __init__(
        self,
        word: str,
        table: Table,
        type_: type[T],
        declared: Kind,
        changed: Kind,
        refs: Callable[[T], dict[str, str]],
        *,
        principal: bool = False,
    ) -> None:
        self.word = word
        self._table = table
        self._type = type_
        self._declared = declared
        self.changed = changed
        self._refs = refs
        self._principal = principal

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of entry by which an estate changes a row."""
        return (self._declared, self.changed)

    @property
    def table_name(self) -> str:
        """What its table is called in entries."""
        return str(self._table.name)

    def get(self, connection: Connection, row_id: str) -> T | None:
        """The row with this random id, or None."""
        return bound.get(connection, self._table, self._type, row_id)

    def find(self, connection: Connection, **equal: Any) -> tuple[T, ...]:
        """The rows whose columns equal these values, in the order in which they were last changed."""
        return tuple(bound.find(connection, self._table, self._type, **equal))

    def each(self, connection: Connection, wrong: Callable[[Corrupt], None] | None = None) -> Iterator[T]:
        """Every row, by id; never more than a page of them in memory. Do not write while reading on.

        wrong: is told of a row that does not hold, in place of raising, and the others follow.
        """
        last = ""
        statement = bound.checked_select(self._table).order_by(self._table.c.id).limit(PAGE)
        while page := connection.execute(statement.where(self._table.c.id > last)).all():
            yield from self._held(page, wrong)
            last = page[-1].id

    def _held(self, page: Iterable[Any], wrong: Callable[[Corrupt], None] | None) -> Iterator[T]:
        for found in page:
            try:
                row = bound.checked(self._table, self._type, found)
            except Corrupt as error:
                if wrong is None:
                    raise
                wrong(error)
            else:
                yield row

    def due(
        self,
        connection: Connection,
        column: str,
        until_us: int,
        most: int,
        wrong: Callable[[Corrupt], None] | None = None,
        **among: Collection[str],
    ) -> list[T]:
        """Rows of which a moment in this column (0: there is none) is before `until_us`: the nearest first, so many.

        wrong: as of `each`. among: only those whose column has one of these values.
        """
        moment = self._table.c[column]
        chosen = [self._table.c[name].in_(values) for name, values in among.items()]
        statement = bound.checked_select(self._table).where(moment > 0, moment < until_us, *chosen)
        found = connection.execute(statement.order_by(moment, self._table.c.id).limit(most)).all()
        return list(self._held(found, wrong))

    def due_count(self, connection: Connection, column: str, until_us: int) -> int:
        """How many rows `due` would find. Counted, not checked against the ledger."""
        moment = self._table.c[column]
        statement = select(func.count()).select_from(self._table).where(moment > 0, moment < until_us)
        return int(connection.execute(statement).scalar() or 0)

    def ids(self, connection: Connection, after: str, most: int) -> list[str]:
        """The ids of rows behind `after`, in order, at most so many. What they hold is not looked at."""
        column = self._table.c.id
        statement = select(column).where(column > after).order_by(column).limit(most)
        return [str(found) for found in connection.execute(statement).scalars()]

    def current(self, writing: Writing, row_id: str) -> T | None:
        """The row as this transaction has it, or None. What it changed itself has no entry to check against yet."""
        statement = select(self._table.c.body, self._table.c.entry).where(self._table.c.id == row_id)
        found = writing.connection.execute(statement).first()
        if found is None:
            return None
        first = writing.next_index - writing.mark()[0]  # of the entries that this transaction will make
        if found.entry >= first:
            return msgspec.json.decode(found.body, type=self._type)
        return self.get(writing.connection, row_id)

    def declare(self, writing: Writing, row: T, actor: str) -> int:
        """Write a new row with its entry; returns the entry's index."""
        return self._write(writing, None, row, self._declared, actor)

    def change(self, writing: Writing, before: T, after: T, actor: str, kind: Kind | None = None) -> int:
        """Replace a row, with its entry; returns the entry's index. `Conflict` ("row-gone") when it is not there.

        kind: of the entry, where it says more than that the row changed.
        """
        return self._write(writing, before, after, kind or self.changed, actor)

    def _write(self, writing: Writing, before: T | None, after: T, kind: Kind, actor: str) -> int:
        subjects = (after.id,) if self._principal else ()
        return writing.write(self._table, before, after, kind, actor, subjects, self._refs(after))


class EndableRows(Rows[E]):
    """The rows of one kind that can end."""

    def __init__(
        self,
        word: str,
        table: Table,
        type_: type[E],
        declared: Kind,
        changed: Kind,
        ended: Kind,
        refs: Callable[[E], dict[str, str]],
        *,
        principal: bool = False,
    ) -> None:
        super().__init__(word, table, type_, declared, changed, refs, principal=principal)
        self.ended = ended

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of entry by which an estate changes a row, or ends it."""
        return (*super().kinds, self.ended)

    def end(self, writing: Writing, row: E, reason: str, actor: str) -> E:
        """End a row that has not ended, at the transaction's time; returns it as it is from now on."""
        after = msgspec.structs.replace(row, ended=Ended(writing.time_us, reason, actor))
        self._write(writing, row, after, self.ended, actor)
        return after


def erase(writing: Writing, row: Person | Client, fingerprint: str, actor: str) -> int:
    """Leave of a person or client that it was there and ended; returns the index of the entry that says so.

    What earlier entries say of it is not touched here (`keten.ledger.erasing`). fingerprint: keyed hash of its name.
    """
    ended = Ended(row.ended.at_us if row.ended else writing.time_us, ERASED_REASON, actor)
    left: Person | Client
    if isinstance(row, Person):
        table, kind, word = tables.people, entries.PERSON_ERASED, "person"
        left = Person(id=row.id, name=row.id, ended=ended, supplier=row.supplier, sealed="", erased=fingerprint)
    else:
        table, kind, word = tables.clients, entries.CLIENT_ERASED, "client"
        left = Client(id=row.id, name=row.id, ended=ended, supplier=row.supplier, keys=(), erased=fingerprint)
    return writing.rewrite(table, left, kind, actor, _of_supplier(word)(left), {})


class _Standing(msgspec.Struct, frozen=True, gc=False):
    ended: Any = None


def leave_erased(writing: Writing, left: Person | Client, actor: str) -> int:
    """Write what is left of a person or client that was erased elsewhere (`erase`), whether or not its row is here."""
    rows, table, kind = (
        (people, tables.people, entries.PERSON_ERASED)
        if isinstance(left, Person)
        else (clients, tables.clients, entries.CLIENT_ERASED)
    )
    refs = _of_supplier(rows.word)(left)
    if rows.current(writing, left.id) is None:
        return writing.write(table, None, left, kind, actor, (), refs)
    return writing.rewrite(table, left, kind, actor, refs, {})


def active_clients(connection: Connection, supplier: str = "") -> int:
    """How many system accounts have not ended, of one supplier or of all. Counted, not checked against the ledger."""
    statement = select(tables.clients.c.body)
    if supplier:
        statement = statement.where(tables.clients.c.supplier == supplier)
    read = msgspec.json.Decoder(_Standing).decode
    count = 0
    for body in connection.execute(statement).scalars():
        try:
            count += read(body).ended is None
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
            continue
    return count


def _of_supplier(word: str) -> Callable[[Person | Client], dict[str, str]]:
    def refs(row: Person | Client) -> dict[str, str]:
        return {word: row.id} | ({"supplier": row.supplier} if row.supplier else {})

    return refs


people: EndableRows[Person] = EndableRows(
    "person",
    tables.people,
    Person,
    entries.PERSON_DECLARED,
    entries.PERSON_CHANGED,
    entries.PERSON_ENDED,
    _of_supplier("person"),
    principal=True,
)
clients: EndableRows[Client] = EndableRows(
    "client",
    tables.clients,
    Client,
    entries.CLIENT_DECLARED,
    entries.CLIENT_CHANGED,
    entries.CLIENT_ENDED,
    _of_supplier("client"),
    principal=True,
)
