"""Signs that are weak alone, together: somebody who is not like this principal takes what is not like it.

Each sign of the last 24 hours counts once, with a weight that says how seldom honest use shows it (in about natural
logarithms). Default: `medium` past 8 and `high` past 10, and only when there is one of each: a sign of who it is
(place, key, hour, silence) and one of what is taken (volume, speed, order, misses).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from keten.watch.detectors.countries import ANY
from keten.watch.detectors.detector import DAY_US, NOTHING, Combining, signal
from keten.watch.model import SEVERITIES, Event, Fact, Signal

WITHIN_US = DAY_US
MEDIUM, HIGH = 8.0, 10.0
WHO: Mapping[str, tuple[float, float, float]] = {
    "country-new": (3.0, 3.0, 3.0),
    "network-new": (2.5, 2.5, 2.5),
    "travel": (3.0, 3.0, 3.0),
    "places-at-once": (2.0, 4.0, 4.0),
    "key-new": (2.5, 2.5, 2.5),
    "dormant": (3.0, 3.0, 3.0),
    "off-hours": (1.5, 1.5, 1.5),
    "network-listed": (2.0, 6.0, 6.0),
    "failed-sign-ins": (2.0, 6.0, 6.0),
}
WHAT: Mapping[str, tuple[float, float, float]] = {
    "volume": (3.0, 5.0, 5.0),
    "rate": (4.0, 6.0, 8.0),
    "adjacency": (4.0, 4.0, 8.0),
    "misses": (8.0, 8.0, 8.0),
    "everything": (2.0, 2.0, 2.0),
    "before-end": (2.0, 4.0, 4.0),
    "low-and-slow": (2.0, 4.0, 4.0),
    "purpose-new": (2.0, 2.0, 2.0),
    "budget-spent": (2.0, 2.0, 2.0),
}
"""Code → weight of a `low`, a `medium` and a `high` signal."""


class Signs(msgspec.Struct, gc=False, array_like=True):
    """seen: code → when last, weight, the first entry. told: severity already told, at `told_us`."""

    seen: dict[str, tuple[int, float, str]] = {}
    told: int = 0
    told_us: int = 0


class Several(Combining[Signs]):
    """Facts: weight, signs (codes, by weight), count."""

    code = "several"
    whats = ANY
    state = Signs

    def combine(self, state: Signs, event: Event, seen: Iterable[Signal]) -> tuple[Signal, ...]:
        """What the others saw now, with what they saw within a day."""
        now = event.time_us
        signs = {code: sign for code, sign in state.seen.items() if now - sign[0] <= WITHIN_US}
        for one in seen:
            weights = WHO.get(one.detector) or WHAT.get(one.detector)
            if weights is None or one.principal != event.principal:
                continue
            before = signs.get(one.detector, (0, 0.0, one.first))
            weight = max(before[1], weights[SEVERITIES.index(one.severity)])
            signs[one.detector] = (max(now, before[0]), weight, before[2])
        state.seen = signs
        if now - state.told_us > WITHIN_US:
            state.told = 0
        total = sum(sign[1] for sign in signs.values())
        place = 2 if total >= HIGH else 1 if total >= MEDIUM else 0
        if place <= state.told or WHO.keys().isdisjoint(signs) or WHAT.keys().isdisjoint(signs):
            return NOTHING
        state.told, state.told_us = place, now
        ordered = sorted(signs, key=lambda code: (-signs[code][1], code))
        facts: dict[str, Fact] = {"weight": round(total, 1), "signs": ", ".join(ordered), "count": len(signs)}
        first = min(signs.values())[2]
        return (signal(self, "high" if place > 1 else "medium", event, facts, first),)
