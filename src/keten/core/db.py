"""The database: one engine for the keeper that writes, read-only engines for everybody else.

Statements are SQLAlchemy Core that PostgreSQL could run as well; what is SQLite's own stands here only.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, MetaData, Table, create_engine, event, insert
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

CHECKPOINT_FRAMES = 4000
_INDEX_HEADER = struct.Struct("=16xI")
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
            "wal_autocheckpoint=0",  # SQLite keeps to itself when one fails: see `checkpoint`
            "cache_size=-65536",
            "temp_store=MEMORY",
        ):
            raw.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def checkpoint(engine: Engine, path: Path) -> bool:
    """Bring a write-ahead log that has grown long into the database file at `path`; whether that was tried.

    SQLite would do the same within a commit, and say nothing when an fsync failed in it. Raises `FsyncFailed`,
    `Unavailable`. `engine` is the writing one, and its connection is free.
    """
    if _frames(path) < CHECKPOINT_FRAMES:
        return False
    raw = engine.raw_connection()
    try:
        raw.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except sqlite3.Error as error:
        raise _translation(error) from error
    finally:
        raw.close()
    return True


def _frames(path: Path) -> int:
    """How many pages the write-ahead log holds: "mxFrame" of the WAL-index header (sqlite.org/walformat.html, §2.1)."""
    try:
        with path.with_name(f"{path.name}-shm").open("rb", buffering=0) as index:
            header = index.read(_INDEX_HEADER.size)
    except FileNotFoundError:
        return 0
    return int(_INDEX_HEADER.unpack(header)[-1]) if len(header) == _INDEX_HEADER.size else 0


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
        connection.exec_driver_sql("BEGIN")

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


def rows_written(connection: Connection) -> int:
    """How many rows this connection has written since it was opened: whether something changed between two calls."""
    raw: object = connection.connection.dbapi_connection
    if not isinstance(raw, sqlite3.Connection):
        raise Unavailable("database", "This database driver is not supported.", type(raw).__name__)
    return raw.total_changes


@contextmanager
def translated() -> Iterator[None]:
    """Database failures as Keten's: disk full → `Unavailable`; I/O error → `FsyncFailed`; damage → `Corrupt`."""
    try:
        yield
    except DBAPIError as error:
        raise database_error(error) from error


def database_error(error: DBAPIError) -> KetenError:
    """The Keten error for a database failure."""
    return _translation(error.orig)


def _translation(error: BaseException | None) -> KetenError:
    name = str(getattr(error, "sqlite_errorname", ""))
    if name in _FULL:
        return Unavailable("disk-full", "The disk is full; nothing was changed. Free some space and try again.", name)
    if name.startswith("SQLITE_IOERR"):
        return FsyncFailed("fsync-failed", "The disk failed; the process stops.", name)
    if name in _CORRUPT:
        return Corrupt("database-damaged", "The database file is damaged.", f"{name}: {error}")
    public = "The database did not do what was asked; nothing was changed."
    return Unavailable("database", public, f"{name}: {error}")
