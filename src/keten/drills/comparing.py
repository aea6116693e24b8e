"""The same traffic under other watchers: what peers' published rules would have told, and when.

Whoever is told of counts as stopped at that very moment, which flatters the peers: their rules alert and stop nothing.
Where Keten stopped a thief, he goes on for them at the pace that he had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from keten.core.clock import SECOND
from keten.core.settings import Watch
from keten.drills.history import DAYS, USUAL, Known, ordinary, stolen, works
from keten.drills.peers import baselines
from keten.watch.detectors import default
from keten.watch.engine import Engine
from keten.watch.ladder import Ladder
from keten.watch.model import STOPPING, Event, Signal

Step = Callable[[Event], Sequence[Signal]]
ALERTING = frozenset({"medium", "high"})
FURTHER = 1000
"""Lookups that a thief goes on for; who has not told of him by then counts as never telling."""
PACES = (1.0, 0.75, 0.5, 0.25, 0.1)
"""What a patient thief may take of what the victim's own work leaves of a day's budget."""
_COLLEAGUES = 11


class Theft(msgspec.Struct, frozen=True):
    """One attack: the principals whose logins it used, and when it began (microseconds since 1970)."""

    logins: tuple[str, ...]
    began_us: int


class Compared(msgspec.Struct, frozen=True):
    """What a thief gets under one watcher, in records.

    before_alert: until the first alert; None: there was none. out: until each of his logins was stopped; None: they
    were not. seconds: from his first request to that alert. honest: honest principals that were told of, or None where
    there was nobody else.
    """

    thief: str
    watcher: str
    before_alert: int | None
    out: int | None
    seconds: float | None
    honest: int | None


def told_by_peers(before: Sequence[Event], events: Sequence[Event], thefts: Mapping[str, Theft]) -> list[Compared]:
    """Each of the peers on what was recorded. before: what they know from. thefts: by name."""
    found: list[Compared] = []
    for watcher, peer in baselines().items():
        for event in before:
            peer.step(event)
        stand = _Stand(peer.step)
        for event in events:
            stand.see(event)
        every = {one for theft in thefts.values() for one in theft.logins}
        for principal in sorted(every - set(stand.told)):
            stand.go_on(principal, events)
        honest = len(set(stand.told) - every)
        found += [stand.compared(name, watcher, theft, honest) for name, theft in thefts.items()]
    return found


class _Stand:
    """One watcher on a stream: whom it told of, when, and what they had by then."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.told: dict[str, int] = {}
        self._out: list[tuple[int, str]] = []

    def see(self, event: Event) -> None:
        """One more event; what somebody does who was told of counts no more."""
        who = event.principal
        if who not in self.told:
            self._out += [(event.time_us, who)] * event.records
        for signal in self._step(event):
            if signal.principal:
                self.told.setdefault(signal.principal, signal.time_us)

    def go_on(self, principal: str, events: Iterable[Event]) -> None:
        """He goes on as he did, where Keten or a budget stopped him."""
        own = [one for one in events if one.principal == principal and one.what == "lookup" and one.records]
        if not own:
            return
        gap_us = max(1, (own[-1].time_us - own[0].time_us) // max(1, len(own) - 1))
        for number in range(1, FURTHER + 1):
            self.see(msgspec.structs.replace(own[-1], time_us=own[-1].time_us + number * gap_us))
            if principal in self.told:
                return

    def compared(self, name: str, watcher: str, theft: Theft, honest: int) -> Compared:
        """What became of one theft."""
        alerts = [self.told[one] for one in theft.logins if one in self.told]
        if not alerts:
            return Compared(name, watcher, None, None, None, honest)
        own = [at_us for at_us, who in self._out if who in theft.logins and at_us >= theft.began_us]
        out = len(own) if len(alerts) == len(theft.logins) else None
        before = sum(at_us <= min(alerts) for at_us in own)
        return Compared(name, watcher, before, out, round((min(alerts) - theft.began_us) / SECOND, 2), honest)


class Patient(msgspec.Struct, frozen=True):
    """What a patient thief gets at his best under one watcher: he chooses the pace that gives him most.

    share: of what is left of a day's budget. a_day: records. out: in all, in `DAYS` days. before_alert: until the
    first alert; None: there was none. day: of that alert. stopped: whether something stopped him.
    """

    watcher: str
    share: float
    a_day: int
    out: int
    before_alert: int | None
    day: int | None
    stopped: bool


def patient(known: Mapping[str, Known], victim: str, now_us: int, budget: int) -> list[Patient]:
    """The best of several paces, under Keten's detectors and under each of the peers, from real entries on other days.

    He uses the victim's own login, network and key in the victim's own hours, never misses, and never asks for more
    than the budget leaves. victim: a principal. budget: records a day.
    """
    names = [one for one in known if one != victim][:_COLLEAGUES]
    some = {one: known[one] for one in (victim, *names)}
    before = list(ordinary(some, now_us, range(-DAYS, 0)))
    after = {day: list(ordinary(some, now_us, range(day, day + 1))) for day in range(1, DAYS + 1)}
    found: list[Patient] = []
    for watcher in ("keten", *baselines()):
        runs = [_run(watcher, some[victim], before, after, now_us, (budget - 2 * USUAL, share)) for share in PACES]
        found.append(max(runs, key=lambda one: one.out))
    return found


def _run(
    watcher: str,
    victim: Known,
    before: Sequence[Event],
    after: Mapping[int, Sequence[Event]],
    now_us: int,
    pace: tuple[int, float],
) -> Patient:
    """One pace: (what is left of a day's budget, share of it)."""
    step, stops = _watcher(watcher)
    for event in before:
        step(event)
    left, share = pace
    a_day = max(1, int(left * share))
    out, before_alert, alert_day = 0, None, None
    for day, honest in after.items():
        if not works(day):
            continue
        theirs = [(event, 0) for event in honest]
        own = [(event, 1) for event in stolen(victim, now_us, day, a_day)]
        for event, taken in sorted(theirs + own, key=lambda one: one[0].time_us):
            out += taken
            for signal in step(event):
                if signal.principal != victim.lookup.principal:
                    continue
                if before_alert is None and signal.severity in ALERTING:
                    before_alert, alert_day = out, day
                if stops(signal):
                    return Patient(watcher, share, a_day, out, before_alert, alert_day, stopped=True)
    return Patient(watcher, share, a_day, out, before_alert, alert_day, stopped=False)


def _watcher(name: str) -> tuple[Step, Callable[[Signal], bool]]:
    """Its `step`, and whether a signal of it stops somebody: for peers, each."""
    if name != "keten":
        return baselines()[name].step, lambda _signal: True
    ladder = Ladder(Watch())
    return Engine(default()).learn, lambda signal: ladder.wanted(signal.detector, signal.severity) in STOPPING
