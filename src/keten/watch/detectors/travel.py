"""Two countries within a time that no flight makes. Default: `low`, once in 30 days for the same two countries.

500 km are left out for what the table of distances can't know, and the rest takes an hour for each 1,000 km. So
nothing is seen within a country, nor between neighbours. A virtual private network travels, too: see `several`.
"""

from __future__ import annotations

import msgspec

from keten.watch.detectors.countries import ANY, is_own
from keten.watch.detectors.detector import DAY_US, HOUR_US, NOTHING, Detector, signal
from keten.watch.detectors.distances import kilometres
from keten.watch.model import Event, Signal

UNKNOWN_KM = 500.0
KM_AN_HOUR = 1000.0
_REMEMBERED_DAYS = 30
_MOST_PAIRS = 8


class Journey(msgspec.Struct, gc=False, array_like=True):
    """country, time_us, entry: where it was last, when, by which entry. told: two countries → the day it was told."""

    country: str = ""
    time_us: int = 0
    entry: str = ""
    told: dict[str, int] = {}


class Travel(Detector[Journey]):
    """Facts: country, before, minutes (between them), kilometres (at least)."""

    code = "travel"
    whats = ANY
    state = Journey

    def step(self, state: Journey, event: Event) -> tuple[Signal, ...]:
        """Of what was allowed, or refused after the proof: only its own key brought it there."""
        if not event.country or event.time_us < state.time_us or not is_own(event):
            return NOTHING
        before, since, entry = state.country, state.time_us, state.entry
        state.country, state.time_us = event.country, event.time_us
        if before == event.country:
            return NOTHING
        state.entry = event.id
        if not before or not is_impossible(before, event.country, event.time_us - since):
            return NOTHING
        day = event.time_us // DAY_US
        pair = "/".join(sorted((before, event.country)))
        known = state.told.get(pair)
        state.told[pair] = day
        if len(state.told) > _MOST_PAIRS:
            del state.told[min(state.told, key=lambda each: (state.told[each], each))]
        if known is not None and day - known < _REMEMBERED_DAYS:
            return NOTHING
        facts: dict[str, int | float | str] = {
            "country": event.country,
            "before": before,
            "minutes": (event.time_us - since) // 60_000_000,
            "kilometres": round(kilometres(before, event.country)),
        }
        return (signal(self, "low", event, facts, entry),)


def is_impossible(one: str, other: str, within_us: int) -> bool:
    """Whether nobody gets from one country to the other in that time."""
    needed_hours = (kilometres(one, other) - UNKNOWN_KM) / KM_AN_HOUR
    return within_us < needed_hours * HOUR_US
