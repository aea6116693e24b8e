"""The only writer of the database: one transaction at a time, group commit, record first (laws 1, 6 and 13).

Jobs that arrive while a commit is under way share the next one. They run in the event loop's own thread, one right
after the other; only the waiting for the disk is another thread's. Handing each row to SQLite in a thread beside a busy
loop made the two wait for the interpreter at every row (docs/decisions/0011-writing-in-the-loop.md). A job that may
take long runs `alone`, as a whole in that other thread.

When the future of a job resolves, its entries and the signed head over them are durable.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections import deque
from collections.abc import Callable, Collection
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from keten.core.clock import Clock
from keten.core.db import database_error, is_busy, keep_log, own_folder, patience
from keten.core.errors import Busy, FsyncFailed, KetenError, Unavailable
from keten.core.files import stop_process
from keten.core.places import Place
from keten.keeper.transaction import Job, Participant, Prepared, Transactions, settled
from keten.ledger import postings
from keten.ledger.model import Sealed
from keten.ledger.recent import Recent
from keten.ledger.sealing import Batch, Head, Sealer
from keten.ledger.writing import Writing, require_head

__all__ = ["Disk", "Job", "OnCommit", "Participant", "Writer", "sealed_in"]

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_BATCH = 96
FEW = 32
MAX_WAITING = 20_000
POST_AFTER = 1024  # entries: the lists of so many are written at once
POST_WITHIN_SECONDS = 0.5  # when fewer come
RETRY_POSTING_SECONDS = 5.0


class OnCommit(Protocol):
    """Told of every commit, once durable and before the next transaction begins, in whichever thread committed it."""

    def __call__(self, batch: Batch, *, changed: bool) -> None:
        """`changed`: a row that decisions look at was declared or changed."""


class Disk(msgspec.Struct, frozen=True):
    """The database, whose disk is watched where that is this machine's, and how much is kept for ending access."""

    database: Place
    reserve_bytes: int


class _Between(Job[bool]):
    """Not a transaction: what is done between two of them."""

    work: Callable[[], bool]


