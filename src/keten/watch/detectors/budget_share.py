"""Many times the usual amount, and much of the budget with it: a theft ends before half of what the owner allows.

A day's records are told in usual days: divided by what is usual for the principal, and by how busy its peers were the
day before (a quarter's end is busy for all of them; at most 2.2 times). Defaults, for whoever is known for eight days:

- `high` past eight usual days and 30 % of the day's budget.
- `high` past four usual days and 40 % by a principal that comes back to records, but not now: whoever works returns to
  cases, whoever copies takes each record once. Past five and 45 % for others without a tenth of repeats.
- `high` past 40 % of the month's budget, when the last k active days together were past 1 + 3/√k usual ones, for a k
  from 3 to 20. (Known for 15 days.)

Programs (a fifth of its requests ask several keys, or it fetches files) have days of any size: `high` past nine usual
days and 30 %, or past 45 % of the month's and 1 + 5.5/√k; `medium` past six and 42 %; known for 15 (25) days.
"""

from __future__ import annotations

import math

import msgspec

from keten.watch.detectors.baseline import Level, turn, usual
from keten.watch.detectors.detector import DAY_US, NOTHING, Comparing, signal
from keten.watch.model import Event, Fact, Severity, Signal


class Much(msgspec.Struct, frozen=True):
    """share: of the day's budget, in thousandths. times: usual days. known: days with something on them, its own."""

    share: int
    times: float
    known: float = 8.0


class Long(msgspec.Struct, frozen=True):
    """share: of the month's budget, in thousandths. more: past 1 + more/√days usual days. known: as in `Much`."""

    share: int
    more: float
    known: float


MANY, MANY_PROGRAM = Much(300, 8.0), Much(300, 9.0, 15.0)
STEP_PROGRAM = Much(420, 6.0)
COPIES, ONCE = Much(400, 4.0), Much(450, 5.0)
LONG, LONG_PROGRAM = Long(400, 3.0, 15.0), Long(450, 5.5, 25.0)
KNOWN = 8.0
BUSIEST = 2.2
DAYS = 20
FEWEST_DAYS = 3
PROGRAM = 0.2
COMES_BACK, NO_REPEATS = 0.02, 0.1
_MOST_TIMES = 12.0
_CLIP = 4.0
_PRIOR = 2.0  # peers that were as busy as usual
_STALE_DAYS = 4
_SURE = 50.0  # keys that are taken to have been asked once, before
_REMEMBERED = 2000.0
HIGH = 2
_RANKS: tuple[Severity, ...] = ("low", "medium", "high")


class Busy(msgspec.Struct, gc=False, array_like=True):
    """How many usual days its peers had, in sum, and how many these are: on the newest day, and on the one before."""

    day: int = -1
    times: float = 0.0
    peers: int = 0
    before_day: int = -1
    before_times: float = 0.0
    before_peers: int = 0


class Use(msgspec.Struct, gc=False, array_like=True):
    """level: records by day. times: usual days in each of the last active days, the newest last; now: today.

    said, said_before, before_day: what it added to its peers' sum, today and on its active day before.
    requests, several: lookups in all and those of several keys; keys, again: keys found, and those of records that it
    had received: both of the days before today (the newest 2,000 count), and today's. long_start, long_last: how full
    its long window was as the day began, and is. entry: today's first.
    """

    level: Level = msgspec.field(default_factory=Level)
    times: list[float] = []
    now: float = 0.0
    said: float = 0.0
    said_before: float = 0.0
    before_day: int = -1
    requests: float = 0.0
    several: float = 0.0
    keys: float = 0.0
    again: float = 0.0
    requests_today: int = 0
    several_today: int = 0
    keys_today: int = 0
    again_today: int = 0
    long_start: int = 0
    long_last: int = 0
    entry: str = ""


