"""Whether PostgreSQL's server still answers; see `keten.core.postgres`.

A connection can be dead for a long time before TCP says so: whatever stands in between may acknowledge for a peer that
is gone. So who has the log's lock asks the server something every two seconds, on a second connection, and stops when
it hears nothing for eight. Who stands by sees there when it was last asked; after sixteen seconds the session with the
lock is nobody's any more, and is ended. Each counts by its own clock, and the second wait is twice the first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy import Connection, text

from keten.core.errors import FsyncFailed

PULSE_SECONDS = 2.0
SILENT_SECONDS = 8.0
GONE_SECONDS = 16
_NAME = "keten pulse "
_HELD = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = %s)"
# Nothing that has no pulse is ended: it may be upgrading, or of an older version.
_END_GONE = text(
    "SELECT pg_terminate_backend(gone.pid) FROM (SELECT held.pid FROM pg_locks held "
    "JOIN pg_database here ON here.oid = held.database AND here.datname = current_database() "
    "JOIN pg_stat_activity pulse ON pulse.datname = here.datname AND pulse.usename = current_user "
    "AND pulse.application_name = :name || held.pid "
    "WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1 "
    "AND held.classid = CAST(CAST(:high AS bigint) AS oid) AND held.objid = CAST(CAST(:low AS bigint) AS oid) "
    "GROUP BY held.pid HAVING max(pulse.query_start) < clock_timestamp() - make_interval(secs => :seconds)) gone"
)


class Pulse:
    """Asks the server, in a thread of its own, whether the session `holder` still has its lock.

    connect: makes a connection with this name. failed: called when it has not. Raises `psycopg.Error`.
    """

    def __init__(
        self, connect: Callable[[str], psycopg.Connection[Any]], holder: int, failed: Callable[[FsyncFailed], None]
    ) -> None:
        self._connect = connect
        self._holder = holder
        self._failed = failed
        self._raw: psycopg.Connection[Any] | None = connect(f"{_NAME}{holder}")
        self._answered = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._main, name="keten-pulse", daemon=True)
        self._thread.start()

    @property
    def silent(self) -> bool:
        """Whether the server has not answered for too long."""
        return time.monotonic() - self._answered > SILENT_SECONDS

    def _main(self) -> None:
        while True:
            try:
                self._raw = self._raw or self._connect(f"{_NAME}{self._holder}")
                row = self._raw.execute(_HELD, (self._holder,)).fetchone()
            except psycopg.Error:  # asked again on a new connection; who watches decides for how long
                self._drop()
            else:
                if not (row and row[0]):
                    self._drop()
                    what = "The database gave the keeper's lock to somebody else; the process stops."
                    self._failed(FsyncFailed("database-lost", what))
                    return
                self._answered = time.monotonic()
            if self._stopping.wait(PULSE_SECONDS):
                self._drop()
                return

    def _drop(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.close()

    def close(self) -> None:
        """End the thread; it is left alone when it waits for a server that does not answer."""
        self._stopping.set()
        self._thread.join(PULSE_SECONDS)


def end_gone(connection: Connection, key: int) -> None:
    """End the session that has the advisory lock `key` when its keeper has not asked the server for too long."""
    bits = key & 0xFFFF_FFFF_FFFF_FFFF
    values = {"name": _NAME, "high": bits >> 32, "low": bits & 0xFFFF_FFFF, "seconds": GONE_SECONDS}
    connection.execute(_END_GONE, values)
