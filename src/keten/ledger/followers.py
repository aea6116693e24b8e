"""Followers read every entry, in order, each at its own pace: how rooms learn what happened below them.

Delivery is at least once: a follower's cursor moves on after it has handled a batch, and a crash in between means
that it sees that batch again. Only the keeper's writer stores cursors, so the runner is given a function for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

from sqlalchemy import Engine

from keten.core.db import translated
from keten.core.errors import KetenError
from keten.ledger.cursors import load_cursor
from keten.ledger.model import Entry
from keten.ledger.reading import read_range, size

log = logging.getLogger(__name__)

BATCH = 256
IDLE_SECONDS = 0.5
LONGEST_PAUSE = 60.0  # seconds between attempts of a follower that fails
_RESERVED = frozenset({"postings"})


class Follower(Protocol):
    """Handles entries, all of them, oldest first. A batch that it has seen may come again."""

    name: str

    def handle(self, entries: Sequence[Entry]) -> None:
        """Handle a batch; when this returns, the batch is done with. Raises `KetenError` to get it again later."""


Advance = Callable[[str, int], None]


class Runner:
    """Hands entries to followers.

    `advance(name, index)` stores durably that the follower goes on at `index`. One follower that fails does not hold
    up the others; it gets the same batch again. `failing` names those that failed last time, with the error.
    """

    def __init__(self, engine: Engine, followers: Sequence[Follower], advance: Advance, batch: int = BATCH) -> None:
        names = [follower.name for follower in followers]
        if len(set(names)) != len(names) or _RESERVED & set(names) or not all(names):
            raise ValueError(f"each follower needs a name of its own: {names}")
        self._engine = engine
        self._followers = tuple(followers)
        self._advance = advance
        self._batch = batch
        self.failing: dict[str, str] = {}

    def step(self) -> int:
        """Give each follower its next batch; returns how many entries were handled in all."""
        return sum(self._step(follower) for follower in self._followers)

    def run(self, stopping: threading.Event, idle_seconds: float = IDLE_SECONDS) -> None:
        """Go on until `stopping` is set; rests when there is nothing new, longer and longer while something fails."""
        pause = idle_seconds
        while not stopping.is_set():
            handled = self.step()
            pause = min(pause * 2, LONGEST_PAUSE) if self.failing else idle_seconds
            if handled == 0 or self.failing:
                stopping.wait(pause)

    def behind(self) -> dict[str, int]:
        """For each follower, how many entries it has not yet handled."""
        with translated(), self._engine.connect() as connection:
            total = size(connection)
            return {each.name: max(0, total - load_cursor(connection, each.name)) for each in self._followers}

    def _step(self, follower: Follower) -> int:
        """One batch of one follower.

        1. Read from its cursor on.
        2. Hand the batch over.
        3. Store how far it is. When this fails, the batch comes again.
        """
        try:
            with translated(), self._engine.connect() as connection:  # 1
                start = load_cursor(connection, follower.name)
                some = list(islice(read_range(connection, start, start + self._batch), self._batch))
            if some:
                follower.handle(some)  # 2
                self._advance(follower.name, some[-1].index + 1)  # 3
        except KetenError as error:
            if self.failing.get(follower.name) != str(error):
                log.warning("follower %s waits: %s", follower.name, error)
            self.failing[follower.name] = str(error)
            return 0
        self.failing.pop(follower.name, None)
        return len(some)
