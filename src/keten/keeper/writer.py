"""The only writer of the database: one thread, group commit, record first (laws 1, 6 and 13).

Jobs that arrive while a commit is under way share the next one. A job is a function of a `Writing`; it either
records and returns a value, or raises a `KetenError` and leaves no trace. When the future of a job resolves, its
entries and the signed head over them are durable.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError

from keten.core.clock import Clock
from keten.core.db import checkpoint, database_error, rows_written
from keten.core.errors import Busy, Corrupt, FsyncFailed, KetenError, Unavailable
from keten.core.files import stop_process
from keten.ledger import postings
from keten.ledger.sealing import Batch, Head, Sealer
from keten.ledger.writing import Writing

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_BATCH = 1024
MAX_WAITING = 20_000
POST_AFTER = 2048
IDLE_SECONDS = 0.5


class Participant(Protocol):
    """State in memory that goes with the transaction, such as the budgets' counters."""

    def commit(self) -> None:
        """The transaction is durable."""

    def rollback(self) -> None:
        """The transaction did not happen."""


class OnCommit(Protocol):
    """Told of every commit in the writer's thread, once durable and before the next transaction begins."""

    def __call__(self, batch: Batch, *, changed: bool) -> None:
        """`changed`: a row of the register was declared or changed."""


class Disk(msgspec.Struct, frozen=True):
    """The database's file, whose folder's disk is watched, and how much of that is kept for ending access."""

    database: Path
    reserve_bytes: int


class _NotTogether(Exception):
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