class BudgetShare(Comparing[Use, Busy]):
    """Facts: share (of its budget), records (today), usual (a day), days (together), repeats (of keys; percent)."""

    code = "budget-share"
    whats = frozenset({"lookup", "open"})
    state = Use
    shared = Busy

    def compare(self, state: Use, shared: Busy, event: Event) -> tuple[Signal, ...]:
        """What was received, with what was received before it today, and in the days before."""
        if not event.allowed:
            return NOTHING
        level = state.level
        day = event.time_us // DAY_US
        if day > level.period:
            self._turn(state, day, event)
        level.amount += event.records
        state.long_last = event.used_long or state.long_last
        if event.what == "lookup":
            found = max(0, event.asked - event.missed)
            state.requests_today += 1
            state.several_today += event.asked > 1
            state.keys_today += found
            state.again_today += max(0, found - event.records)
        if not event.records or level.observed < 1.0:
            return NOTHING
        times = level.amount / max(usual(level, None), 1.0)
        busy = _busy(state, shared, day)
        state.now = min(times / busy, _MOST_TIMES)
        self._say(state, shared, day, times)
        place, days = _place(state, event)
        if place <= level.told:
            return NOTHING
        level.told = place
        facts: dict[str, Fact] = {
            "share": round(max(_share(state, event), event.used_long if days > 1 else 0) / 10, 1),
            "records": int(level.amount),
            "usual": round(usual(level, None), 1),
            "days": days,
            "repeats": round(100 * state.again_today / max(state.keys_today, 1), 1),
        }
        return (signal(self, _RANKS[place], event, facts, state.entry),)

    def _turn(self, state: Use, day: int, event: Event) -> None:
        """Another day: what the one before it was is known now."""
        level = state.level
        if level.amount > 0:
            if level.told == HIGH:  # it was told: what led to it is not told again of the days that follow
                state.times = []
            elif level.observed >= 1.0:
                state.times = [*state.times[-(DAYS - 2) :], round(state.now, 3)]
            state.said_before, state.before_day = state.said, level.period
            state.keys, state.again = _decayed(state.keys + state.keys_today, state.again + state.again_today)
            state.requests, state.several = _decayed(
                state.requests + state.requests_today, state.several + state.several_today
            )
        turn(level, day, 1.0, None)
        state.now = state.said = 0.0
        state.requests_today = state.several_today = state.keys_today = state.again_today = 0
        state.long_start = state.long_last if state.long_last <= event.used_long else 0
        state.entry = event.id

    def _say(self, state: Use, shared: Busy, day: int, times: float) -> None:
        """Add to the peers' sum of today, once it is known what is usual."""
        if state.level.observed < KNOWN or day < shared.day or state.level.period != day:
            return
        if day > shared.day:
            shared.before_day, shared.before_times, shared.before_peers = shared.day, shared.times, shared.peers
            shared.day, shared.times, shared.peers = day, 0.0, 0
        now = min(times, _CLIP)
        shared.peers += state.said == 0.0
        shared.times += now - state.said
        state.said = now


def _decayed(every: float, odd: float) -> tuple[float, float]:
    if every <= _REMEMBERED:
        return every, odd
    return _REMEMBERED, odd * _REMEMBERED / every


def _busy(state: Use, shared: Busy, day: int) -> float:
    """How busy its peers were on the newest day before this one, itself left out."""
    if 0 <= shared.day < day:
        at, times, peers = shared.day, shared.times, shared.peers
    else:
        at, times, peers = shared.before_day, shared.before_times, shared.before_peers
    if at < 0 or day - at > _STALE_DAYS:
        return 1.0
    if state.before_day == at and state.said_before > 0.0:
        times, peers = times - state.said_before, peers - 1
    return max(1.0, min((times + _PRIOR) / (peers + _PRIOR), BUSIEST))


def _share(state: Use, event: Event) -> int:
    """How much of a day's budget is used, in thousandths; of a longer one what was used of it today."""
    return event.used_day or max(0, event.used_long - state.long_start)


def _place(state: Use, event: Event) -> tuple[int, int]:
    """The rank of what is to be said (0: nothing), and of how many active days together."""
    is_program = event.what == "open" or state.several > PROGRAM * state.requests
    is_long, many = (LONG_PROGRAM, MANY_PROGRAM) if is_program else (LONG, MANY)
    observed, now, share = state.level.observed, state.now, _share(state, event)
    if observed >= is_long.known and event.used_long >= is_long.share:
        days = _together(state, is_long.more)
        if days:
            return 2, days
    if observed < many.known or share < many.share:
        return 0, 0
    if now >= many.times or (not is_program and _copies(state, share)):
        return 2, 1
    return (1, 1) if is_program and share >= STEP_PROGRAM.share and now >= STEP_PROGRAM.times else (0, 0)


def _copies(state: Use, share: int) -> bool:
    """Whether it takes each record once, and many."""
    back = state.again / (state.keys + _SURE)
    repeats = state.again_today / max(state.keys_today, 1)
    if back >= COMES_BACK and repeats < min(back, NO_REPEATS) and share >= COPIES.share and state.now >= COPIES.times:
        return True
    return repeats < NO_REPEATS and share >= ONCE.share and state.now >= ONCE.times


def _together(state: Use, more: float) -> int:
    """The fewest days, from three to twenty, that together were past 1 + more/√days usual ones; 0: none were."""
    total = state.now
    for days, times in enumerate(reversed(state.times), 2):
        total += times
        if days >= FEWEST_DAYS and total / days >= 1 + more / math.sqrt(days):
            return days
    return 0
