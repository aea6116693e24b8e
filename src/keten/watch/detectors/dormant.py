"""Awake after a long silence. Default: `low` after 45 days."""

from __future__ import annotations

import msgspec

from keten.watch.detectors.countries import ANY
from keten.watch.detectors.detector import DAY_US, NOTHING, Detector, signal
from keten.watch.model import Event, Signal

DAYS = 45


class Last(msgspec.Struct, gc=False, array_like=True):
    """time_us: when something was allowed last."""

    time_us: int = 0


class Dormant(Detector[Last]):
    """Facts: days (of silence)."""

    code = "dormant"
    whats = ANY
    state = Last

    def step(self, state: Last, event: Event) -> tuple[Signal, ...]:
        """Of what was allowed: refusals in its name do not wake it."""
        if not event.allowed:
            return NOTHING
        before, state.time_us = state.time_us, max(state.time_us, event.time_us)
        silent = (event.time_us - before) // DAY_US
        if not before or silent < DAYS:
            return NOTHING
        return (signal(self, "low", event, {"days": silent}),)
