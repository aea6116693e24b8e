"""A country that the principal was never seen in. Default: `low`, after five days over a week; see `several`."""

from __future__ import annotations

from keten.watch.detectors.detector import NOTHING, Detector, signal
from keten.watch.detectors.known import Known, is_settled, meets
from keten.watch.model import Event, Signal, What

ANY: frozenset[What] = frozenset({"sign-in", "list", "describe", "open", "lookup"})
MOST = 16


class CountryNew(Detector[Known]):
    """Facts: country, known (how many it was seen in)."""

    code = "country-new"
    whats = ANY
    state = Known

    def step(self, state: Known, event: Event) -> tuple[Signal, ...]:
        """Of what was allowed, or refused for its country: others are refused in anybody's name."""
        if not event.country or not meets(state, event.country, event.time_us, MOST) or not is_settled(state, 5, 7):
            return NOTHING
        return (signal(self, "low", event, {"country": event.country, "known": len(state.seen) - 1}),)
