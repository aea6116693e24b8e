"""A country that the principal was never seen in, or not even its supplier.

Default: `low`, after five days over a week; where the supplier is known so well and was never seen there either, from
a principal's second day on. See `several`.
"""

from __future__ import annotations

from keten.watch.detectors.detector import NOTHING, Comparing, signal
from keten.watch.detectors.known import Known, is_settled, meets
from keten.watch.model import Event, Signal, What

ANY: frozenset[What] = frozenset({"sign-in", "list", "describe", "open", "lookup"})
MOST = 16
MOST_OF_SUPPLIER = 64
NOWHERE = "nobody"
SOMEBODY = "somebody"


class CountryNew(Comparing[Known, Known]):
    """Facts: country, known (how many it was seen in), supplier ("nobody", or "somebody" of it was there before)."""

    code = "country-new"
    whats = ANY
    state = Known
    beside = "supplier"
    shared = Known

    def compare(self, state: Known, shared: Known, event: Event) -> tuple[Signal, ...]:
        """Of all but a sign-in that was refused, which may be anybody's."""
        if not event.country or not is_own(event):
            return NOTHING
        new_to_supplier = event.country not in shared.seen
        meets(shared, event.country, event.time_us, MOST_OF_SUPPLIER)
        if not meets(state, event.country, event.time_us, MOST):
            return NOTHING
        if not is_settled(state, 5, 7) and not (new_to_supplier and is_settled(shared, 5, 7) and state.days > 1):
            return NOTHING
        by = NOWHERE if new_to_supplier else SOMEBODY
        return (signal(self, "low", event, {"country": event.country, "known": len(state.seen) - 1, "supplier": by}),)


def is_own(event: Event) -> bool:
    """Whether its own proof stood behind it: a sign-in is refused in anybody's name."""
    return event.allowed or event.what != "sign-in"
