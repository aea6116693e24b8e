"""Asking for what is not there: whoever guesses keys or ids misses more than whoever works with a list.

Default: 2 % of misses are usual (up to 5 % where a principal has always missed more), 22 % are looked for; `high`
past ln 1e7, `medium` for a lookup at which the keeper's own test has stopped it (`budgets.misses`). A repeated
question for the same record is no hit, so that hits that cost nothing can't cover misses.
"""

from __future__ import annotations

import math

import msgspec

from keten.watch.detectors.detector import NOTHING, Detector, signal
from keten.watch.detectors.sequential import Share, Test, begin_anew, take, usual_share
from keten.watch.model import Event, Signal

ALARM = math.log(1e7)
"""Higher than what stops lookups themselves (`budgets.misses`), because this may suspend, and for files as well."""
TEST = Test(least=0.02, most=0.05, suspected=0.22)
MISSED = frozenset({"absent", "no-grant", "not-addressed"})
STOPPED = "guessing"
_REMEMBERED = 16


class Misses(msgspec.Struct, gc=False, array_like=True):
    """share: of misses among questions. lost: records charged since its sum rose. ids: objects missed last."""

    share: Share = msgspec.field(default_factory=Share)
    lost: int = 0
    ids: list[str] = []


class MissHeavy(Detector[Misses]):
    """Facts: missed, asked (since it began), share (percent), usual (percent), records (charged meanwhile)."""

    code = "misses"
    whats = frozenset({"lookup", "open"})
    state = Misses

    def step(self, state: Misses, event: Event) -> tuple[Signal, ...]:
        """A lookup's misses, or an object that is not there, against what was found."""
        missed, found = _of_lookup(event) if event.what == "lookup" else _of_object(state, event)
        if not missed and not found:
            return NOTHING
        share = state.share
        if share.sum <= 0.0:
            state.lost = 0
        state.lost += event.records
        sure = take(share, TEST, missed, found, event.id) >= ALARM
        if not sure and STOPPED not in event.reasons:
            return NOTHING
        facts: dict[str, int | float | str] = {
            "missed": share.since_odd,
            "asked": share.since,
            "share": round(100 * share.since_odd / share.since, 1),
            "usual": round(100 * usual_share(share, TEST), 1),
            "records": state.lost,
        }
        first = share.first
        if not sure:  # the sum stays: who goes on after the hour is soon `high`
            return (signal(self, "medium", event, facts, first),)
        begin_anew(share)
        return (signal(self, "high", event, facts, first),)


def _of_lookup(event: Event) -> tuple[int, int]:
    missed = min(event.missed, event.asked)
    return missed, min(event.records, event.asked - missed) if event.allowed else 0


def _of_object(state: Misses, event: Event) -> tuple[int, int]:
    if event.allowed:
        return 0, 1 if event.records else 0
    if not MISSED.intersection(event.reasons):
        return 0, 0
    if not event.object:
        return event.count, 0
    if event.object in state.ids:  # whoever asks for the same file again and again does not guess
        return 0, 0
    state.ids = [*state.ids[-_REMEMBERED + 1 :], event.object]
    return event.count, 0
