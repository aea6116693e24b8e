"""SQLite's write-ahead log, kept short beside whoever writes.

SQLite would bring it into the database within some commit: that commit would wait for all of it, and SQLite says
nothing when an fsync fails in it. Here most of it is brought in by a thread of its own while others write on, and what
was added meanwhile in a moment between two commits, so that the log begins anew (sqlite.org/wal.html, "Avoiding
Excessively Large WAL Files").
"""

from __future__ import annotations

import logging
import os
import sqlite3
import struct
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from keten.core import sqlite
from keten.core.errors import FsyncFailed

log = logging.getLogger(__name__)

LONG_FRAMES = 4000  # pages of 4 KiB: from here on it is brought in
TOO_LONG_FRAMES = 64_000  # from here on, whoever writes waits for it
FEW_FRAMES = 400
EMPTY_MILLISECONDS = 2000
_ROUNDS = 8
_PART = 1 << 17  # looking through more at once would keep the interpreter from whoever answers
_MOST_LOOKED = 8 << 30  # bytes times traces: some seconds
_SAMPLE = 64
_IN_MEMORY = 128 << 20  # bytes
Work = Callable[[], bool]
_INDEX_HEADER = struct.Struct("=16xI")


class WriteAheadLog:
    """The log of the database at `path`. `failed` is called, in the thread that met it, when the disk failed.

    `after_commit` is for one thread at a time, with no transaction open. Raises what `sqlite_error` makes of a database
    that cannot be opened: `Unavailable`, `FsyncFailed`, `Corrupt`.
    """

    reaches = True
    doing = ""
    remains = "the database's log may still hold it, until the keeper stops; try again"

    def __init__(self, path: Path, failed: Callable[[FsyncFailed], None]) -> None:
        self._path = path
        self._failed = failed
        self._connection = _connected(path)
        self._index = -1
        self._file = -1  # the database itself, to be looked through; closed with the index, for the same reason
        self._one = threading.Lock()  # a connection does one thing at a time
        self._looking = threading.Lock()
        self._wanted = threading.Event()
        self._bringing = False  # the thread is at it, or about to be
        self._ready = False  # most is brought in: the rest can follow between two commits
        self._stopping = threading.Event()
        self._warned = False
        self._thread = threading.Thread(target=self._main, name="keten-log", daemon=True)
        self._thread.start()

    def frames(self) -> int:
        """How many pages it holds: "mxFrame" of the WAL-index header (sqlite.org/walformat.html, §2.1)."""
        if self._index < 0:
            try:
                self._index = os.open(f"{self._path}-shm", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return 0
        header = os.pread(self._index, _INDEX_HEADER.size, 0)
        return int(_INDEX_HEADER.unpack(header)[0]) if len(header) == _INDEX_HEADER.size else 0

    def after_commit(self) -> None:
        """See to it that the log does not grow: costs next to nothing most of the time."""
        frames = self.frames()
        if frames < LONG_FRAMES:
            return
        if self._ready or frames >= TOO_LONG_FRAMES:
            with self._one:
                self._ready = False
                self._bring()
        elif not self._bringing:
            self._bringing = True
            self._wanted.set()

    def empty(self) -> bool:
        """Bring in everything and truncate the file, so that nothing of what was deleted is left in it; whether it is.

        As `after_commit`, with no transaction open. Waits for readers a while.
        """
        with self._one:
            try:
                self._connection.execute(f"PRAGMA busy_timeout={EMPTY_MILLISECONDS}")
                busy, _held, _brought = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.Error as error:
                self._met(error)
                return False
            finally:
                self._connection.execute("PRAGMA busy_timeout=0")
        return not busy

    def scrub(self, traces: Collection[bytes] | None, between: Callable[[Work], bool] = lambda work: work()) -> bool:
        """Leave nothing of what was deleted in the database and its log; whether that is so.

        Deleted values are overwritten where they stood (PRAGMA secure_delete). What SQLite moved from page to page
        before may have left a copy behind: where one of these traces is still found, when they are not known (None), or
        when looking for all of them would take longer than that, the whole file is written anew. That may take long.

        between: runs what no transaction may be open for. It is looked through beside whoever writes: a copy that was
        left behind stays where it is, or is overwritten, and of what is gone nothing makes another one.
        """
        if not between(self.empty):
            return False
        wanted = sorted(traces or ())
        size = self._path.stat().st_size
        few = len(wanted) * size <= _MOST_LOOKED
        if traces is not None and few and not self._found(wanted):
            return True
        return between(lambda: self._rewrite(size)) and not self._found(wanted if few else wanted[:_SAMPLE])

    def _rewrite(self, size: int) -> bool:
        """Write the whole file anew, and bring that in; whether it is done. As `empty`."""
        try:
            self.doing = f"the database's file ({size >> 20} MiB) is written anew; nothing is recorded meanwhile"
            with self._one:
                self._copies_stay_here()
                self._connection.execute("VACUUM")
            return self.empty()
        except sqlite3.Error as error:
            self._met(error)
            return False
        finally:
            self.doing = ""

    def _copies_stay_here(self) -> None:
        """What is written anew is copied first: in memory, or when it is large beside the database, nowhere else."""
        if self._path.stat().st_size <= _IN_MEMORY:
            self._connection.execute("PRAGMA temp_store=MEMORY")
            return
        folder = str(self._path.parent).replace("'", "''")
        self._connection.execute("PRAGMA temp_store=FILE")
        self._connection.execute(f"PRAGMA temp_store_directory = '{folder}'")

    def _found(self, traces: Sequence[bytes]) -> bool:
        """Whether one of these stands anywhere in the database's file, as it is on disk; or that is not known."""
        if not traces:
            return False
        with self._looking:
            if self._file < 0:
                self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            longest = max(map(len, traces))
            at = 0
            while part := os.pread(self._file, _PART + longest, at):
                if self._stopping.is_set() or any(trace in part for trace in traces):
                    return True
                at += _PART
        return False

    def close(self) -> None:
        """End the thread and the connection; what is being looked through is left."""
        self._stopping.set()
        with self._looking:
            pass
        self._wanted.set()
        self._thread.join()
        self._connection.close()

    def release(self) -> None:
        """Let go of the index, after the last connection of this process to the database is closed.

        Closing a file takes away every lock that this process has on it (fcntl(2)), those of SQLite too.
        """
        for descriptor in (self._index, self._file):
            if descriptor >= 0:
                os.close(descriptor)
        self._index = self._file = -1

    def _main(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stopping.is_set():
                return
            for _round in range(_ROUNDS):
                with self._one:
                    left = self._bring()
                if left < FEW_FRAMES or self._stopping.is_set():
                    break
            self._ready = True
            self._bringing = False

    def _bring(self) -> int:
        """Bring in what is there; returns how many pages came meanwhile."""
        try:
            _busy, held, brought = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            self._met(error)
            return 0
        self._warned = self._warned and brought < held
        return max(0, self.frames() - int(brought))

    def _met(self, error: sqlite3.Error) -> None:
        translated = sqlite.translate(error)
        if isinstance(translated, FsyncFailed):
            self._failed(translated)
        if not self._warned:  # on a full disk it grows until there is room again
            log.warning("the write-ahead log grows: %s", translated)
        self._warned = True


def _connected(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=0", "wal_autocheckpoint=0"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except sqlite3.Error as error:
        raise sqlite.translate(error) from error
    return connection
