"""Calendar windows in the organisation's time zone, and comparing charges with the ledger. Pure.

Windows of one kind never overlap and leave no moment out, also where clocks are set forward or back, and where a zone
skips a whole day: a window begins at the first moment at which its calendar period has begun, and ends where the next
one begins (docs/decisions/0005-budgets.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import groupby
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keten.budgets.model import Charge, Recorded, Window
from keten.core.clock import SECOND, to_us
from keten.core.errors import Invalid

T = TypeVar("T", Charge, Recorded)
PERIODS = ("hour", "day", "week", "month")
LONGEST_DAYS = 32  # no window is longer: a month of 31 days and a clock set back
_HOUR_US = 3600 * SECOND
_DAY_US = 24 * _HOUR_US
_EARLIEST_US = 0
_LATEST_US = to_us(datetime(9000, 1, 1, tzinfo=UTC))


@lru_cache(maxsize=16)
def zone(name: str) -> tzinfo:
    """A time zone by its IANA name. Raises `Invalid` ("timezone-unknown")."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid("timezone-unknown", f"There is no time zone {name!r}.", str(error)) from error


def window(at_us: int, per: str, tz: tzinfo) -> Window:
    """The window that a moment falls in.

    Raises `Invalid` ("budget-window") for another word than hour, day, week, month, or a moment out of range.
    """
    if per not in PERIODS:
        raise Invalid("budget-window", f"A budget is per {', '.join(PERIODS)}; not per {per!r}.")
    if not _EARLIEST_US <= at_us < _LATEST_US:
        raise Invalid("budget-window", "A moment is out of range.", str(at_us))
    if per == "hour":
        return _hour(at_us, tz)
    first = _period_start(_local(at_us, tz).date(), per)
    start, end = _midnight(first, tz), _midnight(_next_period(first, per), tz)
    # After a clock was set back over midnight, the date on the clock can be that of a period that is over already.
    while at_us >= end:
        first = _next_period(first, per)
        start, end = end, _midnight(_next_period(first, per), tz)
    return Window(start, end)


def kept_from(at_us: int, tz: tzinfo) -> int:
    """The start of the oldest window that a moment falls in: what was charged before it counts nowhere any more."""
    return min(window(at_us, per, tz).start_us for per in PERIODS)


def disagreements(charges: Iterable[Charge], recorded: Iterable[Recorded], since_us: int) -> Iterator[str]:
    """Where stored charges and the entries that made them differ; both in the order of their entries.

    `recorded` holds every opening under a budget; what was charged before `since_us` need not be stored any more.
    """
    said = _by_entry(recorded)
    entry = next(said, None)
    for index, stored in _by_entry(charges):
        while entry is not None and entry[0] < index:
            yield from _unstored(entry[1], since_us)
            entry = next(said, None)
        if entry is None or entry[0] != index:
            for charge in stored:
                yield f"a charge of object {charge.object} names entry {index}, which opened nothing under a budget"
            continue
        yield from _compared(stored, entry[1], since_us)
        entry = next(said, None)
    while entry is not None:
        yield from _unstored(entry[1], since_us)
        entry = next(said, None)


def _by_entry(some: Iterable[T]) -> Iterator[tuple[int, list[T]]]:
    for index, each in groupby(some, key=lambda one: one.idx):
        yield index, list(each)


def _compared(stored: list[Charge], said: list[Recorded], since_us: int) -> Iterator[str]:
    """The charges of one entry: those that are as it says are taken out, of what is left each is told once."""
    left = {(one.grant, one.client, one.object, one.window_us, one.charged, one.at_us): one for one in said}
    wrong = [
        charge
        for charge in stored
        if left.pop(
            (charge.grant, charge.client, charge.object, charge.window_start_us, charge.records, charge.at_us), None
        )
        is None
    ]
    rest = list(left.values())
    for charge in wrong:
        if rest:
            rest.pop()
        yield f"the charge of object {charge.object} differs from what entry {charge.idx} says"
    yield from _unstored(rest, since_us)


def _unstored(said: Iterable[Recorded], since_us: int) -> Iterator[str]:
    for entry in said:
        if entry.charged > 0 and entry.window_us >= since_us:
            yield f"what entry {entry.idx} charged for object {entry.object} is not stored"


def _hour(at_us: int, tz: tzinfo) -> Window:
    """Moments with the same date and hour on the clock and the same offset from UTC: at most 60 minutes.

    An hour that the clock shows twice is two windows; a change of the clock within an hour divides it.
    """
    offset = _offset_us(at_us, tz)
    start = at_us - (at_us + offset) % _HOUR_US
    end = start + _HOUR_US
    if _offset_us(start, tz) != offset:
        start = _change(start, at_us, tz)
    if _offset_us(end - 1, tz) != offset:
        end = _change(at_us, end - 1, tz)
    return Window(start, end)


def _period_start(day: date, per: str) -> date:
    if per == "day":
        return day
    return day - timedelta(days=day.weekday()) if per == "week" else day.replace(day=1)


def _next_period(first: date, per: str) -> date:
    if per == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if per == "week" else 1)


@lru_cache(maxsize=64)
def _midnight(day: date, tz: tzinfo) -> int:
    """The first moment at which a zone's calendar shows `day` or later."""
    local = datetime.combine(day, time(), tz)  # fold 0: of a midnight that comes twice, the first
    earlier, later = to_us(local.replace(fold=1)), to_us(local)
    if earlier >= later:
        return later
    return _change(earlier, later, tz)  # no such midnight: clocks were set forward over it


def _change(before_us: int, after_us: int, tz: tzinfo) -> int:
    """The moment between two moments at which the offset of the second one begins."""
    offset = _offset_us(after_us, tz)
    while after_us - before_us > 1:
        middle = (before_us + after_us) // 2
        if _offset_us(middle, tz) == offset:
            after_us = middle
        else:
            before_us = middle
    return after_us


def _local(at_us: int, tz: tzinfo) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).astimezone(tz)


def _offset_us(at_us: int, tz: tzinfo) -> int:
    offset = _local(at_us, tz).utcoffset()
    return 0 if offset is None else offset // timedelta(microseconds=1)
