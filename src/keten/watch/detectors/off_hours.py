"""At an hour at which this principal was never seen, by its own rhythm: by hour (UTC), on weekdays and at weekends.

Default: `low`, once a day, after 20 days of use over four weeks. The hours next to a known one count as known (summer
time, an early start). Whoever works at any hour has no off-hours.
"""

from __future__ import annotations

import msgspec

from keten.watch.detectors.detector import HOUR_US, NOTHING, Detector, signal
from keten.watch.model import Event, Signal

DAYS = 20
SPAN = 28
ANY_HOUR = 16
"""Known hours of a day (with those next to them) from which on no hour is unusual."""
_ALL = (1 << 24) - 1
_EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday


class Rhythm(msgspec.Struct, gc=False, array_like=True):
    """weekdays, weekends: a bit for each hour seen. since, newest: days; days: on how many; hour: the newest one."""

    weekdays: int = 0
    weekends: int = 0
    since: int = -1
    newest: int = -1
    days: int = 0
    hour: int = -1
    told: int = -1


class OffHours(Detector[Rhythm]):
    """Facts: hour (UTC), weekend (yes, no), days (that its rhythm is known of)."""

    code = "off-hours"
    whats = frozenset({"list", "describe", "open", "lookup"})
    state = Rhythm

    def step(self, state: Rhythm, event: Event) -> tuple[Signal, ...]:
        """The first of an hour."""
        hour = event.time_us // HOUR_US
        if hour <= state.hour or not event.allowed:
            return NOTHING
        state.hour = hour
        day, at = divmod(hour, 24)
        weekend = (day + _EPOCH_WEEKDAY) % 7 >= 5
        if day > state.newest:
            state.since = day if state.since < 0 else state.since
            state.newest = day
            state.days += 1
        known = state.weekends if weekend else state.weekdays
        is_new = not _near(known) >> at & 1
        if weekend:
            state.weekends |= 1 << at
        else:
            state.weekdays |= 1 << at
        if not is_new or state.days < DAYS or day - state.since < SPAN or state.told == day:
            return NOTHING
        if _near(state.weekdays).bit_count() >= ANY_HOUR:
            return NOTHING
        state.told = day
        return (signal(self, "low", event, {"hour": at, "weekend": "yes" if weekend else "no", "days": state.days}),)


def _near(hours: int) -> int:
    """Hours with those next to them, around midnight too."""
    return hours | (hours << 1 | hours >> 23) & _ALL | (hours >> 1 | (hours & 1) << 23)
