"""The database: one engine for the keeper that writes, read-only engines for everybody else.

Statements are SQLAlchemy Core that PostgreSQL could run as well; what is SQLite's own stands here only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, CursorResult, Engine, MetaData, Select, Table, Update, create_engine, event, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from keten.core.errors import Corrupt, FsyncFailed, KetenError, Unavailable

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_FULL = {"SQLITE_FULL"}
_CORRUPT = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CORRUPT_INDEX", "SQLITE_CORRUPT_VTAB"}


def writing_engine(path: Path) -> Engine:
    """The keeper's engine: WAL, every commit fsynced, transactions begun at once so that nobody else can write."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(path, check_same_thread=False),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def _connect(raw: sqlite3.Connection, _record: object) -> None:
        raw.isolation_level = None  # SQLAlchemy begins and commits; the driver must not guess
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "secure_delete=ON",
            "busy_timeout=5000",
            "wal_autocheckpoint=0",  # see `keten.core.wal`
            "cache_size=-65536",
            "temp_store=MEMORY",
        ):
            raw.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def reading_engine(path: Path) -> Engine:
    """A read-only engine (the keeper's own reads, the console, verification)."""
    # A file's name may hold anything, so it is quoted for the URI and kept out of SQLAlchemy's URL.
    uri = f"file:{quote(str(path))}?mode=ro"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False),
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=16,
    )

    @event.listens_for(engine, "connect")
    def _connect(raw: sqlite3.Connection, _record: object) -> None:
        raw.isolation_level = None
        for pragma in ("query_only=ON", "busy_timeout=5000", "cache_size=-65536", "mmap_size=1073741824"):
            raw.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        raw: object = connection.connection.dbapi_connection
        if isinstance(raw, sqlite3.Connection):
            raw.execute("BEGIN")  # it locks nothing yet, so nothing can fail that would have to be translated

    return engine


_COMPILED: dict[tuple[str, str], tuple[str, list[str]]] = {}


def insert_many(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows given as tuples in the order of the table's columns.

    The statement is SQLAlchemy's own for the database at hand, compiled once; the values go to the driver as they
    are, without SQLAlchemy's work per row, which at thousands of rows a second is more than the database's.
    """
    if not rows:
        return
    key = (connection.dialect.name, str(table.name))
    if key not in _COMPILED:
        compiled = insert(table).compile(dialect=connection.dialect, column_keys=[c.name for c in table.columns])
        names = list(compiled.positiontup or [])
        if names != [column.name for column in table.columns]:
            raise Unavailable("database", "This database driver is not supported.", f"parameters {names}")
        _COMPILED[key] = (str(compiled), names)
    connection.exec_driver_sql(_COMPILED[key][0], list(rows))


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
        except sqlite3.Error as error:
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
    except sqlite3.Error as error:
        raise DBAPIError(None, None, error) from error
    finally:
        result.close()
    return rows


def rows_written(connection: Connection) -> int:
    """How many rows this connection has written since it was opened: whether something changed between two calls."""
    return _sqlite(connection).total_changes


def _sqlite(connection: Connection) -> sqlite3.Connection:
    raw: object = connection.connection.dbapi_connection
    if not isinstance(raw, sqlite3.Connection):
        raise Unavailable("database", "This database driver is not supported.", type(raw).__name__)
    return raw


def patience(connection: Connection, seconds: float) -> None:
    """How long this connection waits, from its next transaction on, for another process that holds the database."""
    _sqlite(connection).execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")


def is_busy(error: DBAPIError) -> bool:
    """Whether another process holds the database at this moment."""
    return str(getattr(error.orig, "sqlite_errorname", "")).startswith("SQLITE_BUSY")


@contextmanager
def translated() -> Iterator[None]:
    """Database failures as Keten's: disk full → `Unavailable`; I/O error → `FsyncFailed`; damage → `Corrupt`."""
    try:
        yield
    except DBAPIError as error:
        raise database_error(error) from error


def database_error(error: DBAPIError) -> KetenError:
    """The Keten error for a database failure."""
    return sqlite_error(error.orig)


def sqlite_error(error: BaseException | None) -> KetenError:
    """The Keten error for a failure of the driver itself."""
    name = str(getattr(error, "sqlite_errorname", ""))
    if name in _FULL:
        return Unavailable("disk-full", "The disk is full; nothing was changed. Free some space and try again.", name)
    if name.startswith("SQLITE_IOERR"):
        return FsyncFailed("fsync-failed", "The disk failed; the process stops.", name)
    if name in _CORRUPT:
        return Corrupt("database-damaged", "The database file is damaged.", f"{name}: {error}")
    public = "The database did not do what was asked; nothing was changed."
    return Unavailable("database", public, f"{name}: {error}")
