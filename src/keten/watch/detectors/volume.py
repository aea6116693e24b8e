"""Records in a day, against what is usual for the principal and for its peers (supplier × purpose).

Default: `low` past 3.5 standard deviations of the logarithm and 50 records, `medium` past 7 and 500. Never more by
itself: honest people have busy days. See `several`.
"""

from __future__ import annotations

from keten.watch.detectors.baseline import Level, Peers, bound, knows, turn, usual
from keten.watch.detectors.detector import DAY_US, NOTHING, Comparing, signal
from keten.watch.model import Event, Severity, Signal

STEPS: tuple[tuple[Severity, float, float], ...] = (("low", 3.5, 50.0), ("medium", 7.0, 500.0))
KNOWN_DAYS = 5.0


class Volume(Comparing[Level, Peers]):
    """Facts: records (today), usual (a day)."""

    code = "volume"
    whats = frozenset({"lookup", "open"})
    state = Level
    shared = Peers

    def compare(self, state: Level, shared: Peers, event: Event) -> tuple[Signal, ...]:
        """A day's records, told once for each severity."""
        if not event.records:
            return NOTHING
        turn(state, event.time_us // DAY_US, 1.0, shared)
        state.amount += event.records
        return told(self, state, shared, event, KNOWN_DAYS, STEPS)


def told(
    detector: Comparing[Level, Peers],
    state: Level,
    shared: Peers | None,
    event: Event,
    days: float,
    steps: tuple[tuple[Severity, float, float], ...],
) -> tuple[Signal, ...]:
    """A signal when the period's amount is past a further step: (severity, standard deviations, least amount)."""
    place = len(steps)
    while place > state.told and not (
        state.amount >= steps[place - 1][2] and state.amount > bound(state, shared, steps[place - 1][1])
    ):
        place -= 1
    if place <= state.told or not knows(state, shared, days):
        return NOTHING
    state.told = place
    facts: dict[str, int | float | str] = {"records": int(state.amount), "usual": round(usual(state, shared), 1)}
    return (signal(detector, steps[place - 1][0], event, facts),)
