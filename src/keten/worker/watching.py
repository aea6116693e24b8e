"""The watch as the worker does it: follow the ledger, let the detectors look, have the keeper raise what they saw."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from keten.core.clock import SECOND, wall_us
from keten.keeper.client import KeeperClient
from keten.keeper.follow_protocol import Follow, Followed, Following
from keten.keeper.watch_protocol import MOST_SIGNALS, Raise
from keten.ledger.model import Payload
from keten.watch.alerts import LATE_US, Raised, Seen
from keten.watch.entries import ALERT_HANDLED
from keten.watch.model import Event, Signal

log = logging.getLogger(__name__)
WAIT_US = SECOND
SAVE_SECONDS = 10.0
"""How long what the detectors know may be in memory only: after a crash so much of the ledger is read again."""
RAISE_EVERY = 10_000
"""Entries after which the keeper is told how far the watch is, also when there was nothing to see."""


class Engine(Protocol):
    """The detectors at work (`keten.watch.engine`)."""

    def step(self, event: Event) -> list[Signal]:
        """Look at one event."""

    def save(self, cursor: int) -> None:
        """Keep what is known, durably; `cursor`: index of the next entry."""

    def cursor(self) -> int:
        """Where to go on: 0 for a new one."""

    def feedback(self, signal_key: str, until_us: int) -> None:
        """What was said to be fine is not signalled again until then."""


Read = Callable[[int, str, int, str, Payload | None], Event | None]
"""An entry (index, id, time in microseconds, kind, payload) as the detectors see it; None: it is not for them."""


class Watching:
    """A duty of the worker. At least once: what was not kept is looked at again, and the keeper knows what it raised.

    monotonic: seconds.
    """

    name = "watch"

    def __init__(self, engine: Engine, read: Read, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._read = read
        self._monotonic = monotonic
        self._cursor = engine.cursor()
        self._history = 0 if self._cursor else -1  # entries of before the first start: -1 until it is known
        self._told = self._cursor
        self._signals: list[Seen] = []
        self._saved_at = monotonic()
        self._stepped = self._cursor

    def run(self, client: KeeperClient) -> float:
        """One round; seconds until the next.

        1. Read on, from where the keeper has said that all was raised.
        2. Each entry: an event for the detectors, or what somebody said about an alert.
        3. Have the keeper raise what they saw. When that fails, it is said again in the next round; nothing is lost.
        4. Keep what the detectors know, now and then: never more than the keeper has heard of.

        Raises `KetenError` when the keeper can't be reached, or does not take it.
        """
        if not self._signals:
            followed = client.call("ledger.follow", Follow(self._cursor, wait_us=WAIT_US), Following)  # 1
            if self._history < 0:
                self._history = followed.size
            for entry in followed.entries:  # 2
                self._look(entry)
        if self._signals or self._cursor - self._told >= RAISE_EVERY:  # 3
            self._raise(client)
        if self._monotonic() - self._saved_at >= SAVE_SECONDS and self._cursor > self._stepped:  # 4
            self._engine.save(self._cursor)
            self._saved_at, self._stepped = self._monotonic(), self._cursor
        return 0.0

    def _look(self, entry: Followed) -> None:
        if entry.kind == ALERT_HANDLED.name and entry.payload is not None:
            self._heard(entry.payload)
        event = self._read(entry.index, entry.id, entry.time_us, entry.kind, entry.payload)
        if event is not None:
            old = entry.index < self._history and entry.time_us < wall_us() - LATE_US
            for signal in self._engine.step(event):
                if not old:  # what was long before the first start only teaches what is usual
                    self._signals.append(Seen(entry.index, signal))
        self._cursor = entry.index + 1

    def _heard(self, payload: Payload) -> None:
        """Somebody said that it was fine: the ledger remembers, and says so again to detectors that start anew."""
        key, until_us = payload.details.get("key"), payload.details.get("quiet_until")
        if isinstance(key, str) and isinstance(until_us, int) and until_us:
            self._engine.feedback(key, until_us)

    def _raise(self, client: KeeperClient) -> None:
        while True:
            some = tuple(self._signals[:MOST_SIGNALS])
            rest = self._signals[MOST_SIGNALS:]
            # Those of one entry may be in two parts: the first must not make the second one of before.
            upto = rest[0].at if rest else self._cursor
            raised = client.call("watch.raise", Raise(some, upto), Raised)
            for alert, response in raised.taken:
                log.warning("alert %s: %s", alert, response)
            self._signals, self._told = rest, upto
            if not rest:
                return
