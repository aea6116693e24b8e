"""One transaction of the only writer, in two halves: prepared where its jobs may run, committed where waiting is free.

A job is a function of a `Writing`; it either records and returns a value, or raises a `KetenError` and leaves no trace.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, Transaction
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError

from keten.core.clock import Clock
from keten.core.db import database_error, patience, rows_written
from keten.core.errors import Conflict, Corrupt, FsyncFailed, KetenError
from keten.ledger.recent import Recent
from keten.ledger.sealing import Batch, Head, Sealer
from keten.ledger.writing import Writing, require_head

T = TypeVar("T")
log = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0


class Participant(Protocol):
    """State in memory that goes with the transaction, such as the budgets' counters."""

    def commit(self) -> None:
        """The transaction is durable."""

    def rollback(self) -> None:
        """The transaction did not happen."""


class NotTogether(Exception):
    """A job failed after it had written rows: in a shared transaction they can't be taken back by themselves."""


class Job(Generic[T]):
    """One piece of work. `alone`: in a transaction of its own. `essential`: also when little disk is left."""

    __slots__ = ("alone", "done", "error", "essential", "run", "value")

    def __init__(
        self,
        run: Callable[[Writing], T],
        done: Callable[[Job[T], Batch | None], None],
        *,
        alone: bool,
        essential: bool,
    ) -> None:
        self.run = run
        self.done = done
        self.alone = alone
        self.essential = essential
        self.value: T | None = None
        self.error: KetenError | None = None


class Prepared(msgspec.Struct, frozen=True):
    """Jobs that ran and were sealed, and are not durable yet."""

    connection: Connection
    transaction: Transaction
    writing: Writing
    batch: Batch | None


class Transactions:
    """Makes one transaction at a time, whichever thread asks; `head` is the newest that is durable."""

    def __init__(
        self,
        engine: Engine,
        sealer: Sealer,
        head: Head,
        clock: Clock,
        *,
        open_indexes: list[int],
        participants: tuple[Participant, ...],
    ) -> None:
        self._engine = engine
        self._sealer = sealer
        self._clock = clock
        self._participants = participants
        self._open = dict.fromkeys(sorted(open_indexes))
        self.head = head
        self.recent = Recent()
        self.torn = False  # durable, and memory may not say so: only a fresh start makes them agree
        self.closed = False  # nothing may be recorded here any more

    def prepare(self, jobs: Sequence[Job[Any]], *, patient: bool = False) -> Prepared:
        """Run the jobs and seal; when this raises, nothing happened.

        patient: wait for whoever else holds the database, which nobody should; otherwise raise at once.

        1. Begin; nobody else can write, and nobody else has since this keeper last did.
        2. Run each job; one that raises leaves nothing behind.
        3. Write the entries, the new size and root, and the signature over them.
        """
        if self.closed:
            raise Conflict("instance-moved", "This instance was moved: its ledger goes on elsewhere.")
        connection = self._engine.connect()
        try:
            patience(connection, PATIENCE_SECONDS if patient else 0)
            transaction = connection.begin()  # 1
            require_head(connection, self.head)
            writing = Writing(connection, self._sealer, self.head, self._clock.recording_time())
            single = len(jobs) == 1
            for job in jobs:  # 2
                _run(job, writing, single=single)
            batch = writing.seal(self._low_water(writing))  # 3
        except BaseException:
            self._abandon(connection)
            raise
        return Prepared(connection, transaction, writing, batch)

    def commit(self, prepared: Prepared) -> None:
        """4. Commit: fsynced when it returns. Touches nothing but the database, so any thread may wait for it."""
        prepared.transaction.commit()

    def conclude(self, prepared: Prepared) -> None:
        """5. It is durable: memory follows, before the next transaction begins."""
        self.torn = True
        prepared.connection.close()
        for participant in self._participants:
            participant.commit()
        writing = prepared.writing
        for index in writing.opened:
            self._open[index] = None
        for index in writing.closed:
            self._open.pop(index, None)
        if writing.erased:
            self.recent.forget()
        if prepared.batch is not None:
            self.recent.add(prepared.batch)
            self.head = prepared.batch.head
        self.closed = self.closed or writing.last
        self.torn = False

    def abandon(self, prepared: Prepared) -> None:
        """The commit failed: nothing happened."""
        self._abandon(prepared.connection)

    def _abandon(self, connection: Connection) -> None:
        connection.close()  # rolls back
        for participant in self._participants:
            participant.rollback()

    def _low_water(self, writing: Writing) -> int | None:
        """The oldest entry that began something without a recorded end, once this transaction is done."""
        closed = set(writing.closed)
        oldest = next((index for index in self._open if index not in closed), None)
        if oldest is None:
            oldest = next((index for index in writing.opened if index not in closed), None)
        return writing.next_index if oldest is None else oldest


def settled(jobs: Sequence[Job[Any]], error: Exception) -> bool:
    """Say to each job why its transaction did not happen; false when they must be tried one by one first.

    Raises `FsyncFailed`: what the disk holds is not known any more (law 13).
    """
    if isinstance(error, DBAPIError) and not isinstance(
        error, DataError | IntegrityError | InterfaceError | ProgrammingError
    ):
        error = database_error(error)
    if isinstance(error, FsyncFailed):
        raise error
    if isinstance(error, KetenError):
        if isinstance(error, Corrupt):
            log.critical("keeper: %s", error)
        for job in jobs:
            job.error = job.error or error
        return True
    if not isinstance(error, NotTogether):
        log.error("a job failed in a way that nobody foresaw", exc_info=error)
    if len(jobs) > 1:
        return False
    jobs[0].error = KetenError("keeper-error", "Something went wrong in the keeper; nothing was given out.")
    return True


def _run(job: Job[Any], writing: Writing, *, single: bool) -> None:
    mark, rows = writing.mark(), rows_written(writing.connection)
    try:
        job.value = job.run(writing)
    except KetenError as error:
        if single or isinstance(error, FsyncFailed):
            raise
        if writing.changed or rows_written(writing.connection) != rows:
            raise NotTogether from error
        writing.undo(mark)
        job.error = error
