"""Honest advisers at work in the background of a drill: one lookup after the other, and what became of each."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Self

from keten.drills.register import Register, key_of
from keten.drills.supplier import SupplierSystem

EVERY_SECONDS = 0.5


class Office(threading.Thread):
    """Works for as long as it is entered, each adviser in turn, so that none works at more than a person's pace.

    served: keys that were answered. refused: by code. times: of those that were served, in seconds.
    """

    def __init__(self, register: Register, systems: Sequence[SupplierSystem]) -> None:
        super().__init__(daemon=True)
        self._register = register
        self._systems = systems
        self._over = threading.Event()
        self.served: set[str] = set()
        self.asked = 0
        self.refused: dict[str, int] = {}
        self.times: list[float] = []
        self.failure = ""

    def run(self) -> None:
        """Until it is left."""
        chance = random.Random(1)  # noqa: S311  # whom advisers look up in a drill is no secret
        try:
            while not self._over.wait(EVERY_SECONDS):
                system = self._systems[self.asked % len(self._systems)]
                key = key_of(chance.randrange(self._register.people))
                self.asked += 1
                began = time.monotonic()
                status, code = self._register.look_up_patiently(system, key)
                if status == HTTPStatus.OK:
                    self.served.add(key)
                    self.times.append(time.monotonic() - began)
                else:
                    self.refused[code] = self.refused.get(code, 0) + 1
        except (OSError, RuntimeError) as error:
            self.failure = str(error)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self.join()
