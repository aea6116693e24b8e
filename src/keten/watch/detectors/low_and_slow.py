"""Somewhat more than usual, for weeks: a sum of what each day has above the usual (CUSUM), for whoever stays low.

Default: half a usual day's deviation is let pass each day, a day counts as at most three; `low` past 12, `medium` past
40. What is usual grows by 1.5 % a day at most (see `baseline`), so the sum can't be outrun by patience.
"""

from __future__ import annotations

import msgspec

from keten.watch.detectors.baseline import Level, Peers, knows, turn, usual
from keten.watch.detectors.detector import DAY_US, NOTHING, Comparing, signal
from keten.watch.model import Event, Signal

ALLOWED = 0.5
MOST_A_DAY = 3.0
ALARM, GRAVE = 12.0, 40.0
KNOWN_DAYS = 10.0
_LEAST_DEVIATION = 5.0


class Slow(msgspec.Struct, gc=False, array_like=True):
    """level: by day. sum: of the test. since: the day on which it rose from zero; extra: records above usual since."""

    level: Level = msgspec.field(default_factory=Level)
    sum: float = 0.0
    since: int = 0
    extra: float = 0.0
    first: str = ""
    told: int = 0


class LowAndSlow(Comparing[Slow, Peers]):
    """Facts: days (since it began), records (above usual, in all), usual (a day)."""

    code = "low-and-slow"
    whats = frozenset({"lookup", "open"})
    state = Slow
    shared = Peers

    def compare(self, state: Slow, shared: Peers, event: Event) -> tuple[Signal, ...]:
        """When a day is over, its records against what was usual before it."""
        if not event.records:
            return NOTHING
        level = state.level
        day = event.time_us // DAY_US
        signals: tuple[Signal, ...] = NOTHING
        if day > level.period:
            if level.period >= 0 and knows(level, shared, KNOWN_DAYS):
                signals = self._day(state, shared, event)
            turn(level, day, 1.0, shared)
        level.amount += event.records
        return signals

    def _day(self, state: Slow, shared: Peers, event: Event) -> tuple[Signal, ...]:
        level = state.level
        normal = usual(level, shared)
        deviation = max(normal * max(level.spread, 0.5) * 1.2533, _LEAST_DEVIATION)
        over = (level.amount - normal) / deviation
        if state.sum <= 0.0:
            state.since, state.extra, state.first, state.told = level.period, 0.0, event.id, 0
        state.sum = max(0.0, state.sum + min(over, MOST_A_DAY) - ALLOWED)
        state.extra += level.amount - normal
        place = 2 if state.sum >= GRAVE else 1 if state.sum >= ALARM else 0
        if place <= state.told:
            return NOTHING
        state.told = place
        facts: dict[str, int | float | str] = {
            "days": level.period - state.since + 1,
            "records": int(state.extra),
            "usual": round(normal, 1),
        }
        return (signal(self, "medium" if place > 1 else "low", event, facts, state.first),)
