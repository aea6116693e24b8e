"""What one key has shown before: its networks, countries, keys, purposes. Bounded; the one unseen for longest goes."""

from __future__ import annotations

import msgspec

from keten.watch.detectors.detector import DAY_US

_FORGET_A_DAY = 0.95


class Known(msgspec.Struct, gc=False, array_like=True):
    """seen: value → the day it was seen last. since, newest: first and newest day. days: on how many it was seen.

    fresh: how many values were new, of late (a day ago counts 0.95).
    """

    seen: dict[str, int] = {}
    since: int = -1
    newest: int = -1
    days: int = 0
    fresh: float = 0.0


def meets(known: Known, value: str, time_us: int, most: int) -> bool:
    """Remember a value; whether it is a new one, after others. `most`: how many are remembered."""
    day = time_us // DAY_US
    if day > known.newest:
        if known.newest >= 0:
            known.fresh *= _FORGET_A_DAY ** min(day - known.newest, 365)
        else:
            known.since = day
        known.newest = day
        known.days += 1
    seen = known.seen
    before = seen.get(value)
    if before is not None:
        if day > before:
            seen[value] = day
        return False
    is_first = not seen
    if len(seen) >= most:
        oldest = min(seen, key=lambda each: (seen[each], each))
        del seen[oldest]
    seen[value] = day
    if is_first:
        return False
    known.fresh += 1.0
    return True


def is_settled(known: Known, days: int, span: int) -> bool:
    """Whether it was seen on at least so many days, over at least such a span of days."""
    return known.days >= days and known.newest - known.since >= span
