"""The write-ahead log stays short while others write on, and a disk that fails under it is noticed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from keten.core import wal
from keten.core.db import writing_engine
from keten.core.errors import FsyncFailed, Unavailable
from keten.core.wal import WriteAheadLog


@contextmanager
def kept_short(path: Path, failures: list[FsyncFailed]) -> Iterator[tuple[Engine, WriteAheadLog]]:
    engine = writing_engine(path)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE facts (n INTEGER PRIMARY KEY, text BLOB)")
    log = WriteAheadLog(path, failures.append)
    try:
        yield engine, log
    finally:
        log.close()
        engine.dispose()
        log.release()


def say(engine: Engine, log: WriteAheadLog) -> int:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO facts (text) VALUES (randomblob(5000))")
    frames = log.frames()
    log.after_commit()
    return frames


def test_a_long_log_is_brought_in_while_others_write_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "LONG_FRAMES", 40)
    monkeypatch.setattr(wal, "FEW_FRAMES", 8)
    path = tmp_path / "keten.db"
    failures: list[FsyncFailed] = []
    begun_anew, before, written = 0, 0, 0
    with kept_short(path, failures) as (engine, log):
        deadline = time.monotonic() + 60
        while begun_anew < 5 and time.monotonic() < deadline:
            frames = say(engine, log)
            written += 1
            begun_anew += frames < before
            before = frames
        assert begun_anew == 5
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM facts").scalar() == written
    assert not failures
    assert not path.with_name("keten.db-wal").exists(), "the last to close took it away"


def test_whoever_writes_waits_when_it_grew_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "LONG_FRAMES", 10)
    monkeypatch.setattr(wal, "TOO_LONG_FRAMES", 50)
    with kept_short(tmp_path / "keten.db", []) as (engine, log):
        monkeypatch.setattr(log._wanted, "set", lambda: None)  # the thread never comes to it
        longest = max(say(engine, log) for _ in range(200))
        assert 50 <= longest < 60
        monkeypatch.undo()


def test_a_reader_of_old_keeps_the_log_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "LONG_FRAMES", 20)
    path = tmp_path / "keten.db"
    with kept_short(path, []) as (engine, log):
        say(engine, log)
        with closing(sqlite3.connect(path)) as reader:
            reader.isolation_level = None
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM facts").fetchone() == (1,)
            longest = max(say(engine, log) for _ in range(100))
            assert longest > 100
            assert reader.execute("SELECT count(*) FROM facts").fetchone() == (1,)
            reader.execute("COMMIT")
        deadline = time.monotonic() + 60
        while say(engine, log) >= longest:
            assert time.monotonic() < deadline, "it never began anew"


def test_nothing_of_what_was_deleted_is_left_in_it(tmp_path: Path) -> None:
    path, secret = tmp_path / "keten.db", b"a wrapped key of 60 bytes, of which nothing is to be left"
    with kept_short(path, []) as (engine, log):
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO facts (n, text) VALUES (1, ?)", (secret,))
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE facts SET text = NULL WHERE n = 1")
        assert secret in path.with_name("keten.db-wal").read_bytes()
        assert log.empty()
        assert secret not in path.with_name("keten.db-wal").read_bytes()
        assert secret not in path.read_bytes()
        with closing(sqlite3.connect(path)) as reader:
            reader.isolation_level = None
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM facts").fetchone()
            say(engine, log)
            assert not log.empty(), "somebody still reads what was"


def test_what_was_left_behind_in_the_database_is_found_and_taken_out(tmp_path: Path) -> None:
    """A copy that SQLite left when it moved a page, made here by deleting without secure_delete."""
    path = tmp_path / "keten.db"
    secret = b"a key that was destroyed, in 32 b"
    with kept_short(path, []) as (engine, log):
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO facts (text) VALUES (?)", (secret,))
            connection.exec_driver_sql("INSERT INTO facts (text) VALUES (?)", (b"what stays",))
        with closing(sqlite3.connect(path)) as careless:
            careless.execute("PRAGMA secure_delete=OFF")
            careless.execute("DELETE FROM facts WHERE n = 1")
            careless.commit()
        assert log.scrub([b"something else that is long enough"])
        assert secret in path.read_bytes(), "it was not looked for"
        with closing(sqlite3.connect(path)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM facts").fetchall()
            assert not log.scrub([secret]), "somebody still reads what was"
        assert log.scrub([secret])
        assert secret not in path.read_bytes()
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT n, text FROM facts").all() == [(2, b"what stays")]


def test_whoever_writes_does_not_wait_while_it_is_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done meanwhile is durable, and nothing of what was deleted came back with it."""
    path, secret = tmp_path / "keten.db", b"a key that was destroyed, in 32 b"
    waiting: list[bool] = []

    def between(work: Callable[[], bool]) -> bool:
        waiting.append(True)
        try:
            return work()
        finally:
            waiting.pop()

    with kept_short(path, []) as (engine, log):
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO facts (text) VALUES (?)", (secret,))
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE facts SET text = NULL")
        found = log._found

        def looking(traces: Sequence[bytes]) -> bool:
            assert not waiting
            say(engine, log)
            return found(traces)

        monkeypatch.setattr(log, "_found", looking)
        assert log.scrub([secret], between)
        assert log.empty()
        assert secret not in path.read_bytes()
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM facts").scalar_one() == 2


@pytest.mark.parametrize("many", [False, True])
def test_what_is_not_known_is_taken_out_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bool) -> None:
    """And what is too much to look for, or too large to be copied in memory."""
    monkeypatch.setattr(wal, "_MOST_LOOKED", 0)
    monkeypatch.setattr(wal, "_IN_MEMORY", 0 if many else 1 << 20)
    path = tmp_path / "keten.db"
    secret = b"a value that nobody remembers now"
    with kept_short(path, []) as (engine, log):
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO facts (text) VALUES (?)", (secret,))
        with closing(sqlite3.connect(path)) as careless:
            careless.execute("PRAGMA secure_delete=OFF")
            careless.execute("DELETE FROM facts")
            careless.commit()
        assert log.scrub([secret] if many else None)
        assert secret not in path.read_bytes()


def test_it_stops_whenever_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "LONG_FRAMES", 1)
    for number in range(30):
        with kept_short(tmp_path / f"{number}.db", []) as (engine, log):
            for _ in range(number % 4):
                say(engine, log)
        assert not log._thread.is_alive()


class Refusing:
    """A connection whose disk does not do what it must."""

    def __init__(self, name: str) -> None:
        self._name = name

    def execute(self, _statement: str) -> None:
        error = sqlite3.OperationalError("no")
        error.sqlite_errorname = self._name
        raise error

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(("name", "stops"), [("SQLITE_IOERR_FSYNC", True), ("SQLITE_FULL", False)])
def test_a_disk_that_fails_is_told_and_a_full_one_is_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, stops: bool
) -> None:
    monkeypatch.setattr(wal, "LONG_FRAMES", 4)
    monkeypatch.setattr(wal, "TOO_LONG_FRAMES", 8)
    failures: list[FsyncFailed] = []
    with kept_short(tmp_path / "keten.db", failures) as (engine, log):
        real = log._connection
        with monkeypatch.context() as patched:
            patched.setattr(log, "_connection", Refusing(name))
            for _ in range(20):
                say(engine, log)
        assert bool(failures) == stops
        assert ("the write-ahead log grows" in caplog.text) or stops
        assert log._connection is real
        say(engine, log)


def test_a_database_that_cannot_be_opened_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="SQLITE_CANTOPEN"):
        WriteAheadLog(tmp_path / "missing" / "keten.db", lambda _failed: None)
