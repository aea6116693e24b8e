"""What went to each supplier on each day, by each way, since it was reported last. Bounded, whatever a log says."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from keten.core.clock import SECOND
from keten.identity.strangers import UNKNOWN, network_of
from keten.watch.flows.model import UNSIZED, DayOf, Flow, LinkOf
from keten.watch.model import MOST_LINKS

DAY_US = 86_400 * SECOND
REMEMBERED = 50_000
"""Flows that are known again when they come a second time."""
MOST_SUMS = 256
"""Suppliers and days; one more, and what there is has to be reported first."""
MOST_WAYS = 512
REST = "…"
"""The target of a link that stands for all that are too small to be told."""
Way = tuple[str, str, str]


class Sum(msgspec.Struct, array_like=True):
    """bytes, flows, and of how many flows nobody said how much was sent."""

    bytes: int = 0
    flows: int = 0
    unsized: int = 0


class Sums(msgspec.Struct):
    """by_day: (supplier, day) → way (target, outside and inside network) → sum. recent: ids of flows, oldest first.

    newest_us: the newest flow. doubled: flows that came a second time. up_to_us: what is not newer was reported
    already, by a worker whose memory was lost.
    """

    by_day: dict[tuple[str, int], dict[Way, Sum]] = {}
    recent: dict[bytes, bool] = {}
    newest_us: int = 0
    doubled: int = 0
    up_to_us: int = 0

    @property
    def is_full(self) -> bool:
        """Whether it has to be reported before more is added."""
        return len(self.by_day) >= MOST_SUMS

    def add(self, flow: Flow, now_us: int) -> None:
        """Count a flow, once. What is dated after now, by a clock that is ahead, counts for today."""
        if flow.uid in self.recent:
            self.doubled += 1
            return
        self.recent[flow.uid] = True
        if len(self.recent) > 2 * REMEMBERED:
            self.recent = dict.fromkeys(list(self.recent)[-REMEMBERED:], True)
        time_us = min(flow.time_us, now_us)
        if time_us <= self.up_to_us:
            return
        self.newest_us = max(self.newest_us, time_us)
        ways = self.by_day.setdefault((flow.supplier, time_us // DAY_US), {})
        way = (flow.target, _network(flow.outside), _network(flow.inside))
        if way not in ways and len(ways) >= MOST_WAYS:
            way = (REST, "", "")
        found = ways.setdefault(way, Sum())
        found.flows += 1
        if flow.sent == UNSIZED:
            found.unsized += 1
        else:
            found.bytes += flow.sent

    def most(self) -> int:
        """Bytes of the largest day of a supplier."""
        return max((sum(one.bytes for one in ways.values()) for ways in self.by_day.values()), default=0)

    def taken(self) -> tuple[DayOf, ...]:
        """All of it, as it is reported; from now on it is empty."""
        found = tuple(_day(supplier, day, ways) for (supplier, day), ways in sorted(self.by_day.items()))
        self.by_day = {}
        return found


def _day(supplier: str, day: int, ways: dict[Way, Sum]) -> DayOf:
    """The largest links, and what went by all others together."""
    links = [LinkOf(*way, one.bytes, one.flows, one.unsized) for way, one in ways.items()]
    links.sort(key=lambda one: (-one.bytes, -one.flows, one.target, one.outside, one.inside))
    if len(links) > MOST_LINKS:
        rest = links[MOST_LINKS - 1 :]
        total = Sum()
        for one in rest:
            total.bytes += one.bytes
            total.flows += one.flows
            total.unsized += one.unsized
        links[MOST_LINKS - 1 :] = [LinkOf(REST, "", "", total.bytes, total.flows, total.unsized)]
    return DayOf(supplier, day, tuple(links))


@lru_cache(65_536)
def _network(address: str) -> str:
    found = network_of(address.partition("%")[0]) if address else ""
    return "" if found == UNKNOWN else found
