"""The clock that decisions use: microseconds since 1970 UTC, never before the newest entry (law 5).

The effective time is the wall clock, held from going backwards, as long as the wall clock agrees with the
monotonic clock to within `TOLERANCE_US`; a jump, or several steps that add up to one, stops serving until an operator
accepts it. A clock that was accepted behind the newest entry makes effective time stand still until it has caught up.
What others dated by their own clocks is compared with `outside`, which goes on (docs/architecture.md, "Time").
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from keten.core.errors import Unavailable

SECOND = 1_000_000
DAY = 86_400 * SECOND
TOLERANCE_US = 30 * SECOND
OBSERVED_US = SECOND // 10
FAR_US = 3600 * SECOND
"""How far effective time may be ahead of `outside` while content is still destroyed by it."""
FOLLOWED = 100
"""One part in so many: how much faster or slower than the monotonic clock a wall clock may go (NTP slews it)."""


def wall_us() -> int:
    """The machine's wall clock in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def monotonic_us() -> int:
    """A clock that nobody sets, in microseconds from an unknown start."""
    return time.monotonic_ns() // 1000


class Clock:
    """Effective time for one process. `floor_us`: the time of the newest entry when the process started."""

    def __init__(
        self,
        floor_us: int = 0,
        wall: Callable[[], int] = wall_us,
        monotonic: Callable[[], int] = monotonic_us,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._reading = threading.RLock()  # the writer's thread looks as well
        self._effective = floor_us
        self._outside = wall()
        self._anchor()
        self.held: Unavailable | None = None
        """Why nothing is served although the clock is right: what `now` raises, until somebody takes it away."""
        self.jumped = ""
        if self._offset + self._monotonic() < floor_us - TOLERANCE_US:
            self.jumped = (
                f"the clock says {rfc3339(self._wall())}, before the newest entry of {rfc3339(floor_us)}; "
                "set the clock right, or accept it with 'keten doctor --accept-clock'"
            )

    def _anchor(self) -> None:
        self._seen = self._monotonic()
        self._offset = self._wall() - self._seen

    def _observe(self) -> int:
        """The wall clock, as every reader looks at it first: a jump is in `jumped` before anything follows it."""
        wall, monotonic = self._wall(), self._monotonic()
        drift = wall - monotonic - self._offset
        if abs(drift) > TOLERANCE_US and not self.jumped:
            self.jumped = (
                f"the clock jumped by {drift / SECOND:+.0f} s to {rfc3339(wall)}; "
                "check it, then accept it with 'keten doctor --accept-clock'"
            )
        # Slow adjustments are followed, so that they never add up to a "jump"; steps are not, so that they do.
        if not self.jumped and monotonic - self._seen >= OBSERVED_US:
            most = (monotonic - self._seen) // FOLLOWED
            self._offset += max(-most, min(most, drift))
            self._seen = monotonic
        return wall

    def now(self) -> int:
        """Effective time in microseconds; `Unavailable`: "clock-jumped" once the wall clock has jumped, or `held`."""
        with self._reading:
            effective = self.recording_time()
            if self.held is not None:
                raise Unavailable(self.held.code, self.held.public, self.held.reason)
            if self.jumped:
                public = "Nothing is served until an operator has looked at the clock."
                raise Unavailable("clock-jumped", public, self.jumped)
            return effective

    def recording_time(self) -> int:
        """A time to record with, also while serving is stopped: never before the newest entry, never an error."""
        with self._reading:
            wall = self._observe()
            if not self.jumped:
                self._effective = max(self._effective, wall)
            return self._effective

    def outside(self) -> int:
        """The wall clock, to compare with what others dated by theirs, and for what lasts minutes; never an error.

        As effective time, it does not go backwards and does not follow a jump; but what an operator accepts, it follows
        back as well.
        """
        with self._reading:
            wall = self._observe()
            if not self.jumped:
                self._outside = max(self._outside, wall)
            return self._outside

    def is_far_ahead(self) -> bool:
        """Whether effective time is of a clock that was ahead: too far to destroy anything by it."""
        with self._reading:
            return self.recording_time() - self.outside() > FAR_US

    def accept(self) -> int:
        """An operator has looked: serve again from the present wall clock (or the newest entry, if that is later)."""
        with self._reading:
            self.jumped = ""
            self._outside = self._wall()
            self._anchor()
            return self.recording_time()


@lru_cache(256, typed=True)  # the end of a contract, say, stands in many entries
def rfc3339(us: int) -> str:
    """Microseconds as RFC 3339 in UTC, always with six digits of fraction."""
    return f"{_second(us // SECOND)}.{us % SECOND:06d}Z"


def moment(us: int) -> str:
    """Microseconds as people read them, to the second: "2026-11-29 14:05:09 UTC"."""
    return f"{_second(us // SECOND).replace('T', ' ')} UTC"


@lru_cache(256)  # neighbouring entries are often of one second, and this part takes most of the time
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def from_rfc3339(text: str) -> int:
    """RFC 3339 with an offset as microseconds; `ValueError` when it is not that (a time without offset included)."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset, such as Z or +01:00")
    return to_us(moment)


def to_us(moment: datetime) -> int:
    """An aware datetime as microseconds since 1970 UTC, exactly."""
    delta = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds
