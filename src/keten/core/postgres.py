"""What is PostgreSQL's own; see `keten.core.db`, which everybody asks.

One connection writes. Who has it has the log's advisory lock, which the server gives back when that connection ends,
however it ends; so a keeper whose connection was lost stops, and is never connected again behind its own back.
"""

from __future__ import annotations

import logging
import select as polling
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    String,
    Table,
    create_engine,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from keten.core.db import Weakness
from keten.core.errors import Corrupt, FsyncFailed, Invalid, KetenError, Unavailable
from keten.core.files import Files
from keten.core.places import Server

try:
    import psycopg
    from psycopg import sql

    from keten.core.pulse import SILENT_SECONDS, Pulse, end_gone
except ImportError as error:  # pragma: no cover  # the extra is not installed
    raise Unavailable(
        "no-driver", "PostgreSQL needs its driver: install Keten with it, as keten[postgres].", str(error)
    ) from error


log = logging.getLogger(__name__)
Error = psycopg.Error

OLDEST = 130_000  # server_version_num
CONSOLE_ROLE = "keten_console"
KEEPER_ROLE = "keten_keeper"
CONNECT_SECONDS = 10
# Who is cut off is noticed here after 5 s, and there after 16 s: the old keeper has left before its lock is free.
_OURS: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}
_THEIRS = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
LOCK_MILLISECONDS = 2000
_DURABLE = {"fsync": "on", "full_page_writes": "on"}
_LOST = ("08", "57P")  # connection exceptions; shutdown by an administrator or after a crash
_DAMAGED = {"XX001", "XX002"}
_BUSY = {"55P03", "40P01", "40001"}
_TYPES: tuple[tuple[type, str], ...] = (
    (LargeBinary, "bytea"),
    (Boolean, "bool"),
    (String, "text"),
    (BigInteger, "int8"),
    (Integer, "int4"),
)


class _Counting(psycopg.Cursor[Any]):
    """Counts the rows that were written, as SQLite does by itself."""

    def execute(self, *arguments: Any, **options: Any) -> _Counting:
        super().execute(*arguments, **options)
        self._count()
        return self

    def executemany(self, *arguments: Any, **options: Any) -> None:
        super().executemany(*arguments, **options)
        self._count()

    def _count(self) -> None:
        if (self.statusmessage or "").startswith(("INSERT", "UPDATE", "DELETE")):
            cast("_Raw", self.connection).written += self.rowcount


class _Raw(psycopg.Connection[Any]):
    """A connection. `written`: rows since it was opened."""

    written = 0


def _connect(place: Server, settings: dict[str, str], check: Callable[[psycopg.Cursor[Any], Server], None]) -> _Raw:
    """A connection with these settings of its session, that has passed the check; or none at all."""
    raw = _Raw.connect(
        place.url, application_name="keten", connect_timeout=CONNECT_SECONDS, cursor_factory=_Counting, **_OURS
    )
    try:
        with raw.cursor() as cursor:
            for name, value in (settings | _theirs(raw)).items():
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
            check(cursor, place)
        raw.commit()
    except BaseException:
        raw.close()
        raise
    return raw


def _theirs(raw: _Raw) -> dict[str, str]:
    """What the server is to notice a peer by that is cut off; nothing on a socket of this machine."""
    return {} if raw.info.host.startswith("/") else _THEIRS


def _engine(creator: Callable[[], _Raw], **pool: Any) -> Engine:
    return create_engine(
        "postgresql+psycopg://",
        creator=creator,
        paramstyle="format",
        use_native_hstore=False,
        poolclass=QueuePool,
        **pool,
    )


class _Writing:
    """Makes the one connection that writes. `taken`: it has the log's lock, so there is never a second one."""

    def __init__(self, place: Server) -> None:
        self._place = place
        self.taken = False

    def connect(self) -> _Raw:
        if self.taken:
            raise FsyncFailed("database-lost", "The connection to the database was lost; the process stops.")
        settings = {"lock_timeout": str(LOCK_MILLISECONDS), "default_transaction_isolation": "read committed"}
        return _connect(self._place, settings, _require_fit)


