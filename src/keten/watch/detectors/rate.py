"""Lookups at a speed that is not this principal's: records in a minute, against its own and its peers' busiest minutes.

What is normal is two standard deviations (of the logarithm) above the usual busiest minute of an hour. Default: `low`
past twice that and 20 records, `medium` past 3.5 times and 30, `high` past six times and 40, where at least 16 hours
of its own are known. Files are `volume`'s.
"""

from __future__ import annotations

import msgspec

from keten.watch.detectors.baseline import Level, Peers, bound, knows, turn, usual
from keten.watch.detectors.detector import HOUR_US, MINUTE_US, NOTHING, Comparing, signal
from keten.watch.model import Event, Severity, Signal

STEPS: tuple[tuple[Severity, float, float], ...] = (("low", 2.0, 20.0), ("medium", 3.5, 30.0), ("high", 6.0, 40.0))
SIGMAS = 2.0
KNOWN_HOURS = 16.0


class Pace(msgspec.Struct, gc=False, array_like=True):
    """busiest: by hour, the records of its busiest minute. minute: the newest; records: in it."""

    busiest: Level = msgspec.field(default_factory=Level)
    minute: int = -1
    records: int = 0


class Rate(Comparing[Pace, Peers]):
    """Facts: records (this minute), usual (in a busy minute)."""

    code = "rate"
    whats = frozenset({"lookup"})
    state = Pace
    shared = Peers

    def compare(self, state: Pace, shared: Peers, event: Event) -> tuple[Signal, ...]:
        """A minute's records, told once an hour for each severity."""
        if not event.records:
            return NOTHING
        busiest = state.busiest
        minute = event.time_us // MINUTE_US
        if minute > state.minute:
            turn(busiest, event.time_us // HOUR_US, 24.0, shared)
            state.minute, state.records = minute, 0
        state.records += event.records
        busiest.amount = max(busiest.amount, float(state.records))
        if state.records < STEPS[0][2]:
            return NOTHING
        normal = bound(busiest, shared, SIGMAS)
        place = len(STEPS) if busiest.observed >= KNOWN_HOURS else len(STEPS) - 1
        while place > busiest.told and not (
            state.records >= STEPS[place - 1][2] and state.records > STEPS[place - 1][1] * normal
        ):
            place -= 1
        if place <= busiest.told or not knows(busiest, shared, KNOWN_HOURS):
            return NOTHING
        busiest.told = place
        facts: dict[str, int | float | str] = {"records": state.records, "usual": round(usual(busiest, shared), 1)}
        return (signal(self, STEPS[place - 1][0], event, facts),)
