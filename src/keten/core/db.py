"""The database: one engine for the keeper that writes, read-only engines for everybody else.

A `Place` says where it is: a file of SQLite's, or a server of PostgreSQL's. Each engine has a file of its own
(`keten.core.sqlite`, `keten.core.postgres`) that does natively what `Driver` asks for. Everybody else asks here,
writes statements of SQLAlchemy Core that both can run, and does not know which of them it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, CursorResult, Engine, MetaData, Select, Table, Update
from sqlalchemy.exc import DBAPIError

from keten.core import sqlite
from keten.core.errors import FsyncFailed, KetenError, Unavailable
from keten.core.files import Files
from keten.core.places import Place

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

SECRET = {"secret": True}
"""`info` of a table that holds wrapped keys: whoever only reads, such as the console, gets nothing of it."""
class Weakness(msgspec.Struct, frozen=True):
    """What is wrong (`grave`) or weak with a database, or with who may use it, and what to do about it."""

    code: str
    what: str
    todo: str
    grave: bool


class Log(Protocol):
    """What is looked after beside whoever writes; see `keep_log`.

    remains: why `empty` may fail, for an operator. reaches: whether all that the engine keeps is within reach here.
    doing: what keeps everybody else waiting now, for an operator; "" for nothing.
    """

    remains: str
    reaches: bool
    doing: str

    def after_commit(self) -> None:
        """A transaction is durable and the next has not begun. In one thread at a time."""

    def empty(self) -> bool:
        """Leave nothing of what was deleted where the engine keeps old pages; whether that is so."""

    def scrub(self, traces: Collection[bytes] | None, between: Callable[[Callable[[], bool]], bool]) -> bool:
        """As `empty`, and nowhere else in its files either; traces: what is looked for, None where it is not known.

        between: runs what no transaction may be open for; all else is done beside whoever writes.
        """

    def close(self) -> None:
        """No more."""

    def release(self) -> None:
        """After `close`, and after every other connection of this process to the database is closed."""


class Driver(Protocol):
    """What each engine does in its own way. The functions of this module say more of each."""

    ADMINISTRATORS_SQL: str

    @property
    def Error(self) -> type[Exception]:  # noqa: N802  # the name that PEP 249 gives it
        """What the engine's library raises."""

    def writing_engine(self, place: Any) -> Engine:
        """One connection that writes."""

    def reading_engine(self, place: Any) -> Engine:
        """Connections that only read."""

    def insert_many(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, fast."""

    def rows_written(self, connection: Connection) -> int:
        """Rows that the connection has written."""

    def patience(self, connection: Connection, seconds: float) -> None:
        """How long to wait for another process."""

    def is_busy(self, error: BaseException | None) -> bool:
        """Whether another process holds the database."""

    def is_value(self, error: BaseException | None) -> bool:
        """Whether it is about a value, not about the database."""

    def translate(self, error: BaseException | None) -> KetenError:
        """Keten's error for one of the library."""

    def take(self, engine: Engine, name: str) -> bool:
        """Become the one keeper of a log."""

    def keep_log(self, engine: Engine, place: Any, failed: Callable[[FsyncFailed], None]) -> Log:
        """What is looked after beside whoever writes."""

    def alone(self, connection: Connection) -> None:
        """Let no other process make or change tables until this transaction ends."""

    def weaknesses(self, engine: Engine, secret: frozenset[str]) -> Iterator[Weakness]:
        """What to tell an operator; `secret`: tables that only the keeper may read."""

    def before_upgrade(self, place: Any, revision: str, files: Files) -> None:
        """Keep, or say, what there is to go back to."""

    def after_upgrade(self, engine: Engine, place: Any, readable: Mapping[str, bool], files: Files) -> None:
        """Make it durable, and readable for who may read it; `readable`: each table that is known here."""


def _driver_of(name: str) -> Driver:
    if name == "sqlite":
        return sqlite
    from keten.core import postgres  # noqa: PLC0415  # its library is an extra, and takes long to import

    return postgres


def version_of(connection: Connection) -> str:
    """What keeps the state, and in which version, for people: "SQLite 3.40.1"."""
    found = connection.dialect
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(found.name, found.name)
    return f"{name} {'.'.join(str(part) for part in found.server_version_info or ())}"


def driver(where: Place | Connection | Engine) -> Driver:
    """The engine's own file."""
    if isinstance(where, Connection | Engine):
        return _driver_of(where.dialect.name)
    return _driver_of("sqlite" if isinstance(where, Path) else "postgresql")


def _driver_of_error(error: BaseException | None) -> Driver:
    return _driver_of("postgresql" if type(error).__module__.partition(".")[0] == "psycopg" else "sqlite")


def writing_engine(place: Place) -> Engine:
    """The keeper's engine: one connection, every commit durable when it returns.

    Raises `Unavailable`, also when the server may lose what it commits ("database-not-durable").
    """
    return driver(place).writing_engine(place)


def reading_engine(place: Place) -> Engine:
    """A read-only engine (the keeper's own reads, the console, verification); each transaction sees one moment."""
    return driver(place).reading_engine(place)


def insert_many(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows given as tuples in the order of the table's columns.

    The values go to the driver as they are, without SQLAlchemy's work per row, which at thousands of rows a second is
    more than the database's. Raises `DBAPIError`.
    """
    if rows:
        driver(connection).insert_many(connection, table, rows)


class Prepared:
    """A statement that is made into text once, and then goes to the driver without SQLAlchemy's work for each call.

    For a few rows: that work takes several times as long as the database. `names`: of its parameters, in the
    order in which their values are given.
    """

    def __init__(self, statement: Select[Any] | Update, names: Sequence[str]) -> None:
        self._statement = statement
        self._names = list(names)
        self._texts: dict[str, str] = {}

    def rows(self, connection: Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """All rows, as the driver gives them, in the connection's transaction, which begins if need be.

        Raises `DBAPIError`.
        """
        with self._executed(connection, values) as cursor:
            return list(cursor.fetchall())

    def changed(self, connection: Connection, values: Sequence[Any]) -> int:
        """How many rows it changed, as `rows`."""
        with self._executed(connection, values) as cursor:
            return int(cursor.rowcount)

    @contextmanager
    def _executed(self, connection: Connection, values: Sequence[Any]) -> Iterator[Any]:
        text = self._texts.get(connection.dialect.name) or self._text(connection)
        if not connection.in_transaction():
            connection.begin()
        try:
            cursor = connection.connection.cursor()
            cursor.execute(text, values)
            yield cursor
        except driver(connection).Error as error:
            raise DBAPIError(text, tuple(values), error) from error

    def _text(self, connection: Connection) -> str:
        compiled = self._statement.compile(dialect=connection.dialect)
        if list(compiled.positiontup or []) != self._names:
            raise Unavailable("database", "This database driver is not supported.", f"parameters {self._names}")
        return self._texts.setdefault(connection.dialect.name, str(compiled))


def fetched(result: CursorResult[Any]) -> list[tuple[Any, ...]]:
    """All rows of a result, as the driver gives them: a fifth less work where there are very many.

    Values are not converted, which columns of text, numbers and bytes do not need. Raises `DBAPIError`.
    """
    try:
        rows: list[tuple[Any, ...]] = list(result.cursor.fetchall())
    except driver(result.connection).Error as error:
        raise DBAPIError(None, None, error) from error
    finally:
        result.close()
    return rows


def rows_written(connection: Connection) -> int:
    """How many rows this connection has written since it was opened: whether something changed between two calls."""
    return driver(connection).rows_written(connection)


def patience(connection: Connection, seconds: float) -> None:
    """How long this connection waits, from its next transaction on, for another process that holds the database."""
    driver(connection).patience(connection, seconds)


def is_busy(error: DBAPIError) -> bool:
    """Whether another process holds the database at this moment."""
    return _driver_of_error(error.orig).is_busy(error.orig)


def is_value(error: DBAPIError) -> bool:
    """Whether a stored value could not be read, and not the database."""
    return _driver_of_error(error.orig).is_value(error.orig)


@contextmanager
def translated() -> Iterator[None]:
    """Database failures as Keten's: disk full → `Unavailable`; I/O error → `FsyncFailed`; damage → `Corrupt`."""
    try:
        yield
    except DBAPIError as error:
        raise database_error(error) from error


def database_error(error: DBAPIError) -> KetenError:
    """The Keten error for a database failure.

    `FsyncFailed` is also what it is called when the connection was lost: whether the last commit happened is not known.
    """
    return _driver_of_error(error.orig).translate(error.orig)


def take(engine: Engine, name: str) -> bool:
    """Become the one keeper of the log `name` in this database, for as long as the engine's connection lasts.

    False when another process is. For a file, whose instance has a lock of its own, always true.
    """
    return driver(engine).take(engine, name)


def keep_log(engine: Engine, place: Place, failed: Callable[[FsyncFailed], None]) -> Log:
    """Look after what lies beside the database's own pages, and after the connection of whoever writes.

    failed: called, in a thread of its own, when what is durable is not known any more.
    """
    return driver(engine).keep_log(engine, place, failed)


def administrators_sql() -> str:
    """What a database administrator runs before `keten init`: roles and an empty database."""
    return _driver_of("postgresql").ADMINISTRATORS_SQL


def readable_tables() -> dict[str, bool]:
    """Whether who only reads may read it: every table whose room is imported. Of others nothing may be concluded."""
    return {str(name): not table.info.get("secret") for name, table in metadata.tables.items()}


def weaknesses(engine: Engine) -> Iterator[Weakness]:
    """What is wrong or weak with a database, beyond its folder and file. Raises `DBAPIError`."""
    return driver(engine).weaknesses(engine, frozenset(name for name, may in readable_tables().items() if not may))


def own_folder(place: Place) -> Path | None:
    """The folder whose disk the database fills; None when that is not this machine's to watch."""
    return place.parent if isinstance(place, Path) else None


def set_aside(place: Place, files: Files) -> str:
    """Give a database that is used no more, and that nobody has open, another name; that name, "" on a server."""
    if not isinstance(place, Path):
        return ""
    number = 1
    while (target := place.with_name(f"{place.name}.moved-{number}")).exists():
        number += 1
    files.rename(place, target)
    return target.name


def copies(file: Path) -> list[str]:
    """Names of what an upgrade or a move left of the database in `file`, or of one that was there before a server's."""
    return sorted(path.name for kind in ("before", "moved") for path in file.parent.glob(f"*{file.name}.{kind}-*"))
