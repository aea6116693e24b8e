"""Publishing what the writer commits, in a thread of its own: nothing waits for it, and nothing is lost by it.

The database is the truth. Batches handed over by the writer are only a short cut: whatever was not handed over, or
too much to keep in memory, is read from the database.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Engine, select

from keten.core.db import translated
from keten.core.errors import Busy, Corrupt, FsyncFailed, KetenError, Unavailable
from keten.core.files import stop_process
from keten.ledger.merkle import Edge, leaf_hash
from keten.ledger.notes import Checkpoint, Verifier
from keten.ledger.publish import Publisher
from keten.ledger.reading import missing
from keten.ledger.sealing import Batch, Head
from keten.ledger.tables import entries
from keten.ledger.tilefaults import stale_and_wrong
from keten.ledger.writing import load_head

log = logging.getLogger(__name__)

MOST_PENDING = 65_536  # leaves kept in memory; beyond that they are read from the database again
MOST_AT_ONCE = 262_144  # leaves published in one step (about 50 MB); more than that, and the tree is written anew
_REBUILD_LEAVES = 4096
PAUSE_SECONDS = 0.1  # between two checkpoints, so that their fsyncs leave room for the writer's
RETRY_SECONDS = 1.0
LONGEST_RETRY = 30.0


class Publishing:
    """Keeps the public tree below `folder` up with the database. One at a time for a folder.

    `stop_process` is called after a failed fsync and does not return to work. `failed` says why publishing does not
    advance at present, or is empty.
    """

    def __init__(
        self,
        folder: Path,
        verifier: Verifier,
        reader: Engine,
        *,
        publisher: Publisher | None = None,
        pause_seconds: float = PAUSE_SECONDS,
        stop_process: Callable[[str], object] = stop_process,
    ) -> None:
        self._publisher = publisher or Publisher(folder, verifier=verifier)
        self._verifier = verifier
        self._reader = reader
        self._pause = pause_seconds
        self._stop_process = stop_process
        self._wake = threading.Condition()
        self._pending: deque[Batch] = deque()
        self._pending_leaves = 0
        self._cosigned: dict[bool, str] = {}  # the newest note with enough cosignatures, and with too few
        self._behind = False  # the database has more than `_pending` says
        self._stopping = False
        self._idle = False  # the thread waits for something to publish
        self._stopped = threading.Event()
        self._published = 0
        self._thread: threading.Thread | None = None
        self.failed = ""

    @property
    def published_size(self) -> int:
        """The size of the newest published checkpoint, as far as this process knows."""
        return self._published

    def catch_up(self) -> int:
        """Publish everything that is in the database, now, and give up the folder; returns the size.

        Raises as `start` does, and `Unavailable`. Not while the thread runs.
        """
        try:
            self._from_database()
        finally:
            self._publisher.close()
        return self._published

    def start(self, head: Head) -> None:
        """Catch up from the database, then go on in the background.

        1. The published checkpoint is not beyond `head`: otherwise the database is an older copy, and signing on
           from it would fork the log.
        2. What is published and what is not yet give `head` together: the last head that outsiders saw is a part of
           this one. A tree that is damaged, and not newer, is written anew from the database.
        3. Start the thread.

        When the disk is full, it goes on trying in the background: ending access must not wait for that.

        Raises `Corrupt` ("ledger-rolled-back", "root-wrong", "checkpoint-split", "entry-missing") when the log must
        not go on, `Busy` when another process publishes it, `FsyncFailed`.
        """
        try:
            self._from_database(head)  # 1, 2
        except (Busy, FsyncFailed):
            raise
        except Unavailable as error:
            self._note(error)
            self._behind = True
        self._thread = threading.Thread(target=self._main, name="keten-publishing", daemon=True)  # 3
        self._thread.start()

    def offer(self, batch: Batch) -> None:
        """Hand over what was just committed; returns at once. Batches come in order, each once."""
        with self._wake:
            if self._pending_leaves > MOST_PENDING:
                self._pending.clear()
                self._pending_leaves = 0
                self._behind = True
            if not self._behind:
                self._pending.append(batch)
                self._pending_leaves += len(batch.leaves)
            if self._idle:  # at any other time it would wake up, while the writer is at work, to wait again
                self._wake.notify_all()

    def offer_cosigned(self, note: str, *, enough: bool) -> None:
        """Hand over a checkpoint with cosignatures; returns at once. See `Publisher.cosigned`."""
        with self._wake:
            self._cosigned[enough] = note
            self._wake.notify_all()

    def wait_for(self, size: int, timeout: float) -> bool:
        """Wait until a checkpoint of at least `size` is published, at most `timeout` seconds; whether it is."""
        with self._wake:
            return self._wake.wait_for(lambda: self._published >= size or self._stopping, timeout) and (
                self._published >= size
            )

    def stop(self) -> None:
        """Publish what was handed over, if it can be published now, and end the thread."""
        with self._wake:
            self._stopping = True
            self._stopped.set()
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._publisher.close()

    # ---- in the thread ---------------------------------------------------------------------------------------

    def _main(self) -> None:
        retry = RETRY_SECONDS
        while self._wait():
            try:
                self._round()
            except FsyncFailed as error:
                self.failed = str(error)
                self._stop_process(self.failed)
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the entries wait in the database; go on trying
                self._note(error)
                if self._stopped.wait(retry):  # published at the next start
                    return
                retry = min(retry * 2, LONGEST_RETRY)
            else:
                self.failed = ""
                retry = RETRY_SECONDS
                self._rest()

    def _note(self, error: Exception) -> None:
        """Say, once for each cause, that publishing does not advance."""
        if self.failed != str(error):
            log.error("publishing waits: %s", error, exc_info=not isinstance(error, KetenError))
        self.failed = str(error)

    def _wait(self) -> bool:
        """Until there is something to publish; False when there is nothing more to come."""
        with self._wake:
            self._idle = True
            self._wake.wait_for(lambda: self._pending or self._behind or self._cosigned or self._stopping)
            self._idle = False
            return bool(self._pending) or self._behind or bool(self._cosigned)

    def _rest(self) -> None:
        """Leave the disk to the writer for a moment."""
        self._stopped.wait(self._pause)

    def _round(self) -> None:
        """Publish everything handed over so far under its newest head."""
        with self._wake:
            batches, behind = list(self._pending), self._behind
            self._pending.clear()
            self._pending_leaves = 0
            self._behind = False
            cosigned, self._cosigned = self._cosigned, {}
        try:
            self._show(cosigned)
            if not behind and not batches:
                return
            if behind or batches[0].first > self._published:
                self._from_database()
            else:
                leaves = [leaf for batch in batches for leaf in batch.leaves]
                hashes = [leaf_hash for batch in batches for leaf_hash in batch.leaf_hashes]
                self._advance(leaves, hashes, batches[0].first, batches[-1].head)
        except Exception:
            with self._wake:
                self._behind = True
            raise

    def _show(self, cosigned: dict[bool, str]) -> None:
        """Publish cosignatures. What can't be is told, and comes again with the next ones: no entry waits for it."""
        for enough, note in cosigned.items():
            try:
                self._publisher.cosigned(note, enough=enough)
            except FsyncFailed:
                raise
            except KetenError as error:
                log.warning("cosignatures are not published: %s", error)

    def _from_database(self, head: Head | None = None) -> None:
        """Steps 1 and 2 of `start`."""
        with translated(), self._reader.connect() as connection:
            newest = head or load_head(connection, self._verifier)
        if newest is None:
            raise Corrupt("head-missing", "The database has no signed head.")
        try:
            published = self._publisher.published()
        except Corrupt as error:
            log.warning("the published ledger is written anew: %s", error)
            self._rebuild(newest, None)
            return
        first = published.size if published else 0
        if first > newest.size:  # 1
            raise Corrupt(
                "ledger-rolled-back",
                "The database is older than the published ledger; it must not be used to go on.",
                f"{newest.size} entries in the database, {first} published",
            )
        if newest.size - first > MOST_AT_ONCE:
            self._rebuild(newest, published)
            return
        try:
            self._advance(self._leaves(first, newest.size), None, first, newest)  # 2
        except Corrupt as error:
            if error.code in {"checkpoint-split", "entry-missing"}:
                raise
            log.warning("the published ledger is written anew: %s", error)
            self._rebuild(newest, published)

    def _advance(
        self, leaves: Sequence[bytes], hashes: Sequence[bytes] | None, first: int, head: Head
    ) -> None:
        self._publisher.advance(leaves, hashes, first, head.note, head.size, head.root)
        self._done(head.size)

    def _rebuild(self, head: Head, published: Checkpoint | None) -> None:
        """Write the tree anew, unless the last head that outsiders saw is not a part of this one."""
        if published is not None:
            edge = Edge()
            for first in range(0, published.size, _REBUILD_LEAVES):
                end = min(first + _REBUILD_LEAVES, published.size)
                edge = edge.append_many([leaf_hash(leaf) for leaf in self._leaves(first, end)])
            if edge.root() != published.root:
                raise Corrupt(
                    "checkpoint-split",
                    "The published checkpoint is not of the entries in the database; publishing stops.",
                    f"at size {published.size}",
                )
        self._publisher.rebuild(self._leaves, head.note, head.size, head.root)
        for tile in stale_and_wrong(self._publisher.root, head.size):
            log.warning("removed %s, which was damaged, and which no checkpoint needs any more", tile.path())
            (self._publisher.root / tile.path()).unlink(missing_ok=True)
        self._done(head.size)

    def _done(self, size: int) -> None:
        with self._wake:
            self._published = size
            self._wake.notify_all()

    def _leaves(self, first: int, end: int) -> list[bytes]:
        """The leaves from index `first` up to, not including, `end`."""
        chosen = select(entries.c.leaf).where(entries.c.idx >= first, entries.c.idx < end)
        with translated(), self._reader.connect() as connection:
            leaves = list(connection.execute(chosen.order_by(entries.c.idx)).scalars())
        if len(leaves) != end - first:
            raise missing(first)
        return leaves
