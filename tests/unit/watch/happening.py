"""Events as an honest principal makes them, and as others do, for the tests of the watch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from random import Random
from typing import Any

import msgspec

from keten.watch.detectors.detector import DAY_US, HOUR_US, SECOND_US
from keten.watch.model import Event, Signal

MONDAY_US = 1_780_272_000 * SECOND_US  # 1 June 2026, 0:00 UTC
ADVISER = "adviser" + "a" * 19
OFFICE, ELSEWHERE = "o" * 16, "e" * 16


def event(index: int, time_us: int, **said: Any) -> Event:
    """A lookup of one record that was found, unless something else is said."""
    fields: dict[str, Any] = {
        "what": "lookup",
        "allowed": True,
        "principal": ADVISER,
        "supplier": "supplier",
        "dataset": "dataset",
        "contract": "contract",
        "purpose": "benefits",
        "records": 1,
        "asked": 1,
        "country": "NL",
        "network": OFFICE,
        "dataset_records": 1_000_000,
        "key": "",
    }
    if said.get("what", "lookup") != "lookup":
        fields |= {"records": 0, "asked": 0}
    if said.get("missed") or said.get("allowed") is False:
        fields["records"] = 0
    return Event(index=index, id=f"{index:026d}", time_us=time_us, **(fields | said))


class Days:
    """Makes events with rising indexes. `rng`: seeded, so that each test sees the same."""

    def __init__(self, seed: int = 1) -> None:
        self.rng = Random(seed)
        self._indexes = count()

    def one(self, time_us: int, **said: Any) -> Event:
        """An event at a moment."""
        return event(next(self._indexes), time_us, **said)

    def work(self, days: Iterable[int], lookups: int = 20, **said: Any) -> Iterator[Event]:
        """Working days: a sign-in at nine, then lookups until about four, a few of them misses."""
        for day in days:
            begin = MONDAY_US + day * DAY_US + 9 * HOUR_US + self.rng.randrange(1800) * SECOND_US
            yield self.one(begin, **({"what": "sign-in", "key": "SHA256:usual"} | _who(said)))
            many = max(1, round(lookups * self.rng.uniform(0.6, 1.4)))
            for number in range(many):
                missed = int(self.rng.random() < 0.02)
                yield self.one(begin + (60 + number * 20_000 // many) * SECOND_US, missed=missed, **said)

    def at(self, day: int, hour: float, many: int, gap_s: float, **said: Any) -> Iterator[Event]:
        """So many events, one after the other."""
        begin = MONDAY_US + day * DAY_US + int(hour * HOUR_US)
        for number in range(many):
            yield self.one(begin + int(number * gap_s * SECOND_US), **said)


def _who(said: dict[str, Any]) -> dict[str, Any]:
    return {word: said[word] for word in ("principal", "network", "country", "supplier") if word in said}


def codes(signals: Iterable[Signal]) -> list[str]:
    """Which detectors spoke, in order."""
    return [one.detector for one in signals]


def moved(one: Event, **said: Any) -> Event:
    """The same event with something changed."""
    return msgspec.structs.replace(one, **said)
