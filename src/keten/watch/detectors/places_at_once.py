"""Used from two places at once: back and forth between two networks, within minutes.

Default: `low`, or `medium` where the two are in countries that nobody travels between in that time; told once for
the same two networks. A second exit of the same office, a telephone that leaves its wireless network: once,
and then known.
"""

from __future__ import annotations

import msgspec

from keten.watch.detectors.countries import ANY
from keten.watch.detectors.detector import DAY_US, MINUTE_US, NOTHING, Detector, signal
from keten.watch.detectors.travel import is_impossible
from keten.watch.model import Event, Signal

WITHIN_US = 10 * MINUTE_US
TURNS = 3
_MOST_PAIRS = 16


class Places(msgspec.Struct, gc=False, array_like=True):
    """The newest place and the other one: network, country, when last. turns: from one to the other and back.

    since: when the first of these turns was; entry: its entry. told: two networks → the day on which it was told.
    """

    network: str = ""
    country: str = ""
    time_us: int = 0
    other: str = ""
    other_country: str = ""
    other_us: int = 0
    turns: int = 0
    since: int = 0
    entry: str = ""
    told: dict[str, int] = {}


class PlacesAtOnce(Detector[Places]):
    """Facts: network, other (pseudonyms), country, other_country, turns, minutes (that it took)."""

    code = "places-at-once"
    whats = ANY
    state = Places

    def step(self, state: Places, event: Event) -> tuple[Signal, ...]:
        """Of what was allowed: a sign-in that was refused may be anybody's."""
        network = event.network
        if not network or not event.allowed or event.time_us < state.time_us:
            return NOTHING
        if network == state.network:
            state.time_us = event.time_us
            state.country = event.country or state.country
            return NOTHING
        is_back = network == state.other and event.time_us - state.other_us <= WITHIN_US
        if not is_back or event.time_us - state.since > TURNS * WITHIN_US:
            state.turns, state.since, state.entry = 0, event.time_us, event.id
        state.turns += 1
        country = event.country or (state.other_country if network == state.other else "")
        state.other, state.other_country, state.other_us = state.network, state.country, state.time_us
        state.network, state.country, state.time_us = network, country, event.time_us
        return self._tell(state, event) if state.turns >= TURNS else NOTHING

    def _tell(self, state: Places, event: Event) -> tuple[Signal, ...]:
        pair = "/".join(sorted((state.network, state.other)))
        known = pair in state.told
        state.told[pair] = event.time_us // DAY_US
        if len(state.told) > _MOST_PAIRS:
            del state.told[min(state.told, key=lambda each: (state.told[each], each))]
        if known:
            return NOTHING
        far = bool(state.country and state.other_country) and is_impossible(
            state.country, state.other_country, WITHIN_US
        )
        facts: dict[str, int | float | str] = {
            "network": state.network,
            "other": state.other,
            "country": state.country,
            "other_country": state.other_country,
            "turns": state.turns,
            "minutes": (event.time_us - state.since) // MINUTE_US,
        }
        return (signal(self, "medium" if far else "low", event, facts, state.entry),)
