"""A database of PostgreSQL's, in a session that can but read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import Any

from keten.connector.drivers.driver import AT_MOST, ambiguous, changed, forms, is_key, unreachable, unusable, whole
from keten.core.errors import Unavailable
from keten.core.sources import SystemPlace
from keten.systems.asking import Described, Rows, Where
from keten.vault.sealed_table import Value

try:
    import psycopg
    from psycopg import sql
except ImportError as error:  # pragma: no cover  # the extra is not installed
    raise Unavailable(
        "no-driver", "PostgreSQL needs its driver: install Keten with it, as keten[postgres].", str(error)
    ) from error

# A server that is cut off is noticed within seconds, or its threads would all wait for it.
_OURS: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}
_SESSION = {"default_transaction_read_only": "on", "DateStyle": "ISO", "IntervalStyle": "iso_8601", "TimeZone": "UTC"}
_FORMS = {"r": "table", "p": "table", "f": "foreign table", "v": "view", "m": "materialized view"}
_NUMBERS = frozenset({"int2", "int4", "int8"})
_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "citext", "uuid"})
_PLAIN = _NUMBERS | {"bool", "text", "varchar"}
_FLOATS = frozenset({"float4", "float8"})
_NOT_VALUES = {"A": "lists", "P": "pseudo-types", "C": "records"}
_CODECS = {"LATIN1": "iso8859-1", "LATIN9": "iso8859-15", "WIN1252": "cp1252"}
_CHANGED = ("42P01", "42703", "42704", "42501", "42883", "3F000", "0A000")  # absent, not permitted, other types
_SLOW = ("57014", "55P03")  # statement_timeout, lock_timeout
_BEGIN = sql.SQL(  # one way to the server and back
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {limit}; "
    "SET LOCAL lock_timeout = {limit}"
)
_ESTIMATE_SECONDS = 60.0  # for which the number of rows of a table is remembered
_TABLE = (
    "SELECT c.oid, c.relkind::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'f', 'v', 'm')"
)
_COLUMNS = (
    "SELECT a.attname::text, format_type(coalesce(b.oid, t.oid), -1), coalesce(b.typname, t.typname)::text, "
    "coalesce(b.typcategory, t.typcategory)::text, "
    "has_column_privilege(a.attrelid, a.attnum, 'SELECT') FROM pg_catalog.pg_attribute a "
    "JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
    "LEFT JOIN pg_catalog.pg_type b ON b.oid = nullif(t.typbasetype, 0) "
    "WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped"
)
_WRITES = (
    "SELECT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), "
    "has_table_privilege(%s::oid, 'INSERT, UPDATE, DELETE, TRUNCATE') "
    "OR has_any_column_privilege(%s::oid, 'INSERT, UPDATE')"
)


class _Column:
    """A column by the catalogue. kind: its type, of a domain the one below it; said: as the server writes it."""

    def __init__(self, said: str, kind: str, category: str, *, readable: bool) -> None:
        self.said = said
        self.kind = kind
        self.category = category
        self.readable = readable


class PostgresDriver:
    """One session. Raises `Unavailable` ("system-unavailable", "password-file") when there is none to be had."""

    def __init__(self, place: SystemPlace, password: str, seconds: float) -> None:
        self._estimates: dict[int, tuple[int, float]] = {}
        secret: dict[str, Any] = {"password": password} if password else {}
        try:
            self._raw = psycopg.connect(
                place.url,
                application_name="keten connector",
                connect_timeout=max(2, round(seconds)),
                client_encoding="UTF8",
                prepare_threshold=None,  # a table that changes under way is read as it is
                autocommit=True,
                **_OURS,
                **secret,
            )
        except psycopg.Error as error:
            raise unreachable(" ".join(str(error).split())[:300]) from error  # nothing is known of a row yet
        try:
            for name, value in _SESSION.items():
                self._raw.execute("SELECT set_config(%s, %s, false)", (name, value))
        except psycopg.Error as error:
            self._raw.close()
            raise unreachable(f"the session can't be made to read only: {error.sqlstate}") from error

    def close(self) -> None:
        """End the session."""
        self._raw.close()

    def rows(self, where: Where, columns: Sequence[str], keys: Sequence[str], seconds: float) -> Rows:
        """See `Driver`.

        1. One transaction that reads only, sees one moment and ends in time.
        2. The table and its columns are there, and of types that can be given, by the server's own catalogue.
        3. Each name quoted; keys are parameters, of the type of the column.
        4. At most two rows for a key, and what is stored is that key.
        """
        until = time.monotonic() + seconds
        with self._moment(seconds):  # 1
            oid, _form, types = self._described(where, columns)  # 2
            wanted = [_given(name, types[name].kind) for name in columns]
            statement = sql.SQL("SELECT {} FROM {} AS r WHERE {} = ANY(%s::{}[]) LIMIT {}").format(  # 3
                sql.SQL(", ").join([_as_text(where.key), *wanted]),
                _name(where),
                sql.Identifier("r", where.key),
                sql.SQL(types[where.key].said),  # the server quoted it itself
                sql.Literal(AT_MOST),
            )
            found: list[list[Value] | None] = []
            for key in keys:
                if time.monotonic() > until:
                    raise unreachable("it took too long")
                stored = self._writable(_parameters(key, types[where.key].kind))
                rows = self._raw.execute(statement, (stored,)).fetchall() if stored else []  # 4
                if len(rows) > 1:
                    raise ambiguous(where)
                match = bool(rows) and is_key(_key(rows[0][0], types[where.key].kind), key)
                found.append([_value(value) for value in rows[0][1:]] if match else None)
            return Rows(tuple(found), self._estimate(oid))

    def describe(self, where: Where, columns: Sequence[str], seconds: float) -> Described:
        """See `Driver`. The estimate is the planner's."""
        with self._moment(seconds):
            oid, form, types = self._described(where, columns)
            row = self._raw.execute(_WRITES, (oid, oid)).fetchone() or (False, False)
            everything = self._plan(sql.SQL("SELECT 1 FROM {}").format(_name(where)))
            one = _parameters("1", types[where.key].kind) or forms("00000000-0000-0000-0000-000000000000")
            lookup = sql.SQL("SELECT 1 FROM {} AS r WHERE {} = {}").format(
                _name(where), sql.Identifier("r", where.key), sql.Literal(str(one[0]))
            )
            estimate = int(everything.get("Plan Rows", 0))
            found = self._plan(lookup)
        writes = "it signs in as a superuser" if row[0] else "its role may change the table" if row[1] else ""
        scans = _scans(found) and estimate > 1000  # below, reading it all is the quickest way
        return Described(form, {name: one.kind for name, one in types.items()}, estimate, writes, not scans)

    def _writable(self, stored: list[Any]) -> list[Any]:
        """Those that the database has letters for: any other is not in it."""
        codec = _CODECS.get(self._raw.info.parameter_status("server_encoding") or "")
        return [one for one in stored if codec is None or isinstance(one, int) or _encodes(one, codec)]

    def _plan(self, statement: sql.Composed) -> dict[str, Any]:
        row = self._raw.execute(sql.SQL("EXPLAIN (FORMAT JSON) {}").format(statement)).fetchone()
        return dict(row[0][0]["Plan"]) if row else {}

    def _estimate(self, oid: int) -> int:
        known, until = self._estimates.get(oid, (0, 0.0))
        if time.monotonic() < until:
            return known
        row = self._raw.execute("SELECT reltuples FROM pg_catalog.pg_class WHERE oid = %s", (oid,)).fetchone()
        estimate = max(0, int(row[0])) if row else 0
        self._estimates[oid] = (estimate, time.monotonic() + _ESTIMATE_SECONDS)
        return estimate

    def _described(self, where: Where, columns: Sequence[str]) -> tuple[int, str, dict[str, _Column]]:
        schema, _, table = where.table.partition(".")
        row = self._raw.execute(_TABLE, (schema, table)).fetchone()
        if row is None:
            raise changed(f"there is no table or view {where.table!r:.200}")
        types = {
            name: _Column(said, kind, category, readable=readable)
            for name, said, kind, category, readable in self._raw.execute(_COLUMNS, (row[0],))
        }
        missing = [name for name in (where.key, *columns) if name not in types]
        if missing:
            raise changed(f"{where.table} has no column {', '.join(missing):.200}")
        if types[where.key].kind not in _NUMBERS | _TEXTS | {"numeric"}:
            raise changed(f"{where.table}: {where.key} is {types[where.key].kind}; a key is a text or a whole number")
        for name in (where.key, *columns):
            if not types[name].readable:
                raise changed(f"{where.table}: the role may not read {name:.200}")
        for name in columns:
            held = "bytes" if types[name].kind == "bytea" else _NOT_VALUES.get(types[name].category, "")
            if held:
                raise unusable(f"{where.table}: {name:.200} holds {held}: a table has texts, numbers and dates")
        return int(row[0]), _FORMS[row[1]], types

    @contextmanager
    def _moment(self, seconds: float) -> Iterator[None]:
        """A transaction that reads only. What the server says is told by its code alone: a message may hold a value."""
        try:
            limit = sql.Literal(max(1, round(seconds * 1000)))
            self._raw.execute(_BEGIN.format(limit=limit))
            try:
                yield
            finally:
                if not self._raw.closed:
                    self._raw.execute("ROLLBACK")
        except psycopg.Error as error:
            state = error.sqlstate or ""
            if state in _SLOW:
                raise unreachable("it took too long") from error
            if state in _CHANGED:
                raise changed(f"what is there can't be read: SQLSTATE {state}") from error
            raise unreachable(f"SQLSTATE {state}" if state else "the connection was lost") from error
        except UnicodeDecodeError as error:
            raise unusable("a text there is no UTF-8") from error


