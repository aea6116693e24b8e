"""Days of the world: when they begin on the clock of Amsterdam, and how much is done on them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from keten.core.clock import to_us

ZONE = ZoneInfo("Europe/Amsterdam")
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LAST = date(2027, 12, 31)  # the holidays below go no further

# Public holidays in the Netherlands, and the weeks in which schools are closed (where most regions overlap).
HOLIDAYS = frozenset(
    [date(2026, month, day) for month, day in [(1, 1), (4, 3), (4, 6), (4, 27), (5, 5), (5, 14), (5, 25), (12, 25)]]
    + [date(2027, month, day) for month, day in [(1, 1), (3, 26), (3, 29), (4, 27), (5, 5), (5, 6), (5, 17)]]
)
QUIET_WEEKS = (
    (date(2026, 2, 16), date(2026, 2, 27)),
    (date(2026, 4, 27), date(2026, 5, 3)),
    (date(2026, 7, 6), date(2026, 8, 28)),
    (date(2026, 10, 17), date(2026, 10, 25)),
    (date(2026, 12, 19), date(2027, 1, 3)),
)
BY_WEEKDAY = (1.1, 1.05, 0.95, 1.05, 0.8)  # Monday to Friday
QUIET = 0.7


class Day:
    """One day. `start_us`: its midnight on the clock. `pace`: how much is done, where 1 is an ordinary working day."""

    __slots__ = ("date", "month", "number", "pace", "start_us", "weekday", "working")

    def __init__(self, first: date, number: int) -> None:
        self.number = number
        self.date = first + timedelta(days=number)
        self.start_us = to_us(datetime.combine(self.date, time(), ZONE))
        self.weekday = self.date.weekday()
        self.working = self.weekday < 5 and self.date not in HOLIDAYS
        self.month = self.date.year * 12 + self.date.month - 1
        quiet = any(begin <= self.date <= end for begin, end in QUIET_WEEKS)
        self.pace = BY_WEEKDAY[min(self.weekday, 4)] * (QUIET if quiet else 1.0)


@lru_cache(maxsize=1024)
def day(first: date, number: int) -> Day:
    """The day that is `number` days after `first`."""
    return Day(first, number)


def quarter_ends(first: date, days: int) -> list[tuple[int, int]]:
    """For each end of a quarter within the world: the numbers of the first and the last of its busy days."""
    found = []
    for number in range(days):
        today = first + timedelta(days=number)
        if today.month % 3 == 1 and today.day == 1:
            begin, end = max(0, number - 4), min(days - 1, number + 3)
            if begin < number <= end:
                found.append((begin, end))
    return found


def clock_changes(first: date, days: int) -> list[int]:
    """The days on which the clock is set forward or back."""
    return [
        number for number in range(days - 1) if day(first, number + 1).start_us - day(first, number).start_us != DAY
    ]
