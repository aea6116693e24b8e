"""Taking all that one may take: a large share of a dataset by lookups, or every file one after the other.

Default: `low` when a principal looked up a fifth of a dataset within 30 days, at least 1,000 records and four times as
many as in the 30 days before; or opened 20 different objects in a day, and five times as many as is usual for it.
"""

from __future__ import annotations

import msgspec

from keten.watch.detectors.baseline import Level, knows, turn, usual
from keten.watch.detectors.detector import DAY_US, NOTHING, Detector, signal
from keten.watch.model import Event, Fact, Signal

SHARE = 0.2
LEAST_RECORDS = 1000
LEAST_OBJECTS = 20.0
TIMES_BEFORE = 4
TIMES_OBJECTS = 5.0
WINDOW_DAYS = 30
KNOWN_DAYS = 5.0
_MOST_OBJECTS = 64
_MOST_DATASETS = 4
_SHORT = 8


class Taken(msgspec.Struct, gc=False, array_like=True):
    """datasets: dataset → window, records in it, records in the one before, told. objects: of today, opened: by day."""

    datasets: dict[str, list[int]] = {}
    opened: Level = msgspec.field(default_factory=Level)
    objects: list[str] = []


class Everything(Detector[Taken]):
    """Facts: records, of (how many the dataset has), share (percent), before (30 days before); or objects, usual."""

    code = "everything"
    whats = frozenset({"lookup", "open"})
    state = Taken

    def step(self, state: Taken, event: Event) -> tuple[Signal, ...]:
        """What was found, or opened."""
        if not event.allowed:
            return NOTHING
        return self._lookup(state, event) if event.what == "lookup" else self._open(state, event)

    def _lookup(self, state: Taken, event: Event) -> tuple[Signal, ...]:
        if not event.records or event.dataset_records < LEAST_RECORDS:
            return NOTHING
        window = event.time_us // (WINDOW_DAYS * DAY_US)
        key = event.dataset[:_SHORT]
        taken = state.datasets.get(key)
        if taken is None:
            if len(state.datasets) >= _MOST_DATASETS:
                del state.datasets[min(state.datasets, key=lambda each: (state.datasets[each][0], each))]
            taken = state.datasets[key] = [window, 0, 0, 0]
        if window > taken[0]:
            taken[:] = [window, 0, taken[1] if window == taken[0] + 1 else 0, 0]
        taken[1] += event.records
        much = max(LEAST_RECORDS, SHARE * event.dataset_records, TIMES_BEFORE * taken[2])
        if taken[3] or taken[1] < much:
            return NOTHING
        taken[3] = 1
        facts: dict[str, Fact] = {
            "records": taken[1],
            "of": event.dataset_records,
            "share": round(100 * taken[1] / event.dataset_records, 1),
            "before": taken[2],
        }
        return (signal(self, "low", event, facts),)

    def _open(self, state: Taken, event: Event) -> tuple[Signal, ...]:
        opened = state.opened
        day = event.time_us // DAY_US
        if day > opened.period:
            turn(opened, day, 1.0, None)
            state.objects = []
        key = event.object[:_SHORT]
        if key in state.objects:
            return NOTHING
        if len(state.objects) < _MOST_OBJECTS:
            state.objects = [*state.objects, key]
        opened.amount += 1
        normal = usual(opened, None)
        is_much = opened.amount >= LEAST_OBJECTS and opened.amount >= TIMES_OBJECTS * normal
        if opened.told or not is_much or not knows(opened, None, KNOWN_DAYS):
            return NOTHING
        opened.told = 1
        return (signal(self, "low", event, {"objects": int(opened.amount), "usual": round(normal, 1)}),)
