"""A real writer on a real small database, inside a running loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Column, MetaData, String, Table, select

from keten.core.clock import Clock
from keten.core.db import take
from keten.keeper.writer import Disk, Participant, Writer
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from keten.ledger.sealing import Batch
from keten.ledger.tables import entries
from keten.ledger.writing import Writing, load_head
from tests.made_ledger import START_US, MadeLedger

FACT = Kind("test.fact.said", "a fact", {})
rows = Table("rows_of_a_test", MetaData(), Column("name", String(40), primary_key=True))


def fact(name: str) -> Callable[[Writing], int]:
    """A job that records one fact."""
    return lambda writing: writing.record(Draft(FACT, "test", details={"name": name}))


def row(name: str) -> Callable[[Writing], int]:
    """A job that writes a row and records it."""

    def run(writing: Writing) -> int:
        writing.connection.execute(rows.insert().values(name=name))
        return fact(name)(writing)

    return run


class Running:
    """A writer, and what is to be seen of it."""

    def __init__(self, home: Path, *, reserve: int = 0, participants: tuple[Participant, ...] = ()) -> None:
        self.ledger = MadeLedger.create(home)
        with self.ledger.engine.begin() as connection:
            rows.create(connection)
        self.commits: list[tuple[Batch, bool]] = []
        self.on_commit: Callable[[], None] = lambda: None
        self.clock = Clock(START_US, lambda: START_US, lambda: 0)
        assert take(self.ledger.engine, self.ledger.sealer.origin), "the log's lock, as every keeper has it"
        self.writer = Writer(
            self.ledger.engine,
            self.ledger.sealer,
            self.ledger.head(),
            self.clock,
            open_indexes=[],
            participants=participants,
            on_commit=self._committed,
            disk=Disk(self.ledger.place, reserve),
        )

    def _committed(self, batch: Batch, *, changed: bool) -> None:
        self.commits.append((batch, changed))
        self.on_commit()

    def facts(self) -> list[str]:
        """The names of the facts in the database, in order."""
        with self.ledger.reading() as connection:
            payloads = connection.execute(select(entries.c.payload).order_by(entries.c.idx)).scalars()
            return [str(payload).split('"name":"')[1].split('"')[0] for payload in payloads]

    def rows(self) -> set[str]:
        """The rows in the database."""
        with self.ledger.reading() as connection:
            return set(connection.execute(select(rows.c.name)).scalars())

    def sound(self) -> None:
        """The stored head is signed, is the writer's, and covers every entry."""
        with self.ledger.reading() as connection:
            head = load_head(connection, self.ledger.verifier)
            count = len(connection.execute(select(entries.c.idx)).all())
        assert head is not None or count == 0
        assert (head.size if head else 0) == count == self.writer.head.size

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Keep the writer busy meanwhile, so that what is queued shares the next transaction."""
        busy, go = threading.Event(), threading.Event()

        def wait(_writing: Writing) -> None:
            busy.set()
            assert go.wait(30)

        waiting = asyncio.ensure_future(self.writer.run(wait, alone=True))
        assert await asyncio.to_thread(busy.wait, 30)
        try:
            yield
        finally:
            go.set()
        await waiting

    async def together(self, *jobs: Callable[[Writing], Any], **options: bool) -> list[Any]:
        """What came of jobs that were all waiting when the next transaction began: value, or the error."""
        async with self.held():
            asked = [asyncio.ensure_future(self.writer.run(job, **options)) for job in jobs]
            await asyncio.sleep(0)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return [one if isinstance(one, BaseException) else one[0] for one in answers]


@asynccontextmanager
async def running(
    home: Path, *, reserve: int = 0, participants: tuple[Participant, ...] = ()
) -> AsyncIterator[Running]:
    """A running writer; stopped afterwards, and what it left must be sound."""
    made = Running(home, reserve=reserve, participants=participants)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.writer.stop)
    made.sound()
    made.ledger.close()
    made.writer.release()