_WRITING: WeakKeyDictionary[Engine, _Writing] = WeakKeyDictionary()


def writing_engine(place: Server) -> Engine:
    """One connection, and never a second one after it was lost; commits are durable when they return."""
    writing = _Writing(place)
    engine = _engine(writing.connect, pool_size=1, max_overflow=0)
    _WRITING[engine] = writing
    return engine


def _require_fit(cursor: psycopg.Cursor[Any], place: Server) -> None:
    """The server keeps what it says it has committed, and orders text as everywhere else."""
    version = cursor.connection.info.server_version
    if version < OLDEST:
        raise Invalid("database-old", "The server is older than PostgreSQL 13.", str(version))
    cursor.execute(
        "SELECT current_setting('synchronous_commit'), pg_encoding_to_char(encoding), datcollate, pg_is_in_recovery() "
        "FROM pg_database WHERE datname = current_database()"
    )
    commits, encoding, collation, recovering = cursor.fetchone() or ("", "", "", False)
    if recovering:
        raise Unavailable("database-replica", "The server is a replica that nobody has promoted: it can't be written.")
    if encoding != "UTF8" or collation not in ("C", "POSIX"):
        public = "The database must be made with ENCODING 'UTF8' LC_COLLATE 'C', as 'keten init --print-sql' has it."
        raise Invalid("database-collation", public, f"encoding {encoding}, collation {collation}")
    if commits not in ("on", "remote_apply"):
        cursor.execute("SET synchronous_commit = on")
    weak = not_durable(cursor)
    if weak and not place.risky:
        public = "The server may lose or tear what it says it has committed, so nothing is recorded there."
        raise Unavailable("database-not-durable", public, ", ".join(weak))
    if weak:
        log.critical("the server may lose what it says it has committed, and [database] risky allows it: %s", weak)


def not_durable(cursor: Any) -> list[str]:
    """Settings of the server with which a commit may be lost, or a page torn."""
    found = []
    for name, needed in (*_DURABLE.items(), ("synchronous_commit", "")):
        cursor.execute("SELECT current_setting(%s)", (name,))
        value = str(cursor.fetchone()[0])
        if value not in ((needed,) if needed else ("on", "remote_apply")):
            found.append(f"{name} = {value}")
    return found


def reading_engine(place: Server) -> Engine:
    """Read-only; a transaction sees one moment."""
    settings = {"default_transaction_read_only": "on", "default_transaction_isolation": "repeatable read"}

    def connect() -> _Raw:
        return _connect(place, settings, lambda _cursor, _place: None)

    return _engine(connect, pool_size=4, max_overflow=16, pool_pre_ping=True)


def _raw(connection: Connection) -> _Raw:
    return cast("_Raw", connection.connection.dbapi_connection)


_COPYING: dict[str, tuple[sql.Composed, list[str]]] = {}


def insert_many(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """By COPY, in its binary form."""
    name = str(table.name)
    if name not in _COPYING:
        columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(name), columns)
        _COPYING[name] = (statement, [_type(column.type) for column in table.columns])
    statement, types = _COPYING[name]
    raw = _raw(connection)
    try:
        with raw.cursor() as cursor:
            with cursor.copy(statement) as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)
            raw.written += len(rows)
    except psycopg.Error as error:
        raise DBAPIError.instance(f"COPY {name}", None, error, psycopg.Error, dialect=connection.dialect) from error


def _type(column: Any) -> str:
    """The server's name of a column's type: binary COPY must know it."""
    for kind, name in _TYPES:
        if isinstance(column, kind):
            return name
    raise Unavailable("database", "A column's type is not known here.", type(column).__name__)


def rows_written(connection: Connection) -> int:
    """As counted by the cursors."""
    return _raw(connection).written


def patience(_connection: Connection, _seconds: float) -> None:
    """`lock_timeout` is set once: who has the log's lock waits for nobody."""


def is_busy(error: BaseException | None) -> bool:
    """Whether another session holds what was to be locked."""
    return _state(error) in _BUSY


