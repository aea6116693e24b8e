"""What is SQLite's own; see `keten.core.db`, which everybody asks, and `keten.core.wal` for its log."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Table, create_engine, event, insert
from sqlalchemy.pool import QueuePool

from keten.core.errors import Corrupt, FsyncFailed, KetenError, Unavailable
from keten.core.files import Files, disk_error
from keten.core.ids import new_id

if TYPE_CHECKING:
    from keten.core.wal import WriteAheadLog

Error = sqlite3.Error
ADMINISTRATORS_SQL = ""
_FULL = {"SQLITE_FULL"}
_CORRUPT = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CORRUPT_INDEX", "SQLITE_CORRUPT_VTAB"}
_PAGES_AT_ONCE = 4096
# Each connection has a cache of its own, and fills it: so its size is what a process grows by. The system keeps the
# file's pages anyway; a page of its memory costs a microsecond or two, and readers map the first GiB.
WRITERS_CACHE = "cache_size=-32768"  # KiB
READERS_CACHE = "cache_size=-8192"
ABANDONED_SECONDS = 600.0  # a copy that nobody has written to for so long is of an upgrade that was killed


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
        _configure(
            raw,
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "secure_delete=ON",
            "busy_timeout=5000",
            "wal_autocheckpoint=0",  # see `keten.core.wal`
            WRITERS_CACHE,
            "temp_store=MEMORY",
        )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _configure(raw: sqlite3.Connection, *pragmas: str) -> None:
    """Set up a new connection. The first of these also reads the schema, whose damage SQLite tells in its own bytes."""
    try:
        for pragma in pragmas:
            raw.execute(f"PRAGMA {pragma}")
    except UnicodeDecodeError as error:  # which Python can't make a text of
        damaged = sqlite3.DatabaseError("the schema is damaged, and what SQLite says of it is no text")
        damaged.sqlite_errorname = "SQLITE_CORRUPT"
        raise damaged from error


def reading_engine(path: Path) -> Engine:
    """A read-only engine."""
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
        _configure(raw, "query_only=ON", "busy_timeout=5000", READERS_CACHE, "mmap_size=1073741824")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        raw: object = connection.connection.dbapi_connection
        if isinstance(raw, sqlite3.Connection):
            raw.execute("BEGIN")  # it locks nothing yet, so nothing can fail that would have to be translated

    return engine


_COMPILED: dict[str, str] = {}


def insert_many(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """The statement is SQLAlchemy's own, compiled once."""
    name = str(table.name)
    if name not in _COMPILED:
        compiled = insert(table).compile(dialect=connection.dialect, column_keys=[c.name for c in table.columns])
        names = list(compiled.positiontup or [])
        if names != [column.name for column in table.columns]:
            raise Unavailable("database", "This database driver is not supported.", f"parameters {names}")
        _COMPILED[name] = str(compiled)
    connection.exec_driver_sql(_COMPILED[name], list(rows))


def rows_written(connection: Connection) -> int:
    """SQLite counts them itself."""
    return _raw(connection).total_changes


def _raw(connection: Connection) -> sqlite3.Connection:
    raw: object = connection.connection.dbapi_connection
    if not isinstance(raw, sqlite3.Connection):
        raise Unavailable("database", "This database driver is not supported.", type(raw).__name__)
    return raw


def patience(connection: Connection, seconds: float) -> None:
    """How long to wait for another process that holds the file."""
    _raw(connection).execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")


def is_busy(error: BaseException | None) -> bool:
    """Whether another process holds the file."""
    return str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_BUSY")


def is_value(error: BaseException | None) -> bool:
    """The driver says that a value can't be read without an error code."""
    return not getattr(error, "sqlite_errorname", None)


def translate(error: BaseException | None) -> KetenError:
    """The Keten error for a failure of the driver."""
    name = str(getattr(error, "sqlite_errorname", ""))
    if name in _FULL:
        return Unavailable("disk-full", "The disk is full; nothing was changed. Free some space and try again.", name)
    if name.startswith("SQLITE_IOERR"):
        return FsyncFailed("fsync-failed", "The disk failed; the process stops.", name)
    if name in _CORRUPT:
        return Corrupt("database-damaged", "The database file is damaged.", f"{name}: {error}")
    public = "The database did not do what was asked; nothing was changed."
    return Unavailable("database", public, f"{name}: {error}")


def take(_engine: Engine, _name: str) -> bool:
    """The instance's own lock says that there is one keeper: nobody else has the file."""
    return True


def keep_log(_engine: Engine, path: Path, failed: Callable[[FsyncFailed], None]) -> WriteAheadLog:
    """The write-ahead log."""
    from keten.core.wal import WriteAheadLog  # noqa: PLC0415  # it needs the errors of above

    return WriteAheadLog(path, failed)


def alone(_connection: Connection) -> None:
    """Every transaction of the writing engine is alone from its beginning."""


def weaknesses(_engine: Engine, _secret: frozenset[str]) -> Iterator[NoReturn]:
    """Its file and folder are looked at with the instance's others."""
    yield from ()


def before_upgrade(source: Path, revision: str, files: Files) -> None:
    """A consistent copy `<name>.before-<revision>`, complete and durable before it gets its name."""
    target = source.with_name(f"{source.name}.before-{revision}")
    temporary = target.with_name(f".{target.name}.{new_id()[:8]}.tmp")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(temporary)) as copy:
            original.backup(copy, pages=_PAGES_AT_ONCE)
        with temporary.open("rb+") as stream:
            files.sync(stream)
        files.rename(temporary, target)
    except sqlite3.Error as error:
        files.discard(temporary)
        name = str(getattr(error, "sqlite_errorname", ""))
        raise Unavailable(
            "disk-full" if name == "SQLITE_FULL" else "copy-failed",
            "The database could not be copied before its upgrade; nothing was changed.",
            f"{name}: {error}",
        ) from error
    except OSError as error:
        files.discard(temporary)
        raise disk_error(error, target) from error
    except BaseException:
        files.discard(temporary)
        raise


def _tidy(path: Path, files: Files) -> None:
    """Remove what killed upgrades left of their copies: each holds the keys of its day. Not what is being written."""
    for left in path.parent.glob(f".{path.name}.before-*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                files.discard(left)


def after_upgrade(_engine: Engine, path: Path, _readable: Mapping[str, bool], files: Files) -> None:
    """The file's name is durable, and nothing is left of copies by upgrades that were killed."""
    _tidy(path, files)
    files.sync_folder(path.parent)
