"""A PostgreSQL server of the tests' own: in a temporary folder, on a Unix socket, with fsync on."""

from __future__ import annotations

import atexit
import functools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from keten.core.places import Place, place_of
from keten.drills.cluster import Cluster as OfDrills
from keten.drills.cluster import programs

CHOSEN = "KETEN_TESTS_ENGINE"
"""An environment variable: "postgres" runs every test that makes an instance or a ledger on a server."""
WAIT_SECONDS = 60.0


class Cluster(OfDrills):
    """A server; each test gets a database of its own, owned by keten_keeper, which keten_console may connect to."""

    def __init__(self, *settings: str, port: int = 0) -> None:
        if programs() is None:
            pytest.skip("not installed: PostgreSQL")
        super().__init__(*settings, port=port)
        self._made = 0
        for role in ("keten_keeper", "keten_console"):
            self.execute(f"CREATE ROLE {role} LOGIN")

    def kill(self) -> None:
        """Kill -9 of the postmaster and everything it started, as when the machine is gone."""
        postmaster = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in [postmaster, *map(int, children)]:
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + WAIT_SECONDS
        while any(_state(pid) != "Z" for pid in (postmaster, *map(int, children))):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for left in self.folder.glob(".s.PGSQL.*"):
            left.unlink()
        (self.data / "postmaster.pid").unlink()

    def configure(self, setting: str) -> None:
        """Have the running server take over a setting."""
        self.execute(f"ALTER SYSTEM SET {setting}")
        self.execute("SELECT pg_reload_conf()")

    def give(self, folder: Path) -> None:
        """Let the server own a folder."""
        found = self.folder.stat()
        os.chown(folder, found.st_uid, found.st_gid)

    def fresh(self, *, collate: str = "C", tablespace: str = "pg_default") -> str:
        """The name of a new and empty database."""
        self._made += 1
        name = f"keten_{os.getpid()}_{self._made}"
        self.execute(
            f"CREATE DATABASE {name} OWNER keten_keeper TEMPLATE template0 ENCODING 'UTF8' "
            f"LC_COLLATE '{collate}' LC_CTYPE '{collate}' TABLESPACE {tablespace}"
        )
        self.execute("ALTER SCHEMA public OWNER TO keten_keeper", name)
        return name

    def copy(self, name: str) -> str:
        """The name of a copy of a database that nobody is connected to."""
        self._made += 1
        copy = f"keten_{os.getpid()}_{self._made}"
        self.execute(f"CREATE DATABASE {copy} OWNER keten_keeper TEMPLATE {name}")
        return copy

    def execute(self, statement: str, database: str = "postgres", *values: Any) -> list[tuple[Any, ...]]:
        """One statement as the server's owner, in a transaction of its own."""
        import psycopg

        with psycopg.connect(self.url(database, "postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def end_session(self, database: str) -> int:
        """Terminate the backend of the keeper that is active on a database; its process id, 0 when there is none."""
        found = self.execute(
            "SELECT l.pid, pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE l.locktype = 'advisory' AND l.granted AND d.datname = %s",
            "postgres",
            database,
        )
        return int(found[0][0]) if found else 0


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@functools.cache
def shared() -> Cluster:
    """One server for all tests of this process, stopped at its end."""
    made = Cluster()
    atexit.register(made.close)
    return made


def chosen() -> bool:
    """Whether tests are to run on a server."""
    return os.environ.get(CHOSEN) == "postgres"


def database_url() -> str:
    """A fresh database on the shared server, or "" where tests run on files."""
    if not chosen():
        return ""
    cluster = shared()
    return cluster.url(cluster.fresh())


def place_in(home: Path, *, server: bool | None = None) -> Place:
    """Where the database of a made-up instance in a folder is: as before, or in a file, or on the shared server."""
    known = home / "database.url"
    if known.exists():
        return place_of(known.read_text(encoding="utf-8"))
    if not (chosen() if server is None else server):
        return home / "keten.db"
    home.mkdir(parents=True, exist_ok=True)
    known.write_text(shared().url(shared().fresh()), encoding="utf-8")
    return place_of(known.read_text(encoding="utf-8"))


def copy_in(home: Path) -> None:
    """After a folder was copied: where its database is on the server, a copy of that is its own."""
    known = home / "database.url"
    if known.exists():
        name = known.read_text(encoding="utf-8").partition("@/")[2].partition("?")[0]
        known.write_text(shared().url(shared().copy(name)), encoding="utf-8")


@contextmanager
def own(*settings: str, port: int = 0) -> Iterator[Cluster]:
    """A server for one test, to be killed, filled and cut off; port: of 127.0.0.1 that it listens on as well."""
    made = Cluster(*settings, port=port)
    try:
        yield made
    finally:
        made.close()
