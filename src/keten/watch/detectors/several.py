"""Signs that are weak alone, together: somebody who is not like this principal takes what is not like it.

Each sign of the last 24 hours counts once, with a weight that grows with how seldom honest use shows it. To these comes
what was taken since the first sign of who it is: 3 ln(1 + records / a busy day's). Default: `medium` from 11 and `high`
from 12, and only when there is a sign of who it is (place, key, hour, silence), and something was taken. For `high` it
must be a busy day's, or there must be a sign of what is taken: on a journey all signs of who it is come together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from keten.watch.detectors.baseline import Level, bound, turn
from keten.watch.detectors.countries import ANY, NOWHERE
from keten.watch.detectors.detector import DAY_US, NOTHING, Combining, signal
from keten.watch.model import SEVERITIES, Event, Fact, Signal

WITHIN_US = DAY_US
MEDIUM, HIGH = 11.0, 12.0
TAKEN = 3.0
_BUSY_SIGMAS = 1.0
_LEAST_DAY = 10.0
WHO: Mapping[str, tuple[float, float, float]] = {
    "country-new": (3.0, 3.0, 3.0),
    "network-new": (2.5, 2.5, 2.5),
    "travel": (4.5, 4.5, 4.5),
    "places-at-once": (4.0, 5.0, 5.0),
    "key-new": (2.5, 2.5, 2.5),
    "dormant": (6.0, 6.0, 6.0),
    "off-hours": (2.0, 2.0, 2.0),
    "network-listed": (2.0, 6.0, 6.0),
    "failed-sign-ins": (2.0, 6.0, 6.0),
}
NEW_TO_SUPPLIER = 2.0
WHAT: Mapping[str, tuple[float, float, float]] = {
    "volume": (2.0, 4.0, 4.0),
    "rate": (4.0, 6.0, 8.0),
    "outside": (4.0, 4.0, 4.0),
    "adjacency": (4.0, 4.0, 8.0),
    "misses": (8.0, 8.0, 8.0),
    "everything": (2.0, 2.0, 2.0),
    "before-end": (2.0, 4.0, 4.0),
    "low-and-slow": (2.0, 4.0, 4.0),
    "purpose-new": (2.0, 2.0, 2.0),
    "budget-spent": (2.0, 2.0, 2.0),
    "budget-share": (4.0, 6.0, 8.0),
}
"""Code → weight of a `low`, a `medium` and a `high` signal. A country new to the supplier as well weighs more."""


class Signs(msgspec.Struct, gc=False, array_like=True):
    """seen: code → when last, weight, the first entry. told: severity already told, at `told_us`.

    level: records by day. taken: records since the first sign of who it is, while there is one.
    """

    seen: dict[str, tuple[int, float, str]] = {}
    told: int = 0
    told_us: int = 0
    level: Level = msgspec.field(default_factory=Level)
    taken: int = 0


class Several(Combining[Signs]):
    """Facts: weight, signs (codes, by weight), count (of signs), records (since the first of who it is)."""

    code = "several"
    whats = ANY
    state = Signs

    def combine(self, state: Signs, event: Event, seen: Iterable[Signal]) -> tuple[Signal, ...]:
        """What the others saw now, with what they saw within a day."""
        if event.records:
            turn(state.level, event.time_us // DAY_US, 1.0, None)
            state.level.amount += event.records
        elif not seen:
            return NOTHING
        if seen:
            self._remember(state, event, seen)
        if not state.seen:
            return NOTHING
        now = event.time_us
        if any(now - sign[0] > WITHIN_US for sign in state.seen.values()):
            state.seen = {code: sign for code, sign in state.seen.items() if now - sign[0] <= WITHIN_US}
        who = not WHO.keys().isdisjoint(state.seen)
        state.taken = state.taken + event.records if who else 0
        return self._weigh(state, event) if who and state.taken else NOTHING

    def _remember(self, state: Signs, event: Event, seen: Iterable[Signal]) -> None:
        for one in seen:
            weights = WHO.get(one.detector) or WHAT.get(one.detector)
            if weights is None or one.principal != event.principal:
                continue
            weight = weights[SEVERITIES.index(one.severity)]
            weight += NEW_TO_SUPPLIER if one.facts.get("supplier") == NOWHERE else 0.0
            since, before, first = state.seen.get(one.detector, (0, 0.0, one.first))
            state.seen[one.detector] = (max(event.time_us, since), max(before, weight), first)

    def _weigh(self, state: Signs, event: Event) -> tuple[Signal, ...]:
        now, signs = event.time_us, state.seen
        if now - state.told_us > WITHIN_US:
            state.told = 0
        busy = max(bound(state.level, None, _BUSY_SIGMAS), _LEAST_DAY)
        total = sum(sign[1] for sign in signs.values()) + TAKEN * math.log1p(state.taken / busy)
        much = state.taken >= busy or not WHAT.keys().isdisjoint(signs)
        place = 2 if total >= HIGH and much else 1 if total >= MEDIUM else 0
        if place <= state.told:
            return NOTHING
        state.told, state.told_us = place, now
        ordered = sorted(signs, key=lambda code: (-signs[code][1], code))
        facts: dict[str, Fact] = {
            "weight": round(total, 1),
            "signs": ", ".join(ordered),
            "count": len(signs),
            "records": state.taken,
        }
        return (signal(self, "high" if place > 1 else "medium", event, facts, min(signs.values())[2]),)
