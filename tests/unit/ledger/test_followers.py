"""Followers get every entry, in order, at least once; one that fails holds up nobody else."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keten.core.errors import Unavailable
from keten.ledger.cursors import load_cursor, store_cursor
from keten.ledger.followers import Runner
from keten.ledger.model import Draft, Entry
from tests.made_ledger import STARTED, MadeLedger


class Noting:
    """Notes what it gets; fails as often as it is told to."""

    def __init__(self, name: str, failures: int = 0) -> None:
        self.name = name
        self.failures = failures
        self.got: list[int] = []

    def handle(self, entries: Sequence[Entry]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("receiver", "The receiver is not there.")
        self.got += [entry.index for entry in entries]


class Kept:
    """Cursors kept by a writer, as the keeper does; `lose` crashes before storing so many times."""

    def __init__(self, made: MadeLedger) -> None:
        self.made = made
        self.lose = 0

    def __call__(self, name: str, index: int) -> None:
        if self.lose:
            self.lose -= 1
            raise Unavailable("keeper", "The keeper is not there.")
        with self.made.engine.begin() as connection:
            store_cursor(connection, name, index)


@pytest.fixture
def made(tmp_path: Path) -> MadeLedger:
    ledger = MadeLedger.create(tmp_path / "made")
    ledger.fill(50)
    return ledger


def test_every_follower_gets_everything_in_order(made: MadeLedger) -> None:
    one, other = Noting("one"), Noting("other")
    runner = Runner(made.reader, (one, other), Kept(made), batch=7)
    assert runner.behind() == {"one": 50, "other": 50}
    handled = [runner.step() for _ in range(9)]
    assert handled == [14] * 7 + [2, 0]
    assert one.got == other.got == list(range(50))
    assert runner.behind() == {"one": 0, "other": 0}
    made.record(Draft(STARTED, "keeper"))
    assert runner.step() == 2
    assert one.got[-1] == 50


def test_a_new_runner_goes_on_where_the_last_one_stopped(made: MadeLedger) -> None:
    Runner(made.reader, (Noting("one"),), Kept(made), batch=20).step()
    again = Noting("one")
    runner = Runner(made.reader, (again,), Kept(made), batch=20)
    runner.step()
    assert again.got == list(range(20, 40))


def test_a_failing_follower_gets_the_batch_again_and_holds_up_nobody(made: MadeLedger) -> None:
    failing, other = Noting("failing", failures=2), Noting("other")
    runner = Runner(made.reader, (failing, other), Kept(made), batch=30)
    assert runner.step() == 30
    assert "receiver is not there" in runner.failing["failing"]
    assert runner.step() == 20
    assert (failing.got, other.got) == ([], list(range(50)))
    assert runner.step() == 30
    assert runner.failing == {}
    assert failing.got == list(range(30))


def test_a_batch_whose_end_was_not_stored_comes_again(made: MadeLedger) -> None:
    follower, kept = Noting("one"), Kept(made)
    kept.lose = 1
    runner = Runner(made.reader, (follower,), kept, batch=30)
    assert runner.step() == 0
    assert runner.step() == 30
    assert follower.got == [*range(30), *range(30)]


def test_a_damaged_entry_stops_its_readers_and_names_it(made: MadeLedger) -> None:
    with closing(sqlite3.connect(made.database)) as connection:
        connection.execute("UPDATE entries SET salt = NULL WHERE idx = 12")
        connection.commit()
    follower = Noting("one")
    runner = Runner(made.reader, (follower,), Kept(made), batch=10)
    assert [runner.step(), runner.step()] == [10, 0]
    assert "Entry 12" in runner.failing["one"]
    assert follower.got == list(range(10))


@pytest.mark.parametrize("names", [["a", "a"], ["postings"], [""]])
def test_names_are_their_own(made: MadeLedger, names: list[str]) -> None:
    with pytest.raises(ValueError, match="name of its own"):
        Runner(made.reader, [Noting(name) for name in names], Kept(made))


def test_it_runs_until_it_is_stopped(made: MadeLedger) -> None:
    stopping = threading.Event()

    class Stopping(Noting):
        def handle(self, entries: Sequence[Entry]) -> None:
            super().handle(entries)
            if self.got[-1] == 51:
                stopping.set()

    follower = Stopping("one", failures=1)
    runner = Runner(made.reader, (follower,), Kept(made), batch=9)
    thread = threading.Thread(target=runner.run, args=(stopping, 0.001))
    thread.start()
    made.record(Draft(STARTED, "keeper"), Draft(STARTED, "keeper"))
    thread.join(60)
    assert not thread.is_alive()
    assert follower.got == list(range(52))


@given(
    batch=st.integers(1, 20), failures=st.lists(st.sampled_from(["handle", "store", "record", "none"]), max_size=20)
)
@settings(max_examples=20)
def test_whatever_fails_nothing_is_skipped(
    tmp_path_factory: pytest.TempPathFactory, batch: int, failures: list[str]
) -> None:
    made = MadeLedger.create(tmp_path_factory.mktemp("followers"))
    made.fill(30)
    follower, kept = Noting("one"), Kept(made)
    runner = Runner(made.reader, (follower,), kept, batch=batch)
    for failure in failures:
        if failure == "record":
            made.record(Draft(STARTED, "keeper"))
        follower.failures = int(failure == "handle")
        kept.lose = int(failure == "store")
        runner.step()
    follower.failures = kept.lose = 0
    while runner.step():
        pass
    assert sorted(set(follower.got)) == list(range(made.head().size))
    first_seen = list(dict.fromkeys(follower.got))
    assert first_seen == sorted(first_seen)
    with made.reading() as connection:
        assert load_cursor(connection, "one") == made.head().size
    made.close()
