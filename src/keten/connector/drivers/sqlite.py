"""A file of SQLite's, opened to read only.

The file is the organisation's, and so is what its views say; Keten's statement can but read (`mode=ro`, `query_only`).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from keten.connector.drivers.driver import AT_MOST, ambiguous, changed, forms, is_key, unreachable, unusable, whole
from keten.core.errors import Unavailable
from keten.systems.asking import Described, Rows, Where
from keten.vault.sealed_table import Value

_STEPS = 2000  # of SQLite's machine between two looks at the clock
_COUNTED = 1_000_000  # rows that are counted at most for an estimate
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class SqliteDriver:
    """One connection to a file. Raises `Unavailable` ("system-unavailable") when it can't be opened."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._until = 0.0
        try:
            self._raw = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro", uri=True, timeout=seconds, isolation_level=None
            )
            self._raw.execute("PRAGMA query_only = 1")
            self._raw.execute("PRAGMA trusted_schema = 0")
        except sqlite3.Error as error:
            raise unreachable(f"the file cannot be opened: {getattr(error, 'sqlite_errorname', '')}") from error
        self._raw.set_progress_handler(lambda: time.monotonic() > self._until, _STEPS)

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()

    def rows(self, where: Where, columns: Sequence[str], keys: Sequence[str], seconds: float) -> Rows:
        """See `Driver`.

        1. One transaction, so that what is looked up is what was described.
        2. The table and its columns are there, by the database's own catalogue.
        3. Each name quoted, and each column named as the table's own: SQLite takes an unknown "name" for a text.
        4. At most two rows for a key, and what is stored is that key.
        """
        with self._moment(seconds):  # 1
            self._described(where, columns)  # 2
            wanted = ", ".join(f"r.{_quoted(name)}" for name in (where.key, *columns))  # 3
            found: list[list[Value] | None] = []
            for key in keys:
                number = whole(key)
                stored: list[str | int] = [*forms(key), *([number] if number is not None else [])]
                marks = ", ".join("?" * len(stored))
                statement = (
                    f"SELECT {wanted} FROM main.{_quoted(where.table)} AS r "  # noqa: S608  # quoted, and known
                    f"WHERE r.{_quoted(where.key)} IN ({marks}) LIMIT {AT_MOST}"
                )
                rows = self._raw.execute(statement, stored).fetchall()  # 4
                if len(rows) > 1:
                    raise ambiguous(where)
                match = bool(rows) and is_key(rows[0][0], key)
                found.append([_value(value) for value in rows[0][1:]] if match else None)
            return Rows(tuple(found))

    def describe(self, where: Where, columns: Sequence[str], seconds: float) -> Described:
        """See `Driver`. An estimate is the number of rows itself, up to a million."""
        with self._moment(seconds):
            form, types = self._described(where, columns)
            table = _quoted(where.table)
            plan = self._raw.execute(
                f"EXPLAIN QUERY PLAN SELECT 1 FROM main.{table} AS r WHERE r.{_quoted(where.key)} IN (?, ?)",  # noqa: S608
                ("a", "b"),
            ).fetchall()
            counted = f"SELECT count(*) FROM (SELECT 1 FROM main.{table} LIMIT {_COUNTED})"  # noqa: S608
            (estimate,) = self._raw.execute(counted).fetchone()
        scans = any(str(step[3]).startswith("SCAN") for step in plan)
        writes = "the connector's user may write the file" if os.access(self._path, os.W_OK) else ""
        return Described(form, types, int(estimate), writes, not scans)

    def _described(self, where: Where, columns: Sequence[str]) -> tuple[str, dict[str, str]]:
        named = "SELECT type FROM main.sqlite_schema WHERE type IN ('table', 'view') AND name = ?"
        row = self._raw.execute(named, (where.table,)).fetchone()
        if row is None:
            raise changed(f"there is no table or view {where.table!r:.200}")
        listed = "SELECT name, type FROM pragma_table_xinfo(?, 'main')"
        types = {str(name): str(kind) for name, kind in self._raw.execute(listed, (where.table,))}
        missing = [name for name in (where.key, *columns) if name not in types]
        if missing:
            raise changed(f"{where.table} has no column {', '.join(missing):.200}")
        return str(row[0]), types

    @contextmanager
    def _moment(self, seconds: float) -> Iterator[None]:
        self._until = time.monotonic() + seconds
        try:
            self._raw.execute("BEGIN")
            try:
                yield
            finally:
                self._until = time.monotonic() + seconds
                self._raw.execute("ROLLBACK")
        except Unavailable:
            raise
        except sqlite3.Error as error:
            raise self._said(error) from error

    def _said(self, error: sqlite3.Error) -> Unavailable:
        """Without the message: it may hold a value."""
        code = getattr(error, "sqlite_errorcode", 0)
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        if code == sqlite3.SQLITE_INTERRUPT:
            return unreachable("it took too long")
        if code & 0xFF == sqlite3.SQLITE_ERROR:
            return changed("a view there can't be read")
        if not code:
            return unusable("a text there is no UTF-8")
        return unreachable(f"the file is damaged: {name}" if code & 0xFF in _DAMAGED else name)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _value(value: object) -> Value:
    if isinstance(value, bytes):
        raise unusable("a column that is asked for holds bytes: a table has texts, numbers and dates")
    if isinstance(value, float) and value - value != 0:
        return str(value)  # JSON has no infinity
    if value is None or isinstance(value, str | int | float):
        return value
    raise unusable(type(value).__name__)
