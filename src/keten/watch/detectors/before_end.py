"""More than is in proportion, shortly before a contract ends.

Default: in the last 14 days, `low` past four times what is usual for as many days and 200 records, `medium` past ten
times and 1,000. What is taken in these days is not learnt.
"""

from __future__ import annotations

import msgspec

from keten.watch.detectors.baseline import Level, Peers, knows, turn, usual
from keten.watch.detectors.detector import DAY_US, NOTHING, Comparing, signal
from keten.watch.model import Event, Fact, Severity, Signal

LAST_DAYS = 14
STEPS: tuple[tuple[Severity, float, int], ...] = (("low", 4.0, 200), ("medium", 10.0, 1000))
KNOWN_DAYS = 10.0
_SHORT = 12


class Ending(msgspec.Struct, gc=False, array_like=True):
    """level: by day, before the last days. contract: that ends; records: in its last days; first: of their entries."""

    level: Level = msgspec.field(default_factory=Level)
    contract: str = ""
    records: int = 0
    first: str = ""
    told: int = 0


class BeforeEnd(Comparing[Ending, Peers]):
    """Facts: records (in the last days), days (of these that are over, and today), usual (a day), left (days)."""

    code = "before-end"
    whats = frozenset({"lookup", "open"})
    state = Ending
    shared = Peers

    def compare(self, state: Ending, shared: Peers, event: Event) -> tuple[Signal, ...]:
        """What was taken, under a contract that ends soon or does not."""
        if not event.records or not event.contract_ends_us:
            return NOTHING
        left_us = event.contract_ends_us - event.time_us
        level = state.level
        if not 0 < left_us <= LAST_DAYS * DAY_US:
            turn(level, event.time_us // DAY_US, 1.0, shared)
            level.amount += event.records
            return NOTHING
        contract = event.contract[:_SHORT]
        if contract != state.contract:
            state.contract, state.records, state.first, state.told = contract, 0, event.id, 0
        state.records += event.records
        days = LAST_DAYS - left_us // DAY_US
        normal = usual(level, shared)
        place = len(STEPS)
        while place > state.told and not (
            state.records >= STEPS[place - 1][2] and state.records > STEPS[place - 1][1] * normal * days
        ):
            place -= 1
        if place <= state.told or not knows(level, shared, KNOWN_DAYS):
            return NOTHING
        state.told = place
        facts: dict[str, Fact] = {
            "records": state.records,
            "days": days,
            "usual": round(normal, 1),
            "left": left_us // DAY_US,
        }
        return (signal(self, STEPS[place - 1][0], event, facts, state.first),)
