"""The connections to one system: as many threads as lookups may be asked there at once, each with its own connection.

A system that hangs holds its own threads alone. What waits for one is answered in time, and is not asked there any more
once its time is over.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from keten.connector.drivers.driver import Driver, unreachable
from keten.core.errors import KetenError
from keten.core.sources import SystemPlace

T = TypeVar("T")
log = logging.getLogger(__name__)
WAITING = 16  # lookups that may wait for each connection; one more is refused


class Pool:
    """Asks one system. `connect`: makes a connection."""

    def __init__(self, name: str, place: SystemPlace, connect: Callable[[], Driver]) -> None:
        self._name = name
        self._place = place
        self._connect = connect
        self._own = threading.local()
        self._threads = ThreadPoolExecutor(place.connections, thread_name_prefix=f"system-{name}")
        self._waiting = 0
        self._said = ""

    async def ask(self, question: Callable[[Driver, float], T]) -> T:
        """Run a question on a free connection; it is given how many seconds it has.

        Raises `Unavailable`: the system's own (`system-…`), or "system-unavailable" when its time is over or too many
        wait already.
        """
        if self._waiting >= self._place.connections * WAITING:
            raise unreachable("too many lookups wait for it")
        until = time.monotonic() + self._place.seconds
        self._waiting += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, self._answer, question, until)
        running.add_done_callback(self._answered)
        try:
            return await asyncio.wait_for(asyncio.shield(running), self._place.seconds + 0.5)
        except TimeoutError as error:
            raise unreachable("it did not answer in time") from error

    def _answered(self, running: asyncio.Future[T]) -> None:
        self._waiting -= 1
        error = None if running.cancelled() else running.exception()  # heard, or asyncio would log it with its rows
        if isinstance(error, KetenError) and str(error) != self._said:
            log.warning("system %s: %s", self._name, error)
        self._said = str(error) if isinstance(error, KetenError) else ""

    def _answer(self, question: Callable[[Driver, float], T], until: float) -> T:
        """In a thread of the pool. A connection that failed is thrown away; an old one is tried anew, once."""
        driver: Driver | None = getattr(self._own, "driver", None)
        fresh = driver is None
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise unreachable("it did not answer in time")
            try:
                if driver is None:
                    driver = self._own.driver = self._connect()
                return question(driver, left)
            except Exception as error:
                lost = not isinstance(error, KetenError) or error.code == "system-unavailable"
                if driver is not None and lost:
                    driver.close()
                    driver = self._own.driver = None
                if fresh or not lost:
                    raise
                fresh = True

    def close(self) -> None:
        """Ask nothing more; what runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
