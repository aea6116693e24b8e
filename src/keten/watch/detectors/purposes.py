"""A purpose that the principal never had. Default: `low`, after ten days of use over two weeks."""

from __future__ import annotations

from keten.watch.detectors.detector import NOTHING, Detector, signal
from keten.watch.detectors.known import Known, is_settled, meets
from keten.watch.model import Event, Signal

MOST = 16
_LONGEST = 64


class PurposeNew(Detector[Known]):
    """Facts: purpose, known (how many it had)."""

    code = "purpose-new"
    whats = frozenset({"open", "lookup"})
    state = Known

    def step(self, state: Known, event: Event) -> tuple[Signal, ...]:
        """Also of what was refused: it was asked for."""
        purpose = event.purpose[:_LONGEST]
        if not purpose or not meets(state, purpose, event.time_us, MOST) or not is_settled(state, 10, 14):
            return NOTHING
        return (signal(self, "low", event, {"purpose": purpose, "known": len(state.seen) - 1}),)
