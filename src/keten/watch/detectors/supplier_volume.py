"""Records of a whole supplier in a day, against what is usual for it: many logins that each stay small.

Default: `medium` past 5 standard deviations of the logarithm and 500 records, after ten days. It names no principal.
"""

from __future__ import annotations

import msgspec

from keten.watch.detectors.baseline import Level, bound, knows, turn, usual
from keten.watch.detectors.detector import DAY_US, NOTHING, Detector, signal
from keten.watch.model import Event, Signal

SIGMAS = 5.0
LEAST = 500.0
KNOWN_DAYS = 10.0


class SupplierVolume(Detector[Level]):
    """Facts: records (today), usual (a day)."""

    code = "supplier-volume"
    whats = frozenset({"lookup", "open"})
    space = "supplier"
    state = Level

    def step(self, state: Level, event: Event) -> tuple[Signal, ...]:
        """A day's records, told once."""
        if not event.records:
            return NOTHING
        turn(state, event.time_us // DAY_US, 1.0, None)
        state.amount += event.records
        is_much = state.amount >= LEAST and knows(state, None, KNOWN_DAYS) and state.amount > bound(state, None, SIGMAS)
        if state.told or not is_much:
            return NOTHING
        state.told = 1
        facts: dict[str, int | float | str] = {"records": int(state.amount), "usual": round(usual(state, None), 1)}
        return (msgspec.structs.replace(signal(self, "medium", event, facts), principal="", grant=""),)
