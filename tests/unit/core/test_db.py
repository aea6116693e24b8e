"""The database engines: one writer, readers that can't write, and failures translated to what they mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, OperationalError

from keten.core.db import (
    Prepared,
    database_error,
    fetched,
    insert_many,
    reading_engine,
    rows_written,
    translated,
    writing_engine,
)
from keten.core.errors import Corrupt, FsyncFailed, KetenError, Unavailable

things = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String(20), nullable=False),
    Column("body", LargeBinary),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a b%41.db"
    engine = writing_engine(path)
    with engine.begin() as connection:
        things.create(connection)
    engine.dispose()
    return path


def failure(name: str) -> DBAPIError:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorname = name  # as the driver sets it
    return OperationalError("INSERT", {}, error)


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("SQLITE_FULL", Unavailable, "disk-full"),
        ("SQLITE_IOERR_FSYNC", FsyncFailed, "fsync-failed"),
        ("SQLITE_IOERR_WRITE", FsyncFailed, "fsync-failed"),
        ("SQLITE_IOERR", FsyncFailed, "fsync-failed"),
        ("SQLITE_CORRUPT", Corrupt, "database-damaged"),
        ("SQLITE_NOTADB", Corrupt, "database-damaged"),
        ("SQLITE_BUSY", Unavailable, "database"),
        ("", Unavailable, "database"),
    ],
)
def test_what_a_failure_means(name: str, kind: type[KetenError], code: str) -> None:
    found = database_error(failure(name))
    assert type(found) is kind
    assert found.code == code
    with pytest.raises(kind), translated():
        raise failure(name)


def test_every_commit_is_synced(path: Path) -> None:
    engine = writing_engine(path)
    with engine.connect() as connection:
        found = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        }
    engine.dispose()
    assert found == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}


def test_a_reader_writes_nothing(path: Path) -> None:
    reader = reading_engine(path)
    for statement in ("INSERT INTO things VALUES (1, 'x', NULL)", "DROP TABLE things", "PRAGMA user_version = 7"):
        with reader.connect() as connection, pytest.raises(DBAPIError, match="readonly"):
            connection.execute(text(statement))
    reader.dispose()


def test_a_reader_of_nothing_makes_nothing(tmp_path: Path) -> None:
    reader = reading_engine(tmp_path / "none.db")
    with pytest.raises(DBAPIError), reader.connect():
        pass
    reader.dispose()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_one_moment(path: Path) -> None:
    writer, reader = writing_engine(path), reading_engine(path)
    with reader.connect() as connection:
        assert connection.execute(select(things)).all() == []
        with writer.begin() as writing:
            insert_many(writing, things, [(1, "x", b"y")])
        assert connection.execute(select(things)).all() == []
    with reader.connect() as connection:
        assert connection.execute(select(things)).all() == [(1, "x", b"y")]
    for engine in (writer, reader):
        engine.dispose()


def test_one_writer_at_a_time(path: Path) -> None:
    writer = writing_engine(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA busy_timeout=0")
        with writer.begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")  # from its first statement on, not from its first write
    writer.dispose()


def test_all_or_nothing(path: Path) -> None:
    writer = writing_engine(path)

    def half_way() -> None:
        with writer.begin() as connection:
            insert_many(connection, things, [(1, "x", b"")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_way()
    with pytest.raises(DBAPIError), writer.begin() as connection:
        insert_many(connection, things, [(1, "x", b""), (1, "again", b"")])
    assert count(writer) == 0
    writer.dispose()


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        return len(connection.execute(select(things.c.id)).all())


def test_rows_at_once(path: Path) -> None:
    writer = writing_engine(path)
    with writer.begin() as connection:
        insert_many(connection, things, [])
        before = rows_written(connection)
        insert_many(connection, things, [(number, f"n{number}", None) for number in range(500)])
        assert rows_written(connection) == before + 500
        connection.execute(select(things)).all()
        assert rows_written(connection) == before + 500
        connection.execute(things.update().where(things.c.id == 3).values(name="x"))
        assert rows_written(connection) == before + 501
    assert count(writer) == 500
    writer.dispose()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database at all" * 500)
    reader = reading_engine(path)
    with pytest.raises(Corrupt), translated(), reader.connect() as connection:
        connection.execute(select(things))
    reader.dispose()


NAMED = Prepared(
    select(things.c.id, things.c.body).where(things.c.name == bindparam("name_"), things.c.id < bindparam("most_")),
    ["name_", "most_"],
)


def filled(path: Path) -> Engine:
    engine = writing_engine(path)
    with engine.begin() as connection:
        insert_many(connection, things, [(1, "a", b"one"), (2, "b", None), (3, "a", b"three")])
    return engine


def test_a_prepared_statement_gives_plain_rows(path: Path) -> None:
    engine = filled(path)
    with engine.connect() as connection:
        assert NAMED.rows(connection, ("a", 9)) == [(1, b"one"), (3, b"three")]
        assert NAMED.rows(connection, ("a", 3)) == [(1, b"one")]
        assert NAMED.rows(connection, ("b", 9)) == [(2, None)]
        assert NAMED.rows(connection, ("c", 9)) == []
    engine.dispose()


def test_a_prepared_statement_belongs_to_the_transaction(path: Path) -> None:
    """It sees what the transaction wrote; where there is none yet, one begins, as with any other statement."""
    engine = filled(path)
    reader = reading_engine(path)
    with reader.connect() as connection:
        assert len(NAMED.rows(connection, ("a", 9))) == 2
        with engine.begin() as writing:
            insert_many(writing, things, [(4, "a", None)])
            assert len(NAMED.rows(writing, ("a", 9))) == 3
        assert len(NAMED.rows(connection, ("a", 9))) == 2
        connection.rollback()
        assert len(NAMED.rows(connection, ("a", 9))) == 3
    engine.dispose()
    reader.dispose()


def test_parameters_that_are_named_otherwise_are_refused(path: Path) -> None:
    wrong = Prepared(select(things).where(things.c.name == bindparam("name_")), ["other_"])
    engine = filled(path)
    with engine.connect() as connection, pytest.raises(Unavailable):
        wrong.rows(connection, ("a",))
    engine.dispose()


def test_what_cannot_be_read_is_an_error_as_elsewhere(path: Path) -> None:
    engine = filled(path)
    with engine.begin() as connection:
        connection.execute(text("UPDATE things SET name = CAST(x'ff' AS TEXT) WHERE id = 1"))
    everything = select(things)
    with engine.connect() as connection:
        with pytest.raises(DBAPIError):
            fetched(connection.execute(everything))
        with pytest.raises(DBAPIError):
            Prepared(everything, []).rows(connection, ())
        assert fetched(connection.execute(everything.where(things.c.id > 1))) == [(2, "b", None), (3, "a", b"three")]
    engine.dispose()


@pytest.mark.parametrize("opening", [reading_engine, writing_engine])
def test_a_schema_that_is_no_text_is_damage(tmp_path: Path, opening: Callable[[Path], Engine]) -> None:
    """What SQLite says of it holds its bytes, of which Python can't make an error's text."""
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE victim (a)")
    damaged = path.read_bytes().replace(b"CREATE TABLE", b"CREATE XABLE").replace(b"victimvictim", b"vi\xa8timvictim")
    path.write_bytes(damaged)
    engine = opening(path)
    with pytest.raises(Corrupt) as caught, translated(), engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1 FROM victim")
    assert caught.value.code == "database-damaged"
    engine.dispose()
