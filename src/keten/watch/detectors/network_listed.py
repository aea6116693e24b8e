"""A network on the organisation's own list of bad ones.

Default: `medium` when it was let in, `low` when it was refused. Told once a day for a principal and
network. How often it is wrong depends on the list.
"""

from __future__ import annotations

import msgspec

from keten.watch.detectors.countries import ANY
from keten.watch.detectors.detector import DAY_US, NOTHING, Detector, signal
from keten.watch.model import Event, Signal


class Told(msgspec.Struct, gc=False, array_like=True):
    """day, network: told last; place: 1 for a refusal, 2 for what was allowed."""

    day: int = -1
    network: str = ""
    place: int = 0


class NetworkListed(Detector[Told]):
    """Facts: network (a pseudonym), what (was done), allowed (yes, no)."""

    code = "network-listed"
    whats = ANY
    state = Told

    def step(self, state: Told, event: Event) -> tuple[Signal, ...]:
        """Anything from such a network."""
        if not event.listed:
            return NOTHING
        day = event.time_us // DAY_US
        place = 2 if event.allowed else 1
        if day <= state.day and event.network == state.network and place <= state.place:
            return NOTHING
        state.day, state.network, state.place = max(day, state.day), event.network, place
        facts: dict[str, int | float | str] = {
            "network": event.network,
            "what": event.what,
            "allowed": "yes" if event.allowed else "no",
        }
        return (signal(self, "medium" if event.allowed else "low", event, facts),)
