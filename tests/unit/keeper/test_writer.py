"""The only writer: jobs share commits, one that fails leaves nothing and harms nobody, and the rest is durable."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keten.core.errors import Busy, Conflict, Denied, KetenError, Unavailable
from keten.core.files import EXIT_DISK_FAILED
from keten.exchange.opening import Stale
from keten.exchange.refusals import SINGLE, DoorRefusals
from keten.keeper import transaction as transaction_module
from keten.keeper import writer as writer_module
from keten.keeper.writer import Job
from keten.ledger.postings import posted
from keten.ledger.sealing import Batch
from keten.ledger.tables import postings
from keten.ledger.writing import Writing, load_low_water
from tests.unit.keeper.writers import Running, fact, row, running


def with_writer(home: Path, test: Callable[[Running], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with running(home, **options) as made:
            await test(made)

    asyncio.run(run())


def refused(writing: Writing) -> None:
    """Records, then says no."""
    fact("refused")(writing)
    raise Denied("no", "No.")


def half_done(writing: Writing) -> None:
    """Writes a row and records it, then says no."""
    row("half")(writing)
    raise Conflict("half", "No.")


def broken(writing: Writing) -> None:
    row("broken")(writing)
    raise ZeroDivisionError


def test_jobs_that_wait_share_a_commit(tmp_path: Path) -> None:
    async def test(made: Running) -> None:
        names = [f"fact-{number}" for number in range(30)]
        indexes = await made.together(*(fact(name) for name in names))
        assert indexes == list(range(30))
        assert made.facts() == names, "durable when answered"
        assert len(made.commits) == 1
        assert made.commits[0][0].head.size == 30

    with_writer(tmp_path, test)


def test_one_that_raises_leaves_nothing(tmp_path: Path) -> None:
    async def test(made: Running) -> None:
        first, error, last = await made.together(fact("a"), refused, fact("b"))
        assert (first, last) == (0, 1)
        assert isinstance(error, Denied)
        assert made.facts() == ["a", "b"]
        assert len(made.commits) == 1, "it cost the others no second commit"

    with_writer(tmp_path, test)


@pytest.mark.parametrize(
    ("bad", "code"), [(half_done, "half"), (broken, "keeper-error"), (row("twice"), "keeper-error")]
)
def test_one_that_has_written_rows_spares_the_others(
    tmp_path: Path, bad: Callable[[Writing], Any], code: str
) -> None:
    async def test(made: Running) -> None:
        await made.writer.run(row("twice"))
        first, error, last = await made.together(row("a"), bad, row("b"))
        assert (first, last) == (1, 2)
        assert isinstance(error, KetenError)
        assert error.code == code
        assert made.facts() == ["twice", "a", "b"]
        assert made.rows() == {"twice", "a", "b"}

    with_writer(tmp_path, test)


def test_alone_is_alone(tmp_path: Path) -> None:
    async def test(made: Running) -> None:
        async with made.held():
            asked = [
                asyncio.ensure_future(made.writer.run(fact("a"))),
                asyncio.ensure_future(made.writer.run(fact("alone"), alone=True)),
                asyncio.ensure_future(made.writer.run(half_done, alone=True)),
                asyncio.ensure_future(made.writer.run(fact("b"))),
            ]
            await asyncio.sleep(0)
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(done[2], Conflict)
        assert [batch.head.size - batch.first for batch, _changed in made.commits] == [1, 1, 1]
        assert made.facts() == ["a", "alone", "b"]
        assert made.rows() == set()

    with_writer(tmp_path, test)


def test_nothing_recorded_is_no_batch(tmp_path: Path) -> None:
    async def test(made: Running) -> None:
        value, batch = await made.writer.run(lambda _writing: "nothing")
        assert (value, batch) == ("nothing", None)
        assert made.commits == []

    with_writer(tmp_path, test)


def test_what_was_decided_before_a_change_is_sent_back(tmp_path: Path) -> None:
    """The epoch is raised within the writer's transaction, before the next transaction begins."""

    async def test(made: Running) -> None:
        epoch = [0]

        def raised() -> None:
            epoch[0] += 1

        made.on_commit = raised

        def decided_in(then: int) -> Callable[[Writing], int]:
            def run(writing: Writing) -> int:
                if epoch[0] != then:
                    raise Stale("stale", "Decide again.")
                return fact("access")(writing)

            return run

        async with made.held():
            change = asyncio.ensure_future(made.writer.run(row("change"), alone=True))
            await asyncio.sleep(0)
            access = asyncio.ensure_future(made.writer.run(decided_in(0)))
            await asyncio.sleep(0)
        await change
        with pytest.raises(Stale):
            await access
        await made.writer.run(decided_in(1))
        assert made.facts() == ["change", "access"]

    with_writer(tmp_path, test)


