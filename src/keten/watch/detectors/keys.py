"""The first sign-in with a key. Default: `low`, once a principal is known with another one: keys are rotated."""

from __future__ import annotations

from keten.watch.detectors.detector import NOTHING, Detector, signal
from keten.watch.detectors.known import Known, meets
from keten.watch.model import Event, Signal

MOST = 8
_SHOWN = 12  # characters of a fingerprint


class KeyNew(Detector[Known]):
    """Facts: key (the end of its fingerprint), known (how many it signed in with)."""

    code = "key-new"
    whats = frozenset({"sign-in"})
    state = Known

    def step(self, state: Known, event: Event) -> tuple[Signal, ...]:
        """Of a sign-in that was allowed."""
        key = event.key[-_SHOWN:]
        if not key or not event.allowed or not meets(state, key, event.time_us, MOST):
            return NOTHING
        return (signal(self, "low", event, {"key": key, "known": len(state.seen) - 1}),)
