"""A local file of small values by space and key, for what can be made anew: all of it changes at once, or nothing does.

What is put is there at once for whoever holds the file open, and durable with the next `commit`, together with its
notes. A process that is killed finds what was committed last. It is SQLite's file; one process at a time.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from keten.core.errors import Corrupt, KetenError
from keten.core.files import Files, disk_error
from keten.core.sqlite import translate

T = TypeVar("T")
Row = tuple[int, str, int, bytes]
"""space, key, when it was used last (microseconds, for `forget`), value."""

_TABLES = (
    # With row ids: the index of a million keys stays small, and is not touched when a value is written again.
    "CREATE TABLE held (space INTEGER, key TEXT, used INTEGER, value BLOB, PRIMARY KEY (space, key))",
    "CREATE TABLE notes (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID",
)
_PUT = (
    "INSERT INTO held VALUES (?, ?, ?, ?) "
    "ON CONFLICT (space, key) DO UPDATE SET used = excluded.used, value = excluded.value"
)
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "locking_mode=EXCLUSIVE", "cache_size=-131072")
_SIDE_FILES = ("", "-wal", "-shm", "-journal")
_CHECK_BYTES = 4


class Keyed:
    """The file at `path`, made when it is not there; None: in memory. Not safe between threads.

    Everything raises `Unavailable` (the disk is full, or does not give it), `FsyncFailed`, or `Corrupt`
    ("state-damaged") for what is not as it was written. After `Corrupt` and `FsyncFailed` it is to be discarded.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None:
            _make(path)
        self._connection = _translated(lambda: self._open(path))

    def _open(self, path: Path | None) -> sqlite3.Connection:
        connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in _TABLES:
                    connection.execute(statement)
                connection.execute("COMMIT")
                connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            connection.close()
            raise
        return connection

    def check(self) -> None:
        """Read all of it. Raises `Corrupt` when anything is not as it was written."""

        def run() -> None:
            found = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            if found[0] != "ok":
                raise _damaged(str(found[0]))
            for space, key, value in self._connection.execute("SELECT space, key, value FROM held"):
                _checked(space, key, value)

        _translated(run)

    def get(self, space: int, key: str) -> bytes | None:
        """A value; None when there is none."""
        statement = "SELECT value FROM held WHERE space = ? AND key = ?"
        found = _translated(lambda: self._connection.execute(statement, (space, key)).fetchone())
        return None if found is None else _checked(space, key, found[0])

    def put(self, rows: Iterable[Row]) -> None:
        """Values in place of those that were there."""
        checked = [(space, key, used, _sum(space, key, value) + value) for space, key, used, value in rows]
        _translated(lambda: self._connection.executemany(_PUT, checked))

    def forget(self, space: int, before: int) -> None:
        """Remove what was used last before a moment; reads all of the space."""
        statement = "DELETE FROM held WHERE space = ? AND used < ?"
        _translated(lambda: self._connection.execute(statement, (space, before)))

    def count(self, space: int) -> int:
        """How many keys of a space are in it."""
        statement = "SELECT count(*) FROM held WHERE space = ?"
        return int(_translated(lambda: self._connection.execute(statement, (space,)).fetchone()[0]))

    def note(self, name: str) -> bytes | None:
        """What was noted under a name."""
        statement = "SELECT value FROM notes WHERE name = ?"
        found = _translated(lambda: self._connection.execute(statement, (name,)).fetchone())
        return None if found is None else _checked(-1, name, found[0])

    def commit(self, notes: dict[str, bytes]) -> None:
        """All that was put since the last time is durable, with these notes, or none of it is."""
        checked = [(name, _sum(-1, name, value) + value) for name, value in notes.items()]

        def run() -> None:
            self._connection.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", checked)
            self._connection.execute("COMMIT")
            self._connection.execute("BEGIN IMMEDIATE")

        _translated(run)

    def rollback(self) -> None:
        """Forget what was put since the last commit."""

        def run() -> None:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN IMMEDIATE")

        _translated(run)

    def close(self) -> None:
        """Let go of the file; what was not committed is gone."""
        self._connection.close()

    def discard(self) -> None:
        """Close and remove it."""
        self.close()
        if self._path is not None:
            remove(self._path)


def remove(path: Path) -> None:
    """Remove the file and what SQLite keeps beside it."""
    for suffix in _SIDE_FILES:
        Files().discard(path.with_name(path.name + suffix))


def _make(path: Path) -> None:
    """The file is its owner's alone, from the beginning."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise disk_error(error, path) from error


def _translated(run: Callable[[], T]) -> T:
    try:
        return run()
    except sqlite3.Error as error:
        found: KetenError = translate(error)
        raise _damaged(found.reason) if isinstance(found, Corrupt) else found from error


def _sum(space: int, key: str, value: bytes) -> bytes:
    return zlib.crc32(value, zlib.crc32(f"{space}/{key}".encode())).to_bytes(_CHECK_BYTES)


def _checked(space: int, key: str, stored: object) -> bytes:
    if not isinstance(stored, bytes) or not isinstance(key, str):
        raise _damaged(f"{space}: {key!r}")
    value = stored[_CHECK_BYTES:]
    if stored[:_CHECK_BYTES] != _sum(space, key, value):
        raise _damaged(f"{space}: {key}")
    return value


def _damaged(what: str) -> Corrupt:
    return Corrupt("state-damaged", "A file of state that can be made anew is damaged.", what)