class Counted:
    """Memory that goes with the transaction."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def commit(self) -> None:
        self.calls.append("commit")

    def rollback(self) -> None:
        self.calls.append("rollback")


def test_memory_goes_with_the_transaction(tmp_path: Path) -> None:
    counted = Counted()

    async def test(made: Running) -> None:
        await made.writer.run(fact("a"))
        assert counted.calls == ["commit"]
        with pytest.raises(Conflict):
            await made.writer.run(half_done)
        assert counted.calls == ["commit", "rollback"]
        counted.calls.clear()
        await made.together(fact("b"), broken)
        # Together in vain, then each by itself; before that, the transaction that held them up.
        assert counted.calls == ["commit", "rollback", "commit", "rollback"]

    with_writer(tmp_path, test, participants=(counted,))


def test_refusals_of_a_batch_that_is_redone_count_once(tmp_path: Path) -> None:
    refusals = DoorRefusals()

    def refuse(writing: Writing) -> bool:
        own = refusals.admit("client", ("absent",), writing.time_us)
        fact("refused" if own else "counted")(writing)
        return own

    async def test(made: Running) -> None:
        answers = await made.together(*([refuse] * SINGLE), broken)
        assert answers[:-1] == [True] * SINGLE
        assert await made.together(refuse) == [False]
        (counted,) = refusals.due(made.clock.recording_time(), everything=True)
        assert counted.details["count"] == 1

    with_writer(tmp_path, test, participants=(refusals,))


def test_only_what_is_essential_uses_the_reserve(tmp_path: Path) -> None:
    async def test(made: Running) -> None:
        with pytest.raises(Unavailable) as caught:
            await made.writer.run(fact("access"))
        assert caught.value.code == "disk-reserve"
        await made.writer.run(fact("revocation"), essential=True)
        assert made.facts() == ["revocation"]

    with_writer(tmp_path, test, reserve=1 << 62)


def test_too_many_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_WAITING", 3)

    async def test(made: Running) -> None:
        async with made.held():
            asked = [asyncio.ensure_future(made.writer.run(fact(f"{number}"))) for number in range(5)]
            asked.append(asyncio.ensure_future(made.writer.run(fact("end"), essential=True)))
            await asyncio.sleep(0)
            assert made.writer.waiting == 4
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(one, Busy) for one in done] == [False, False, False, True, True, False]
        assert made.facts() == ["0", "1", "2", "end"]

    with_writer(tmp_path, test)


def test_short_jobs_run_in_the_loop_and_long_ones_do_not(tmp_path: Path) -> None:
    async def test(made: Running) -> None:
        def where(_writing: Writing) -> int:
            return threading.get_ident()

        here = threading.get_ident()
        assert (await made.writer.run(where))[0] == here
        assert (await made.writer.run(where, alone=True))[0] != here

    with_writer(tmp_path, test)


def test_whoever_holds_the_database_is_not_waited_for_in_the_loop(tmp_path: Path) -> None:
    async def test(made: Running) -> None:
        with closing(sqlite3.connect(made.ledger.database)) as other:
            other.isolation_level = None
            other.execute("BEGIN IMMEDIATE")
            asked = [asyncio.ensure_future(made.writer.run(fact(f"{number}"))) for number in range(3)]
            await asyncio.sleep(0.3)  # the loop runs on
            assert not any(one.done() for one in asked)
            other.execute("ROLLBACK")
        assert [index for index, _batch in await asyncio.gather(*asked)] == [0, 1, 2]
        assert made.facts() == ["0", "1", "2"]

    with_writer(tmp_path, test)


def test_whoever_holds_the_database_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction_module, "PATIENCE_SECONDS", 0.2)

    async def test(made: Running) -> None:
        with closing(sqlite3.connect(made.ledger.database)) as other:
            other.isolation_level = None
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable) as caught:
                await made.writer.run(fact("a"))
            assert caught.value.code == "database"
        await made.writer.run(fact("b"))
        assert made.facts() == ["b"]

    with_writer(tmp_path, test)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - looks at what has no event
            await asyncio.sleep(0.01)


def test_posting_lists_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "POST_WITHIN_SECONDS", 0.05)

    async def test(made: Running) -> None:
        def listed() -> int:
            with made.ledger.reading() as connection:
                return posted(connection)

        await made.together(*(fact(f"{number}") for number in range(300)))
        await _until(lambda: listed() == 256)
        await made.together(*(fact(f"{number}") for number in range(writer_module.POST_AFTER + 10)))
        await _until(lambda: listed() == 1280)

    with_writer(tmp_path, test)


def test_posting_lists_that_cannot_be_written_hold_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "POST_WITHIN_SECONDS", 0.02)
    monkeypatch.setattr(writer_module, "RETRY_POSTING_SECONDS", 0.1)

    async def test(made: Running) -> None:
        with made.ledger.engine.begin() as connection:
            postings.drop(connection)
        await made.together(*(fact(f"{number}") for number in range(300)))
        await asyncio.sleep(0.3)
        assert (await made.writer.run(fact("after")))[0] == 300
        with made.ledger.engine.begin() as connection:
            postings.create(connection)

        def listed() -> int:
            with made.ledger.reading() as connection:
                return posted(connection)

        await _until(lambda: listed() == 256)

    with_writer(tmp_path, test)


def test_stopping_finishes_what_is_queued(tmp_path: Path) -> None:
    async def test(made: Running) -> None:
        asked = [asyncio.ensure_future(made.writer.run(fact(f"{number}"))) for number in range(10)]
        await asyncio.sleep(0)
        await asyncio.to_thread(made.writer.stop)
        assert [one[0] for one in await asyncio.gather(*asked)] == list(range(10))
        with pytest.raises(Unavailable) as caught:
            await made.writer.run(fact("late"), essential=True)
        assert caught.value.code == "stopping"
        assert len(made.facts()) == 10

    with_writer(tmp_path, test)


def test_an_answer_that_fails_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def test(made: Running) -> None:
        def fails(_job: Job[int], _batch: Batch | None) -> None:
            raise ZeroDivisionError

        async with made.held():
            made.writer.submit(fact("a"), fails)
            other = asyncio.ensure_future(made.writer.run(fact("b")))
            await asyncio.sleep(0)
        index, _batch = await asyncio.wait_for(other, 30)
        assert index == 1

    with_writer(tmp_path, test)


def test_a_caller_that_went_away(tmp_path: Path) -> None:
    async def test(made: Running) -> None:
        async with made.held():
            gone = asyncio.ensure_future(made.writer.run(fact("a")))
            await asyncio.sleep(0)
            gone.cancel()
        await made.writer.run(fact("b"))
        assert made.facts() == ["a", "b"], "what was asked is done, whoever still listens"

    with_writer(tmp_path, test)


def test_low_water_is_the_oldest_that_is_open(tmp_path: Path) -> None:
    async def test(made: Running) -> None:
        def opening(writing: Writing) -> int:
            index = fact("opened")(writing)
            writing.open(index)
            return index

        def closing(index: int) -> Callable[[Writing], int]:
            def run(writing: Writing) -> int:
                writing.close(index)
                return fact("closed")(writing)

            return run

        def low_water() -> int:
            with made.ledger.reading() as connection:
                return load_low_water(connection)

        first, second = await made.together(opening, opening)
        assert low_water() == first
        await made.writer.run(closing(first))
        assert low_water() == second

        def closes_and_fails(writing: Writing) -> None:
            closing(second)(writing)
            refused(writing)

        with pytest.raises(Denied):
            await made.writer.run(closes_and_fails)
        assert low_water() == second
        await made.writer.run(closing(second))
        assert low_water() == 4
        await made.writer.run(lambda writing: closing(opening(writing))(writing))
        assert low_water() == 6

    with_writer(tmp_path, test)


DIES = """
import asyncio, sqlite3, sys
from pathlib import Path
from sqlalchemy.engine.default import DefaultDialect
from tests.unit.keeper.writers import Running, fact

