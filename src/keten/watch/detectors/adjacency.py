"""Reading neighbours: keys that lie next to keys asked for shortly before, one after the other, as in walking a list.

Default: 8 % of neighbours are usual (up to 40 % where a principal has always asked that way), 85 % are looked for, so
that families do not look like it. `high` past 40 where 200 lookups of its own are known. Whoever reads in order within
its first 200 is told of once, as `medium`; that is how it works, and nothing is said of it any more.
"""

from __future__ import annotations

import msgspec

from keten.watch.detectors.detector import NOTHING, Detector, signal
from keten.watch.detectors.sequential import Share, Test, begin_anew, take, usual_share
from keten.watch.model import Event, Signal

ALARM = 40.0
TEST = Test(least=0.08, most=0.4, suspected=0.85, prior=100.0)
KNOWN = 200
"""Lookups of its own after which a principal is known not to read in order."""


class Neighbours(msgspec.Struct, gc=False, array_like=True):
    """share: of neighbours among the keys asked for. asked: in all, counted up to `KNOWN`. in_order: it always did."""

    share: Share = msgspec.field(default_factory=Share)
    asked: int = 0
    in_order: bool = False


class Adjacency(Detector[Neighbours]):
    """Facts: near, asked (since it began), share (percent), usual (percent)."""

    code = "adjacency"
    whats = frozenset({"lookup"})
    state = Neighbours

    def step(self, state: Neighbours, event: Event) -> tuple[Signal, ...]:
        """A lookup's neighbours against its other keys."""
        if not event.asked or state.in_order:
            return NOTHING
        near = min(event.near, event.asked)
        share = state.share
        total = take(share, TEST, near, event.asked - near, event.id)
        known = state.asked >= KNOWN
        state.asked = min(KNOWN, state.asked + event.asked)
        if total < ALARM:
            return NOTHING
        facts: dict[str, int | float | str] = {
            "near": share.since_odd,
            "asked": share.since,
            "share": round(100 * share.since_odd / share.since, 1),
            "usual": round(100 * usual_share(share, TEST), 1),
        }
        first = share.first
        state.in_order = not known
        begin_anew(share)
        return (signal(self, "high" if known else "medium", event, facts, first),)