def is_value(error: BaseException | None) -> bool:
    """Class 22: data exceptions."""
    return _state(error).startswith("22")


def _state(error: BaseException | None) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def translate(error: BaseException | None) -> KetenError:
    """The Keten error for a failure of the driver (Appendix A of PostgreSQL's manual lists the codes)."""
    state, said = _state(error), str(error).strip()
    if state == "53100":
        return Unavailable("disk-full", "The disk is full; nothing was changed. Free some space and try again.", said)
    if state == "58030":
        return FsyncFailed("fsync-failed", "The disk failed; the process stops.", said)
    if state in _DAMAGED:
        return Corrupt("database-damaged", "The database is damaged.", f"{state}: {said}")
    if state.startswith(_LOST) or (not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)):
        return FsyncFailed("database-lost", "The connection to the database is lost, or can't be made.", said)
    if state == "42501":
        return Unavailable("database-forbidden", "The database does not allow its role to do that.", said)
    return Unavailable("database", "The database did not do what was asked; nothing was changed.", f"{state}: {said}")


def take(engine: Engine, name: str) -> bool:
    """A session's advisory lock, keyed by the log. From then on the engine makes no other connection.

    Where another one has it that was cut off, that one's session is ended: the next call gets it.
    """
    key = int.from_bytes(sha256(b"keten keeper " + name.encode()).digest()[:8], "big", signed=True)
    with engine.begin() as connection:
        got = bool(connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar())
        if not got:
            end_gone(connection, key)
    if got:
        _WRITING[engine].taken = True
    return got


class Session:
    """Watches the connection that writes: when the server ends it, or is silent, the keeper stops, also an idle one."""

    reaches = False
    doing = ""
    remains = (
        "PostgreSQL keeps what was deleted in its pages, its log, its replicas and its backups, until your database "
        "team lets go of these"
    )

    def __init__(self, engine: Engine, place: Server, failed: Callable[[FsyncFailed], None]) -> None:
        self._failed = failed
        self._stopping = threading.Event()
        with engine.connect() as connection:
            self._descriptor = _raw(connection).fileno()
            holder = _raw(connection).info.backend_pid
        try:
            self._pulse = Pulse(lambda name: _pulse(place, name), holder, failed)
        except psycopg.Error as error:
            raise translate(error) from error
        self._thread = threading.Thread(target=self._main, name="keten-session", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        poll = polling.poll()
        poll.register(self._descriptor, polling.POLLRDHUP)
        while not self._stopping.is_set():
            if poll.poll(200) and not self._stopping.is_set():
                what = "The database ended the keeper's session; the process stops."
                self._failed(FsyncFailed("database-lost", what))
                return
            if self._pulse.silent and not self._stopping.is_set():
                what = f"The database has not answered for {SILENT_SECONDS:.0f} seconds; the process stops."
                self._failed(FsyncFailed("database-lost", what))
                return

    def after_commit(self) -> None:
        """The server looks after its log."""

    def empty(self) -> bool:
        """Nobody here can say that."""
        return False

    def scrub(self, _traces: Collection[bytes] | None, _between: Callable[[Callable[[], bool]], bool]) -> bool:
        """Nor this."""
        return False

    def close(self) -> None:
        """End the threads."""
        self._stopping.set()
        self._thread.join()
        self._pulse.close()

    def release(self) -> None:
        """Nothing is held."""


def _pulse(place: Server, name: str) -> _Raw:
    """A connection that does nothing but ask whether somebody answers."""
    raw = _Raw.connect(place.url, application_name=name, connect_timeout=CONNECT_SECONDS, autocommit=True, **_OURS)
    try:
        for setting, value in _theirs(raw).items():
            raw.execute("SELECT set_config(%s, %s, false)", (setting, value))
    except BaseException:
        raw.close()
        raise
    return raw


def keep_log(engine: Engine, place: Server, failed: Callable[[FsyncFailed], None]) -> Session:
    """The server keeps its log; what must be looked after here is the session."""
    return Session(engine, place, failed)


def alone(connection: Connection) -> None:
    """Let nobody else make or change tables until this transaction ends."""
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('keten upgrade'))"))


