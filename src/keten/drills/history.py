"""Four weeks of ordinary work, made up, so that the watch of a drill's instance knows its advisers as one in use would.

Made after one real sign-in and one real lookup of each: the same network, key, grant and purpose, other times. The
hours of work are those around the drill's own, whenever that is.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path

import msgspec

from keten.core.clock import SECOND
from keten.watch.detectors import default
from keten.watch.engine import Engine
from keten.watch.model import Event

DAY_US = 86_400 * SECOND
DAYS = 28
HALF_SHIFT_US = 4 * 3600 * SECOND
USUAL = 18
"""People that an adviser looks up on a working day."""
_SPREAD = 6.0
_MISSES = 0.02
_REST = (3, 4)  # days of the week without work, counted from the drill's own


class Known(msgspec.Struct, frozen=True):
    """What an adviser's events look like: a sign-in and a lookup of its own, as the ledger has them."""

    sign_in: Event
    lookup: Event


def known_from(events: Iterable[Event]) -> dict[str, Known]:
    """By principal, of whoever has signed in and looked somebody up."""
    signed: dict[str, Event] = {}
    looked: dict[str, Event] = {}
    for event in events:
        if event.allowed and event.what == "sign-in":
            signed[event.principal] = event
        elif event.allowed and event.records and event.what == "lookup":
            looked[event.principal] = event
    return {one: Known(signed[one], looked[one]) for one in looked if one in signed}


def works(day: int) -> bool:
    """Whether a day is a working one; `day`: counted from the drill's own, before it or after."""
    return day % 7 not in _REST


def ordinary(known: Mapping[str, Known], now_us: int, days: range) -> Iterator[Event]:
    """The work of all of them on these days, counted from the drill's own: the same each time, in the order of time."""
    for day in days:
        if not works(day):
            continue
        events: list[Event] = []
        for number, one in enumerate(known.values()):
            chance = random.Random(f"{number} {day}")  # noqa: S311  # made-up work is no secret
            begin_us = now_us + day * DAY_US - HALF_SHIFT_US + chance.randrange(1800 * SECOND)
            events.append(_again(one.sign_in, begin_us))
            for _ in range(max(3, round(chance.gauss(USUAL, _SPREAD)))):
                at_us = begin_us + 60 * SECOND + chance.randrange(2 * HALF_SHIFT_US - 2000 * SECOND)
                found = chance.random() >= _MISSES
                events.append(_again(one.lookup, at_us, records=int(found), missed=int(not found)))
        events.sort(key=attrgetter("time_us"))
        yield from events


def stolen(one: Known, now_us: int, day: int, records: int) -> Iterator[Event]:
    """The lookups of somebody who shares a login on a working day, evenly over its hours."""
    gap_us = (2 * HALF_SHIFT_US - 2400 * SECOND) // max(1, records)
    first_us = now_us + day * DAY_US - HALF_SHIFT_US + 2100 * SECOND
    for number in range(records):
        yield _again(one.lookup, first_us + number * gap_us)


def teach(folder: Path, events: Iterable[Event], cursor: int) -> None:
    """Have an instance's detectors learn from these, and nothing else, while its worker does not run.

    folder: where the worker's detectors keep what they know. cursor: index of the first entry that is still to be
    shown to them. Raises `Unavailable`.
    """
    engine = Engine(default(), folder)
    try:
        engine.begin_anew()
        for event in events:
            engine.learn(event)
        engine.save(cursor)
    finally:
        engine.close()


def _again(event: Event, time_us: int, *, records: int = 1, missed: int = 0) -> Event:
    if event.what != "lookup":
        return msgspec.structs.replace(event, time_us=time_us)
    return msgspec.structs.replace(event, time_us=time_us, records=records, asked=1, missed=missed, near=0)
