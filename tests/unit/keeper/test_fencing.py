"""Two that would write in one database: the stored head decides, on every engine, whatever locks say."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.core.db import database_error, is_busy, take, writing_engine
from keten.core.errors import FsyncFailed
from keten.core.files import EXIT_DISK_FAILED
from keten.core.places import Place, place_of
from keten.ledger.model import Draft
from keten.ledger.writing import require_head, store_head
from tests.cluster import place_in, shared
from tests.made_ledger import MadeLedger
from tests.unit.keeper.writers import FACT


@pytest.fixture(params=[False, True], ids=["file", "server"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MadeLedger]:
    """A ledger with one entry."""
    place_in(tmp_path, server=request.param)
    ledger = MadeLedger.create(tmp_path)
    ledger.record(Draft(FACT, "test"))
    yield ledger
    ledger.close()


def test_a_head_that_moved(made: MadeLedger) -> None:
    """Whoever has the head of before commits nothing, at the beginning or at the end of its transaction."""
    before = made.head()
    made.record(Draft(FACT, "test"))
    after = made.head()
    with made.engine.begin() as connection:
        require_head(connection, after)
        with pytest.raises(FsyncFailed) as moved:
            require_head(connection, before)
        assert moved.value.code == "head-moved"
    for low_water in (None, 0):
        with made.engine.begin() as connection, pytest.raises(FsyncFailed):
            store_head(connection, before, low_water, after=before)
    with made.engine.begin() as connection, pytest.raises(FsyncFailed):
        require_head(connection, made.sealer.empty())
    assert made.head() == after


GOES_ON = """
import asyncio, sys
from pathlib import Path
from tests.unit.keeper.writers import Running, fact
from tests.made_ledger import MadeLedger

async def main():
    made = Running(Path(sys.argv[1]))
    await made.writer.run(fact("first"))
    print("first", flush=True)
    sys.stdin.readline()
    await made.writer.run(fact("second"))
    print("second", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("server", [False, True], ids=["file", "server"])
def test_a_writer_that_was_overtaken_leaves(tmp_path: Path, server: bool) -> None:
    place_in(tmp_path, server=server)
    with subprocess.Popen(
        [sys.executable, "-c", GOES_ON, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        other = MadeLedger(tmp_path)
        other.record(Draft(FACT, "another keeper"))
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.stdout.read() == ""
        assert process.wait(60) == EXIT_DISK_FAILED
    assert other.head().size == 2
    other.close()


def server_place() -> Place:
    return place_of(shared().url(shared().fresh()))


def test_one_keeper_for_a_log() -> None:
    place = server_place()
    first, second = writing_engine(place), writing_engine(place)
    assert take(first, "keten/a")
    assert take(first, "keten/a"), "it has it already"
    assert not take(second, "keten/a")
    assert take(second, "keten/b"), "of another log"
    first.dispose()
    deadline = time.monotonic() + 30
    while not take(second, "keten/a"):  # the server ends a session in its own time
        assert time.monotonic() < deadline
    second.dispose()


def test_who_lost_its_session_gets_no_other() -> None:
    """Or it would write without the lock."""
    place = server_place()
    engine = writing_engine(place)
    assert take(engine, "keten/a")
    assert shared().end_session(str(place).rpartition("/")[2])
    with pytest.raises(Exception, match=r"terminating connection|lost|closed") as lost, engine.begin() as connection:
        connection.exec_driver_sql("SELECT 1")
    assert isinstance(database_error(lost.value), FsyncFailed)  # type: ignore[arg-type]  # it is one of SQLAlchemy's
    with pytest.raises(FsyncFailed), engine.begin():
        pass
    engine.dispose()


def test_the_head_is_locked_from_the_beginning() -> None:
    """Another session that would replace it waits, and is told that it is busy."""
    place = server_place()
    from keten.core.db import metadata

    engine, other = writing_engine(place), writing_engine(place)
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.exec_driver_sql(r"INSERT INTO head VALUES (1, 0, '\x', '\x', '', 0, 0)")
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT 1 FROM head FOR UPDATE")
        with pytest.raises(Exception, match="lock timeout") as busy, other.begin() as late:
            late.exec_driver_sql("UPDATE head SET size = 7")
        assert is_busy(busy.value)  # type: ignore[arg-type]  # it is one of SQLAlchemy's
    engine.dispose()
    other.dispose()
