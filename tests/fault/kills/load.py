"""Suppliers that keep fetching while processes die, and remember everything that they were given."""

from __future__ import annotations

import random
import threading
from http.client import HTTPException
from typing import Any

import msgspec

from keten.drills.supplier import SupplierSystem

FIRST_WAIT, LONGEST_WAIT = 0.02, 0.2
"""Seconds before a failure is tried again: twice as long each time, or knocking would take more than what is tried."""


class Given(msgspec.Struct, frozen=True):
    """One answer that arrived whole: the entry it named, what it was for, how many content bytes came."""

    entry: str
    index: int
    object: str
    count: int


class Fetcher(threading.Thread):
    """Lists and fetches random ranges until told to stop. Whatever fails is tried again with a fresh sign-in."""

    def __init__(self, system: SupplierSystem, content: bytes, seed: int, pause_seconds: float = 0.0) -> None:
        super().__init__(daemon=True)
        self._pause = pause_seconds
        self._system = system
        self._content = content
        self._random = random.Random(seed)
        self.stop = threading.Event()
        self.given: list[Given] = []
        self.wrong: list[str] = []
        self.failures = 0

    def run(self) -> None:
        """Until `stop`."""
        found: dict[str, Any] | None = None
        wait = FIRST_WAIT
        while not self.stop.is_set():
            try:
                if found is None:
                    self._system.sign_in()
                    found = self._system.shares()[0]["objects"][0]
                self._fetch(found)
                wait = FIRST_WAIT
                if self._pause:
                    self.stop.wait(self._pause)
            except (OSError, HTTPException, ValueError, KeyError, IndexError):
                # A reset, an answer cut off, a 401 or 503 while a process starts again: all are to be expected.
                self.failures += 1
                found = None
                self.stop.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT)

    def _fetch(self, found: dict[str, Any]) -> None:
        start = self._random.randrange(found["size"])
        end = min(found["size"], start + self._random.choice((1, 1000, 300_000, 2_000_000)))
        answer = self._system.get(f"/v1/objects/{found['id']}", {"Range": f"bytes={start}-{end - 1}"})
        if answer.status not in (200, 206):
            raise OSError(f"status {answer.status}")
        entry, index = answer.headers["keten-entry"], int(answer.headers["keten-entry-index"])
        self.given.append(Given(entry, index, found["id"], len(answer.body)))
        if answer.body != self._content[start:end]:
            self.wrong.append(f"entry {entry}: {len(answer.body)} bytes that differ from {start}-{end - 1}")