class Broken:
    def commit(self): raise ZeroDivisionError
    def rollback(self): pass

def fails(self, connection):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
    raise error

async def main():
    made = Running(Path(sys.argv[1]), participants=(Broken(),) if sys.argv[2] == "memory" else ())
    if sys.argv[2] == "fsync":
        DefaultDialect.do_commit = fails
    await made.writer.run(fact("a"))
    print("answered")

asyncio.run(main())
"""


@pytest.mark.parametrize("what", ["memory", "fsync"])
def test_it_leaves_when_memory_and_disk_may_differ(tmp_path: Path, what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path), what], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == EXIT_DISK_FAILED, done.stderr
    assert "answered" not in done.stdout


KINDS: dict[str, Callable[[str], Callable[[Writing], Any]]] = {
    "fact": fact,
    "row": row,
    "refused": lambda _name: refused,
    "half": lambda _name: half_done,
    "broken": lambda _name: broken,
}


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.booleans()), min_size=1, max_size=12))
def test_any_mix(kinds: list[tuple[str, bool]]) -> None:
    """Exactly what succeeded is there, in the order in which it was asked."""

    async def test(made: Running) -> None:
        async with made.held():
            asked = []
            for number, (kind, alone) in enumerate(kinds):
                asked.append(asyncio.ensure_future(made.writer.run(KINDS[kind](f"{number}"), alone=alone)))
                await asyncio.sleep(0)
        done = await asyncio.gather(*asked, return_exceptions=True)
        good = [f"{number}" for number, (kind, _alone) in enumerate(kinds) if kind in ("fact", "row")]
        assert made.facts() == good
        assert made.rows() == {f"{number}" for number, (kind, _alone) in enumerate(kinds) if kind == "row"}
        succeeded = [f"{number}" for number, one in enumerate(done) if not isinstance(one, BaseException)]
        assert succeeded == good
        indexes = [one[0] for one in done if not isinstance(one, BaseException)]
        assert indexes == list(range(len(good)))

    with tempfile.TemporaryDirectory() as home:
        with_writer(Path(home), test)