class Writer:
    """Runs jobs in order. Start it inside a running event loop; `done` callbacks are called in that loop."""

    def __init__(
        self,
        engine: Engine,
        sealer: Sealer,
        head: Head,
        clock: Clock,
        *,
        open_indexes: list[int],
        participants: tuple[Participant, ...] = (),
        on_commit: OnCommit,
        disk: Disk,
    ) -> None:
        self._engine = engine
        self._sealer = sealer
        self._clock = clock
        self._participants = participants
        self._on_commit = on_commit
        self._disk = disk
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[Job[Any]] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._durable = False
        self._log_grows = False
        self._posted = 0
        self._newest = postings.Newest(head.size)
        self._open = dict.fromkeys(sorted(open_indexes))
        self.head = head
        self.failed = ""
        self._thread = threading.Thread(target=self._main, name="keten-writer", daemon=True)
        self._thread.start()

    # ---- in the event loop -----------------------------------------------------------------------------------

    def submit(
        self,
        run: Callable[[Writing], T],
        done: Callable[[Job[T], Batch | None], None],
        *,
        alone: bool = False,
        essential: bool = False,
    ) -> None:
        """Queue a job; `done(job, batch)` is called once it is durable or failed (`batch` None: nothing recorded)."""
        job = Job(run, done, alone=alone, essential=essential)
        with self._wake:
            if self._stopping or (len(self._jobs) >= MAX_WAITING and not essential):
                job.error = (
                    Unavailable("stopping", "The keeper is stopping.")
                    if self._stopping
                    else Busy("keeper-busy", "Too many requests at once; try again in a moment.")
                )
            else:
                self._jobs.append(job)
                self._wake.notify()
        if job.error is not None:
            self._loop.call_soon(job.done, job, None)

    async def run(
        self, run: Callable[[Writing], T], *, alone: bool = False, essential: bool = False
    ) -> tuple[T, Batch | None]:
        """Queue a job and wait until it is durable; raises what the job raised."""
        future: asyncio.Future[tuple[T, Batch | None]] = self._loop.create_future()

        def done(job: Job[T], batch: Batch | None) -> None:
            if future.done():
                return
            if job.error is not None:
                future.set_exception(job.error)
            else:
                future.set_result((job.value, batch))  # type: ignore[arg-type]  # without an error there is a value

        self.submit(run, done, alone=alone, essential=essential)
        return await future

    @property
    def waiting(self) -> int:
        """Jobs not yet begun."""
        return len(self._jobs)

    def stop(self) -> None:
        """Finish what is queued, then end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    # ---- in the writer's thread ------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            while True:
                jobs = self._next()
                if jobs is None:
                    return
                if jobs:
                    self._commit(jobs)
                self._checkpoint()
                while (behind := postings.whole(self.head.size) - self._posted) > 0:
                    if (self._jobs and behind < POST_AFTER) or not self._post():
                        break
                    self._checkpoint()
        except FsyncFailed as error:
            self._stop_process(str(error))
        except BaseException:
            log.exception("the writer failed")
            self._stop_process("the writer failed")

    def _stop_process(self, why: str) -> None:
        self.failed = why
        stop_process(why)

    def _next(self) -> list[Job[Any]] | None:
        """The jobs of the next transaction; empty after a quiet moment; None when stopped."""
        with self._wake:
            if not self._jobs and not self._stopping:
                self._wake.wait(IDLE_SECONDS)
            if not self._jobs:
                return None if self._stopping else []
            if self._jobs[0].alone:
                return [self._jobs.popleft()]
            taken: list[Job[Any]] = []
            while self._jobs and len(taken) < MAX_BATCH and not self._jobs[0].alone:
                taken.append(self._jobs.popleft())
            return taken

    def _commit(self, jobs: list[Job[Any]]) -> None:
        if self._short_of_disk():
            for job in jobs:
                if not job.essential:
                    job.error = Unavailable(
                        "disk-reserve", "The disk is nearly full; what is left is kept for ending access."
                    )
        batch: Batch | None = None
        changed = False
        try:
            batch, changed = self._transact([job for job in jobs if job.error is None])
        except _NotTogether:
            self._apart(jobs)
            return
        except (DataError, IntegrityError, InterfaceError, ProgrammingError):
            log.exception("a job said something that the database does not take")
            self._apart(jobs)
            return
        except DBAPIError as error:
            self._fail(jobs, database_error(error))
        except KetenError as error:
            self._fail(jobs, error)
        except Exception:
            if self._durable:  # what is in memory is not what was committed: only a fresh start makes it so
                raise
            log.exception("a job failed in a way that nobody foresaw")
            self._apart(jobs)
            return
        if batch is not None:
            self.head = batch.head
            self._newest.add(batch.first, batch.drafts)
            self._on_commit(batch, changed=changed)
        self._loop.call_soon_threadsafe(self._resolve, jobs, batch)

    def _transact(self, jobs: list[Job[Any]]) -> tuple[Batch | None, bool]:
        """Run the jobs and seal.

        1. Begin; nobody else can write.
        2. Run each job; one that raises leaves nothing behind.
        3. Write the entries, the new size and root, and the signature over them.
        4. Commit: fsynced when it returns.
        """
        self._durable = False
        with self._engine.connect() as connection:
            try:
                transaction = connection.begin()  # 1
                writing = Writing(connection, self._sealer, self.head, self._clock.recording_time())
                for job in jobs:  # 2
                    self._run(job, writing, single=len(jobs) == 1)
                batch = writing.seal(self._low_water(writing))  # 3
                transaction.commit()  # 4
                self._durable = True
            finally:
                for participant in self._participants:
                    participant.commit() if self._durable else participant.rollback()
        for index in writing.opened:
            self._open[index] = None
        for index in writing.closed:
            self._open.pop(index, None)
        return batch, writing.changed

    @staticmethod
    def _run(job: Job[Any], writing: Writing, *, single: bool) -> None:
        mark, rows = writing.mark(), rows_written(writing.connection)
        try:
            job.value = job.run(writing)
        except KetenError as error:
            if single or isinstance(error, FsyncFailed):
                raise
            if writing.changed or rows_written(writing.connection) != rows:
                raise _NotTogether from error
            writing.undo(mark)
            job.error = error

    def _low_water(self, writing: Writing) -> int | None:
        """The oldest entry that began something without a recorded end, once this transaction is done."""
        closed = set(writing.closed)
        oldest = next((index for index in self._open if index not in closed), None)
        if oldest is None:
            oldest = next((index for index in writing.opened if index not in closed), None)
        return writing.next_index if oldest is None else oldest

    def _apart(self, jobs: list[Job[Any]]) -> None:
        """One of these jobs has a fault of ours in it: nothing of them happened. Find out which; spare the others."""
        if len(jobs) == 1:
            jobs[0].error = KetenError("keeper-error", "Something went wrong in the keeper; nothing was given out.")
            self._loop.call_soon_threadsafe(self._resolve, jobs, None)
            return
        for job in jobs:
            if job.error is None:
                self._commit([job])
            else:
                self._loop.call_soon_threadsafe(self._resolve, [job], None)

    def _fail(self, jobs: list[Job[Any]], error: KetenError) -> None:
        if isinstance(error, FsyncFailed):
            raise error
        if isinstance(error, Corrupt):
            log.critical("keeper: %s", error)
        for job in jobs:
            if job.error is None:
                job.error = error

    @staticmethod
    def _resolve(jobs: list[Job[Any]], batch: Batch | None) -> None:
        for job in jobs:
            try:
                job.done(job, batch)
            except Exception:
                log.exception("an answer failed after its job; the others get theirs")

    def _short_of_disk(self) -> bool:
        return shutil.disk_usage(self._disk.database.parent).free < self._disk.reserve_bytes

    def _checkpoint(self) -> None:
        """Keep the write-ahead log short. On a full disk it grows until there is room again."""
        try:
            tried = checkpoint(self._engine, self._disk.database)
        except FsyncFailed:
            raise
        except KetenError as error:
            if not self._log_grows:
                log.warning("the write-ahead log grows: %s", error)
            self._log_grows = True
        else:
            self._log_grows = self._log_grows and not tried

    def _post(self) -> bool:
        """Let the posting lists catch up; they are derived, so a full disk only makes queries slower."""
        try:
            with self._engine.begin() as connection:
                posted = self._newest.write(connection)
        except DBAPIError as error:
            translated = database_error(error)
            if isinstance(translated, FsyncFailed):
                raise translated from error
            log.warning("posting lists lag behind: %s", translated)
            return False
        self._newest.forget(posted)
        self._posted = posted
        return True
