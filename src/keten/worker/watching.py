"""The watch as the worker does it: follow the ledger, let the detectors look, have the keeper raise what they saw."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from keten.core.clock import SECOND, wall_us
from keten.core.errors import KetenError, Unavailable
from keten.core.settings import Settings
from keten.keeper.client import KeeperClient
from keten.keeper.follow_protocol import Follow, Followed, Following
from keten.keeper.watch_protocol import MOST_SIGNALS, Raise
from keten.ledger.model import Payload
from keten.watch.alerts import LATE_US
from keten.watch.detectors import default
from keten.watch.engine import Engine as Detecting
from keten.watch.entries import ALERT_HANDLED
from keten.watch.model import SEVERITIES, Event, Raised, Seen, Severity, Signal
from keten.watch.reading import event_of
from keten.watch.rules.asking import RuleDetector
from keten.watch.rules.loading import Loaded, load
from keten.watch.rules.model import Refused
from keten.watch.standing import MOST_NAMED, NotUsed, Standing, write

log = logging.getLogger(__name__)
WAIT_US = SECOND
SAVE_SECONDS = 10.0
"""How long what the detectors know may be in memory only: after a crash so much of the ledger is read again."""
TELL_SECONDS = 20.0
"""After that the keeper is told how far the watch is, also when there was nothing to see."""


class Engine(Protocol):
    """The detectors at work (`keten.watch.engine`)."""

    @property
    def cursor(self) -> int:
        """Index of the next entry, as of the last `save`; 0 for a new one. After a failure, it goes on from there."""

    def step(self, event: Event) -> list[Signal]:
        """Look at one event. Raises `KetenError`: what is known is that of the last `save` again."""

    def save(self, cursor: int) -> None:
        """Keep what is known, durably; `cursor`: index of the next entry. Raises as `step`."""

    def feedback(self, signal_key: str, until_us: int, severity: Severity = "high") -> None:
        """The same is not signalled until then, unless it is worse."""

    def begin_anew(self) -> None:
        """Forget everything: the ledger is another one than before, or shorter."""


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
        self._history: int | None = None if engine.cursor == 0 else 0  # entries of before the first start
        self._signals: list[Seen] = []
        self._go_back()

    def _go_back(self) -> None:
        """To where the detectors' memory ends. What was raised since is raised again, and the keeper knows that."""
        self._cursor = self._told = self._saved = self._engine.cursor
        self._signals.clear()
        self._told_at = self._saved_at = self._monotonic()

    @property
    def reached(self) -> int:
        """Index of the next entry to look at."""
        return self._cursor

    def run(self, client: KeeperClient) -> float:
        """One round; seconds until the next.

        1. Read on; a ledger that is shorter than what was seen is another one.
        2. Each entry: an event for the detectors, or what somebody said about an alert.
        3. Have the keeper raise what they saw. When that fails, it is said again in the next round; nothing is lost.
        4. Keep what the detectors know, now and then: never more than the keeper has heard of.

        Raises `KetenError` when the keeper can't be reached or does not take it, or a detector's memory fails.
        """
        if not self._signals:
            asked = Follow(self._cursor, wait_us=WAIT_US, names=False, text=True)
            followed = client.call("ledger.follow", asked, Following)  # 1
            if followed.size < self._cursor:
                log.warning("the ledger is shorter than what was seen of it: the watch begins anew")
                self._engine.begin_anew()
                self._go_back()
                return 0.0
            if self._history is None:
                self._history = followed.size
            self._look(followed.entries)  # 2
        late = self._cursor > self._told and self._monotonic() - self._told_at >= TELL_SECONDS
        if self._signals or late:  # 3
            self._raise(client)
        if self._cursor > self._saved and self._monotonic() - self._saved_at >= SAVE_SECONDS:  # 4
            self._save()
        return 0.0

    def _save(self) -> None:
        try:
            self._engine.save(self._cursor)
        except KetenError:
            self._go_back()
            raise
        self._saved, self._saved_at = self._cursor, self._monotonic()

    def _look(self, entries: Iterable[Followed]) -> None:
        try:
            for entry in entries:
                self._one(entry)
                self._cursor = entry.index + 1
        except KetenError:
            self._go_back()
            raise

    def _one(self, entry: Followed) -> None:
        payload = entry.read()
        if entry.kind == ALERT_HANDLED.name and payload is not None:
            self._heard(payload)
        event = self._read(entry.index, entry.id, entry.time_us, entry.kind, payload)
        if event is None:
            return
        old = entry.index < (self._history or 0) and entry.time_us < wall_us() - LATE_US
        for signal in self._engine.step(event):
            if not old:  # what was long before the first start only teaches what is usual
                self._signals.append(Seen(entry.index, signal))

    def _heard(self, payload: Payload) -> None:
        """Somebody said that it was fine: the ledger remembers, and says so again to detectors that start anew."""
        details = payload.details
        key, until_us, severity = details.get("key"), details.get("quiet_until"), details.get("severity")
        known: Severity = next((one for one in SEVERITIES if one == severity), "low")
        if isinstance(key, str) and isinstance(until_us, int) and until_us:
            self._engine.feedback(key, until_us, known)

    def _raise(self, client: KeeperClient) -> None:
        while True:
            some = tuple(self._signals[:MOST_SIGNALS])
            rest = self._signals[MOST_SIGNALS:]
            # Those of one entry may be in two parts: the first must not make the second one of before.
            upto = rest[0].at if rest else self._cursor
            raised = client.call("watch.raise", Raise(some, upto), Raised)
            for alert, response in raised.taken:
                log.warning("alert %s: %s", alert, response)
            self._signals, self._told, self._told_at = rest, upto, self._monotonic()
            if not rest:
                return


def watching(settings: Settings) -> Watching:
    """The watch with every detector, and the organisation's own rules.

    A rule that cannot be used is logged, and `keten doctor` and `keten status` say it; the others are. Where pySigma
    is not installed none of them is, and the watch's own detectors look all the same.
    """
    detectors = default()
    own = len(detectors)
    loaded = _rules(settings)
    for one in loaded.refused:
        log.warning("a rule is not used: %s: %s", one.file, one.reason)
    detectors += [RuleDetector(rule) for rule in loaded.rules]
    made = Watching(Detecting(detectors, settings.paths.watch), event_of)
    refused = tuple(NotUsed(one.file, one.reason) for one in loaded.refused[:MOST_NAMED])
    rules = tuple(rule.id for rule in loaded.rules)
    write(settings.paths.standing, Standing(wall_us(), own, rules, refused, len(loaded.refused)))
    return made


def _rules(settings: Settings) -> Loaded:
    if not settings.watch.rules:
        return Loaded()
    try:
        return load([Path(settings.home) / name for name in settings.watch.rules])
    except Unavailable as error:
        return Loaded(refused=[Refused(name, str(error)) for name in settings.watch.rules])
