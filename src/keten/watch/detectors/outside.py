"""Asking beyond one's caseload: records of people whom the grant's list does not give to this principal.

Default: 5 % are usual (up to 40 % where a principal has always asked that way), 60 % are looked for; `low` past ln 1e6.
Never more by itself: whoever takes over a colleague's work does the same. See `several`.
"""

from __future__ import annotations

import math

from keten.watch.detectors.detector import NOTHING, Detector, signal
from keten.watch.detectors.sequential import Share, Test, begin_anew, take, usual_share
from keten.watch.model import Event, Signal

ALARM = math.log(1e6)
TEST = Test(least=0.05, most=0.4, suspected=0.6, prior=100.0)


class Outside(Detector[Share]):
    """Facts: outside, asked (since it began), share (percent), usual (percent)."""

    code = "outside"
    whats = frozenset({"lookup"})
    state = Share

    def step(self, state: Share, event: Event) -> tuple[Signal, ...]:
        """A lookup's keys outside the caseload against its others."""
        if not event.asked:
            return NOTHING
        outside = min(event.outside, event.asked)
        if take(state, TEST, outside, event.asked - outside, event.id) < ALARM:
            return NOTHING
        facts: dict[str, int | float | str] = {
            "outside": state.since_odd,
            "asked": state.since,
            "share": round(100 * state.since_odd / state.since, 1),
            "usual": round(100 * usual_share(state, TEST), 1),
        }
        first = state.first
        state.odd += state.since_odd  # if that is its work from now on, it will be known
        state.all += state.since
        begin_anew(state)
        return (signal(self, "low", event, facts, first),)