def weaknesses(engine: Engine, secret: frozenset[str]) -> Iterator[Weakness]:
    """1. Commits last. 2. Roles have no more than they need. 3. Nobody listens on the way to the server."""
    with engine.connect() as connection:
        raw = _raw(connection)
        with raw.cursor() as cursor:
            for setting in not_durable(cursor):  # 1
                what = f"The database server may lose or tear what it says it has committed: {setting}."
                yield Weakness("database-not-durable", what, "Have it set back, and restart the server.", grave=True)
            cursor.execute("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user")
            role, is_super = cursor.fetchone() or ("", False)
            if is_super:  # 2
                what = f"The keeper's role {role} may do anything on the database server."
                yield Weakness("database-role", what, "Use its own; see 'keten init --print-sql'.", grave=False)
            open_ones = _readable_for_console(cursor, secret)
            if open_ones:
                what = f"The role {CONSOLE_ROLE} may read tables of keys: {', '.join(open_ones)}."
                yield Weakness("database-console", what, f"REVOKE ALL ON these FROM {CONSOLE_ROLE}.", grave=True)
            cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            sealed = bool((cursor.fetchone() or (False,))[0])
        if not sealed and not raw.info.host.startswith("/"):  # 3
            what = f"What is said to the database server {raw.info.host} can be read on the way."
            yield Weakness("database-cleartext", what, "Add sslmode=verify-full to [database] url.", grave=True)


def _readable_for_console(cursor: psycopg.Cursor[Any], secret: frozenset[str]) -> list[str]:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (CONSOLE_ROLE,))
    if cursor.fetchone() is None:
        return []
    cursor.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename = ANY(%s) "
        "AND has_table_privilege(%s, format('%%I.%%I', schemaname, tablename), 'SELECT') ORDER BY 1",
        (sorted(secret), CONSOLE_ROLE),
    )
    return [str(row[0]) for row in cursor.fetchall()]


def before_upgrade(place: Server, revision: str, _files: Files) -> None:
    """What there is to go back to is the database team's backup."""
    what = "%s is upgraded from revision %s, in one transaction; to go back to it, your database team's backup counts"
    log.warning(what, place, revision)


def after_upgrade(engine: Engine, _place: Server, readable: Mapping[str, bool], _files: Files) -> None:
    """The console's role, where there is one, may read these tables, and not those; what is not known stays."""
    mine = (
        "SELECT c.relname, has_table_privilege(:role, c.oid, 'SELECT') FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = current_schema() AND c.relkind = 'r' AND pg_has_role(c.relowner, 'USAGE')"
    )
    with engine.begin() as connection:
        known = text("SELECT 1 FROM pg_roles WHERE rolname = :role")
        if not connection.execute(known, {"role": CONSOLE_ROLE}).scalar():
            return
        for name, may in connection.execute(text(mine), {"role": CONSOLE_ROLE}).all():
            if name in readable and may != readable[name]:
                verb, to = ("GRANT", "TO") if readable[name] else ("REVOKE", "FROM")
                connection.exec_driver_sql(f'{verb} SELECT ON "{name}" {to} {CONSOLE_ROLE}')


ADMINISTRATORS_SQL = f"""\
-- For a database administrator: roles and a database for one instance of Keten. Name other ways to sign in as you
-- like (pg_hba.conf): peer on a local socket, a client certificate elsewhere; a password only where neither can be.
CREATE ROLE {KEEPER_ROLE} LOGIN;
CREATE ROLE {CONSOLE_ROLE} LOGIN;
CREATE DATABASE keten OWNER {KEEPER_ROLE} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
REVOKE ALL ON DATABASE keten FROM PUBLIC;
GRANT CONNECT ON DATABASE keten TO {CONSOLE_ROLE};
\\connect keten
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO {KEEPER_ROLE};
GRANT USAGE ON SCHEMA public TO {CONSOLE_ROLE};
"""