class Writer:
    """Runs jobs in order. Everything but `stop` is for the event loop in which it was made.

    One thing is under way at a time (`_busy`): a shared transaction, one alone, or posting lists.
    """

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
        self._transactions = Transactions(
            engine, sealer, head, clock, open_indexes=open_indexes, participants=participants
        )
        self._on_commit = on_commit
        self._disk = disk
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[Job[Any]] = deque()
        self._busy = False
        self._stopping = False
        self._newest = postings.Newest(head.size)
        self._posted = 0
        self._posting: asyncio.TimerHandle | None = None  # when lists are to be written that are not yet
        self._lagging = False  # they could not be written, and rest until then
        self.failed = ""
        self._folder = own_folder(disk.database)
        self._log = keep_log(engine, disk.database, lambda error: self._stop_process(str(error)))
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._main, name="keten-writer", daemon=True)
        self._thread.start()
        self._soon()

    # ---- asking --------------------------------------------------------------------------------------------------

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
        if self._stopping:
            job.error = Unavailable("stopping", "The keeper is stopping.")
        elif len(self._jobs) >= MAX_WAITING and not essential:
            job.error = Busy("keeper-busy", "Too many requests at once; try again in a moment.")
        else:
            self._jobs.append(job)
            self._soon()
            return
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

    def require_room(self) -> None:
        """Raises `Unavailable` ("disk-reserve") while so little disk is left that only essential jobs are run."""
        if self._short_of_disk():
            raise _disk_reserve()

    @property
    def head(self) -> Head:
        """The newest head that is durable."""
        return self._transactions.head

    @property
    def recent(self) -> Recent:
        """The newest entries, in memory."""
        return self._transactions.recent

    async def scrub(self, traces: Collection[bytes] | None) -> bool:
        """Leave nothing of what was deleted in the database's files; whether that is so (`WriteAheadLog.scrub`)."""

        def between(work: Callable[[], bool]) -> bool:
            return asyncio.run_coroutine_threadsafe(self._between(work), self._loop).result()

        return await asyncio.to_thread(self._log.scrub, traces, between)

    async def _between(self, work: Callable[[], bool]) -> bool:
        """Have the writer's thread do something while no transaction is open; false when it is stopping."""
        if self._stopping:
            return False
        future: asyncio.Future[bool] = self._loop.create_future()

        def done(job: Job[bool], _batch: Batch | None) -> None:
            if not future.done():
                future.set_result(job.error is None and bool(job.value))

        job = _Between(lambda _writing: False, done, alone=True, essential=True)
        job.work = work
        self._jobs.append(job)
        self._soon()
        return await future

    @property
    def remains(self) -> str:
        """Why `scrub` may not do, for an operator."""
        return self._log.remains

    @property
    def doing(self) -> str:
        """What keeps every job waiting now, for an operator; "" for nothing."""
        return self._log.doing

    @property
    def reaches(self) -> bool:
        """Whether all that the database's engine keeps can be cleaned by this process."""
        return self._log.reaches

    @property
    def waiting(self) -> int:
        """Jobs not yet begun."""
        return len(self._jobs)

    def stop(self) -> None:
        """Finish what is queued, then end the thread. From another thread than the loop's, which must run on."""
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()
        self._log.close()

    def release(self) -> None:
        """After `stop`, and after every other connection of this process to the database is closed."""
        self._engine.dispose()
        self._log.release()

    def _stop(self) -> None:
        self._stopping = True
        self._soon()

    # ---- turns, in the event loop ---------------------------------------------------------------------------------

    def _soon(self) -> None:
        """Begin what waits in the loop's next turn, so that all that came in this one goes together."""
        if not self._busy:
            self._busy = True
            self._again()

    def _again(self) -> None:
        """Go on after what the loop has to do: answers leave first, and requests join the next transaction."""
        self._loop.call_soon(self._guarded, self._turn)

    def _guarded(self, step: Callable[..., None], *arguments: object) -> None:
        """A step after which nobody would know what is durable ends the process."""
        try:
            step(*arguments)
        except FsyncFailed as error:
            self._stop_process(str(error))
        except BaseException:
            log.exception("the writer failed")
            self._stop_process("the writer failed")

    def _turn(self) -> None:
        """Begin the next thing, if there is one."""
        if self._must_post():
            self._post()
            return
        jobs = self._next()
        if not jobs:
            self._busy = False
            if self._stopping:
                self._busy = True  # for good
                if self._posting is not None:
                    self._posting.cancel()
                self._work.put(None)
        elif jobs[0].alone:
            self._in_thread(self._one_by_one, jobs)
        else:
            self._together(jobs)

    def _next(self) -> list[Job[Any]]:
        """The jobs of the next transaction.

        Half of those that wait, when they are more than a few: callers who have their answers get on with the next
        thing while the other half is written; all at once, keeper and callers would wait for each other in turns.
        """
        if self._jobs and self._jobs[0].alone:
            return [self._jobs.popleft()]
        taken: list[Job[Any]] = []
        most = min(MAX_BATCH, max(FEW, len(self._jobs) // 2))
        while self._jobs and len(taken) < most and not self._jobs[0].alone:
            taken.append(self._jobs.popleft())
        return taken

    def _together(self, jobs: list[Job[Any]]) -> None:
        """Run jobs that share a transaction, here; the thread waits for the disk."""
        self._spare_disk(jobs)
        ready = [job for job in jobs if job.error is None]
        try:
            prepared = self._transactions.prepare(ready)
        except Exception as error:  # noqa: BLE001  # `settled` tells them apart, and raises what must stop the process
            if (isinstance(error, DBAPIError) and is_busy(error)) or not settled(ready, error):
                self._in_thread(self._one_by_one, jobs)  # where waiting keeps nobody else waiting
                return
            self._resolve(jobs, None)
            self._again()
            return
        self._in_thread(self._commit, jobs, ready, prepared)

    def _committed(
        self, jobs: list[Job[Any]], ready: list[Job[Any]], prepared: Prepared, error: Exception | None
    ) -> None:
        """The thread is back: what was prepared is durable, or did not happen."""
        if error is not None:
            self._transactions.abandon(prepared)
            if not settled(ready, error):
                self._in_thread(self._one_by_one, jobs)
                return
            self._resolve(jobs, None)
        else:
            self._conclude(prepared)
            self._resolve(jobs, prepared.batch)
        self._again()

    def _resolve(self, jobs: list[Job[Any]], batch: Batch | None) -> None:
        for job in jobs:
            try:
                job.done(job, batch)
            except Exception:
                log.exception("an answer failed after its job; the others get theirs")

    # ---- either thread, one at a time -----------------------------------------------------------------------------

    def _conclude(self, prepared: Prepared) -> None:
        self._transactions.conclude(prepared)
        batch = prepared.batch
        if batch is not None:
            self._newest.add(batch.first, batch.drafts)
            self._newest.erased(prepared.writing.erased)
            self._on_commit(batch, changed=prepared.writing.decides)

    def _spare_disk(self, jobs: list[Job[Any]]) -> None:
        if self._short_of_disk():
            for job in jobs:
                if not job.essential and job.error is None:
                    job.error = _disk_reserve()

    def _short_of_disk(self) -> bool:
        return self._folder is not None and shutil.disk_usage(self._folder).free < self._disk.reserve_bytes

    def _stop_process(self, why: str) -> None:
        self.failed = why
        stop_process(why)

    # ---- in the thread --------------------------------------------------------------------------------------------

    def _main(self) -> None:
        while (work := self._work.get()) is not None:
            self._guarded(work)

    def _in_thread(self, work: Callable[..., None], *arguments: Any) -> None:
        self._work.put(lambda: work(*arguments))

    def _commit(self, jobs: list[Job[Any]], ready: list[Job[Any]], prepared: Prepared) -> None:
        """Wait for the disk; the loop does the rest."""
        failed: Exception | None = None
        try:
            self._transactions.commit(prepared)
        except Exception as error:  # noqa: BLE001  # told apart in the loop
            failed = error
        self._log.after_commit()
        self._loop.call_soon_threadsafe(self._guarded, self._committed, jobs, ready, prepared, failed)

    def _one_by_one(self, jobs: list[Job[Any]]) -> None:
        """A transaction for each: jobs that are alone, and those of which one would take the others with it."""
        for job in jobs:
            batch = None
            if isinstance(job, _Between):
                job.value = job.work()
            elif job.error is None:
                batch = self._alone(job)
            self._loop.call_soon_threadsafe(self._resolve, [job], batch)
        self._loop.call_soon_threadsafe(self._guarded, self._turn)

    def _alone(self, job: Job[Any]) -> Batch | None:
        self._spare_disk([job])
        if job.error is not None:
            return None
        try:
            prepared = self._transactions.prepare([job], patient=True)
        except Exception as error:  # noqa: BLE001  # as in `_together`
            settled([job], error)
            return None
        try:
            self._transactions.commit(prepared)
        except Exception as error:  # noqa: BLE001  # as in `_committed`
            self._transactions.abandon(prepared)
            settled([job], error)
            return None
        self._log.after_commit()
        self._conclude(prepared)
        return prepared.batch

    # ---- posting lists --------------------------------------------------------------------------------------------

    def _must_post(self) -> bool:
        """Whether posting lists are to be written now; when they can wait a moment, see to it that they are then."""
        behind = postings.whole(self.head.size) - self._posted
        if behind <= 0 or self._lagging:
            return False
        if behind >= POST_AFTER or self._stopping:
            return True
        if self._posting is None:
            self._posting = self._loop.call_later(POST_WITHIN_SECONDS, self._post_soon)
        elif self._posting.when() <= self._loop.time():
            self._posting = None
            return True
        return False

    def _post_soon(self) -> None:
        self._lagging = False
        self._soon()

    def _post(self) -> None:
        """Let the posting lists catch up; they are derived, so a full disk only makes queries slower."""
        connection = self._engine.connect()
        patience(connection, 0)
        try:
            transaction = connection.begin()
            require_head(connection, self.head)
            posted = self._newest.write(connection, POST_AFTER)
        except DBAPIError as error:
            self._not_posted(connection, error)
            return
        except BaseException:
            connection.close()
            raise

        def commit() -> None:
            failed: DBAPIError | None = None
            try:
                transaction.commit()
                self._log.after_commit()
            except DBAPIError as error:
                failed = error
            self._loop.call_soon_threadsafe(self._guarded, self._posted_until, connection, posted, failed)

        self._in_thread(commit)

    def _posted_until(self, connection: Connection, posted: int, error: DBAPIError | None) -> None:
        if error is not None:
            self._not_posted(connection, error)
            return
        connection.close()
        self._newest.forget(posted)
        self._posted = posted
        self._again()

    def _not_posted(self, connection: Connection, error: DBAPIError) -> None:
        connection.close()
        translated: KetenError = database_error(error)
        if isinstance(translated, FsyncFailed):
            raise translated from error
        log.warning("posting lists lag behind: %s", translated)
        self._lagging = True
        if self._posting is not None:
            self._posting.cancel()
        self._posting = self._loop.call_later(RETRY_POSTING_SECONDS, self._post_soon)
        self._again()


def _disk_reserve() -> Unavailable:
    return Unavailable("disk-reserve", "The disk is nearly full; what is left is kept for ending access.")


def sealed_in(batch: Batch | None, index: int) -> Sealed:
    """The entry at `index`, which `batch` sealed."""
    if batch is None:
        raise Unavailable("not-recorded", "Nothing was recorded, so nothing is given out.")
    return batch.sealed[index - batch.first]