def _encodes(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _name(where: Where) -> sql.Identifier:
    schema, _, table = where.table.partition(".")
    return sql.Identifier(schema, table)


def _as_text(name: str) -> sql.Composed:
    return sql.SQL("{}::pg_catalog.text").format(sql.Identifier("r", name))


def _given(name: str, kind: str) -> sql.Composable:
    """What has no form of its own in JSON comes as the server writes it."""
    return sql.Identifier("r", name) if kind in _PLAIN | _FLOATS else _as_text(name)


def _parameters(key: str, kind: str) -> list[Any]:
    """What may be stored for a key in a column of this type; nothing: it can't be there."""
    if kind in _NUMBERS or kind == "numeric":
        number = whole(key)
        bits = {"int2": 15, "int4": 31}.get(kind, 63)
        return [] if number is None or not -(2**bits) <= number < 2**bits else [number]
    if kind == "uuid":
        plain = key.replace("-", "")
        hexadecimal = len(plain) == 32 and all(one in "0123456789abcdef" for one in plain)
        return [key] if hexadecimal and len(key) == 36 else []
    return forms(key)


def _key(stored: str | None, kind: str) -> object:
    """A key as it is compared; a number's without the digits behind its point, when these are zeros."""
    if kind == "numeric" and stored is not None:
        try:
            number = Decimal(stored)
            return int(number) if number == number.to_integral_value() else stored
        except InvalidOperation:
            return stored
    return stored


def _value(value: object) -> Value:
    if isinstance(value, float) and value - value != 0:
        return str(value)  # JSON has no infinity
    if value is None or isinstance(value, str | int | float):
        return value
    raise unusable(type(value).__name__)


def _scans(plan: dict[str, Any]) -> bool:
    """Whether a plan reads a whole table."""
    return plan.get("Node Type") == "Seq Scan" or any(_scans(one) for one in plan.get("Plans", ()))
