"""When a contract starts and ends: a date means the organisation's day, a time with offset means that moment.

A day does not always begin at 00:00, nor does 00:00 always come once: where the clock is set forward over midnight
the day begins later, and where it is set back over midnight the day before goes on for a while.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo, available_timezones

from keten.core.clock import to_us

D = TypeVar("D", bound=date)

FIRST_YEAR, LAST_YEAR = 1970, 9998  # every moment must be one that can be written down, its day's end included
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2})?"
    r"(?P<fraction>\.[0-9]*)?(?P<offset>[Zz]|[+-][0-9]{2}:[0-9]{2})?\Z"
)
_SHAPE = "write a date such as 2026-12-31, or a time with offset such as 2026-12-31T17:00:00+01:00"
_NOT_PLACES = {"localtime", "Factory"}  # names that stand for whatever a machine is set to


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The IANA time zones that are known here."""
    return frozenset(available_timezones() - _NOT_PLACES)


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo | None:
    """The time zone of this name; None when there is none."""
    return ZoneInfo(name) if name in zone_names() else None


def start_us(text: str, where: ZoneInfo) -> int:
    """The moment from which `text` holds: the start of that day, or that moment. `ValueError` says what is wrong."""
    return _moment(text, where, end=False)


def end_us(text: str, where: ZoneInfo) -> int:
    """The moment up to which, and not at which, `text` holds: the end of that day, or that moment. `ValueError`."""
    return _moment(text, where, end=True)


def day_start_us(day: date, where: ZoneInfo) -> int:
    """The first moment whose local date is `day` (or later, where the calendar skips that day)."""
    early, late = _midnights(day, where)
    return early if early <= late else _turn(day, where, late, early)


def day_end_us(day: date, where: ZoneInfo) -> int:
    """The moment after the last one whose local date is `day`."""
    after = day + timedelta(days=1)
    early, late = _midnights(after, where)
    if early > late:
        return _turn(after, where, late, early)
    return late if _local_date(late - 1, where) <= day else early


def _midnights(day: date, where: ZoneInfo) -> tuple[int, int]:
    """00:00 of a day as read by the offset before and after a change of the clock; in a gap the first is later."""
    midnight = datetime.combine(day, time(), where)
    return to_us(midnight), to_us(midnight.replace(fold=1))


def _turn(day: date, where: ZoneInfo, before: int, after: int) -> int:
    """Midnight is skipped: the moment in (before, after] when the clock is set forward into `day`."""
    while after - before > 1:
        middle = (before + after) // 2
        if _local_date(middle, where) < day:
            before = middle
        else:
            after = middle
    return after


def _local_date(us: int, where: ZoneInfo) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).astimezone(where).date()


def _moment(text: str, where: ZoneInfo, *, end: bool) -> int:
    if _DATE.match(text):
        day = _existing(date.fromisoformat, text)
        return day_end_us(day, where) if end else day_start_us(day, where)
    shape = _TIME.match(text)
    if shape is None:
        raise ValueError(_SHAPE)
    if shape["fraction"]:
        raise ValueError("starts and ends hold to the second: leave out the fraction")
    if not shape["offset"]:
        raise ValueError("a time needs an offset, such as Z or +01:00")
    return to_us(_existing(datetime.fromisoformat, text.upper()))


def _existing(read: Callable[[str], D], text: str) -> D:
    """What the calendar has under this text, within the years that can be used."""
    try:
        found = read(text)
    except ValueError as error:
        raise ValueError(f"there is no such day or time; {_SHAPE}") from error
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValueError(f"the year must be one of {FIRST_YEAR} to {LAST_YEAR}")
    return found
