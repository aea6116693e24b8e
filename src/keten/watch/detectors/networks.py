"""A network that neither the principal nor its supplier was ever seen in.

Default: `low`, after five days over a week (of the supplier, from a principal's second day on), and not for a
principal that comes from new networks all the time (more than four of late), as with a telephone. See `several`.
"""

from __future__ import annotations

from keten.watch.detectors.countries import ANY
from keten.watch.detectors.detector import NOTHING, Comparing, signal
from keten.watch.detectors.known import Known, is_settled, meets
from keten.watch.model import Event, Signal

MOST = 24
MOST_OF_SUPPLIER = 256
ROAMS = 4.0


class NetworkNew(Comparing[Known, Known]):
    """Facts: network (a pseudonym), known (how many it was seen in)."""

    code = "network-new"
    whats = ANY
    state = Known
    beside = "supplier"
    shared = Known

    def compare(self, state: Known, shared: Known, event: Event) -> tuple[Signal, ...]:
        """Of what was allowed: a sign-in that was refused may be anybody's."""
        if not event.network or not event.allowed:
            return NOTHING
        new_to_supplier = event.network not in shared.seen
        meets(shared, event.network, event.time_us, MOST_OF_SUPPLIER)
        if not meets(state, event.network, event.time_us, MOST) or not new_to_supplier:
            return NOTHING
        if state.fresh > ROAMS or not (is_settled(state, 5, 7) or (is_settled(shared, 5, 7) and state.days > 1)):
            return NOTHING
        return (signal(self, "low", event, {"network": event.network, "known": len(state.seen) - 1}),)
