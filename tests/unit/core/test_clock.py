"""Effective time: never backwards, follows small drifts, and stops at a jump until somebody has looked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.clock import FAR_US, SECOND, TOLERANCE_US, Clock, from_rfc3339, rfc3339, to_us
from keten.core.errors import Unavailable

START = 1_790_000_000 * SECOND
HOUR = 3600 * SECOND
MOST = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) * SECOND


class Hands:
    """A machine whose clocks are moved by hand."""

    def __init__(self, floor_us: int = 0) -> None:
        self.wall, self.monotonic = START, 5 * SECOND
        self.clock = Clock(floor_us, lambda: self.wall, lambda: self.monotonic)

    def pass_by(self, us: int, jump_us: int = 0) -> None:
        self.monotonic += us
        self.wall += us + jump_us

    def refuses(self) -> bool:
        try:
            self.clock.now()
        except Unavailable as error:
            return error.code == "clock-jumped" and "accept-clock" in error.reason
        return False


def test_it_goes_with_the_wall_clock() -> None:
    hands = Hands()
    assert hands.clock.now() == START
    hands.pass_by(HOUR)
    assert hands.clock.now() == hands.clock.recording_time() == START + HOUR


@pytest.mark.parametrize("jump", [TOLERANCE_US + 1, -TOLERANCE_US - 1, HOUR, -HOUR, 100 * 365 * 24 * HOUR])
def test_a_jump_stops_it_until_it_is_accepted(jump: int) -> None:
    hands = Hands()
    hands.clock.now()
    hands.pass_by(SECOND, jump)
    assert hands.refuses()
    assert hands.clock.recording_time() == START, "what is recorded meanwhile does not follow the jump"
    hands.pass_by(SECOND, -jump)
    assert hands.refuses(), "a second jump, back to where it was, does not heal the first"
    hands.pass_by(SECOND, jump)
    accepted = hands.clock.accept()
    assert accepted == max(START, hands.wall)
    assert hands.clock.jumped == ""
    hands.pass_by(SECOND)
    assert hands.clock.now() >= accepted


def _refused(clock: Clock) -> int:
    with pytest.raises(Unavailable, match="clock-jumped"):
        clock.now()
    return START


READERS: dict[str, Callable[[Clock], int]] = {
    "now": _refused,
    "recording_time": Clock.recording_time,
    "outside": Clock.outside,
    "is_far_ahead": lambda clock: START + clock.is_far_ahead(),
}


@pytest.mark.parametrize("jump", [TOLERANCE_US + 1, -TOLERANCE_US - 1, 400 * 24 * HOUR])
@pytest.mark.parametrize("reader", READERS)
def test_whoever_looks_first_after_a_jump_sees_it(reader: str, jump: int) -> None:
    hands = Hands()
    hands.clock.now()
    hands.pass_by(0, jump)
    assert READERS[reader](hands.clock) == START
    assert "jumped by" in hands.clock.jumped
    hands.pass_by(0, -jump)
    assert hands.refuses(), "right again, but it has jumped"
    assert hands.clock.accept() == hands.clock.recording_time() == hands.clock.outside() == START, "it left no trace"


def test_far_ahead_is_a_clock_that_was_accepted_behind_the_newest_entry() -> None:
    hands = Hands(START + FAR_US + SECOND)
    hands.clock.accept()
    assert hands.clock.is_far_ahead()
    hands.pass_by(SECOND)
    assert not hands.clock.is_far_ahead(), "it has caught up, but for an hour"


@pytest.mark.parametrize("jump", [TOLERANCE_US, -TOLERANCE_US, SECOND, -1])
def test_a_small_drift_is_followed(jump: int) -> None:
    hands = Hands()
    for _ in range(100):
        before = hands.clock.now()
        hands.pass_by(HOUR, jump)
        assert hands.clock.now() >= before
    assert hands.clock.now() == hands.wall


@pytest.mark.parametrize("step", [TOLERANCE_US // 3, -TOLERANCE_US // 3])
@pytest.mark.parametrize("between", [SECOND // 1000, SECOND, 60 * SECOND])
def test_steps_that_are_small_add_up(step: int, between: int) -> None:
    """Who may set the clock can't creep past, a few seconds at a time."""
    hands = Hands()
    hands.clock.now()
    steps = 0
    while not hands.refuses():
        hands.pass_by(between, step)
        steps += 1
        assert steps < 10
    assert steps > 2


def test_slewing_is_followed_however_often_it_is_looked_at() -> None:
    hands = Hands()
    for _ in range(100_000):
        hands.pass_by(1000, 8)
        hands.clock.now()
    for _ in range(20_000):
        hands.pass_by(SECOND, -SECOND // 200)
        hands.clock.now()
    assert hands.clock.jumped == ""


def test_what_others_dated_is_compared_with_a_clock_that_goes_on() -> None:
    """Accepted behind the newest entry, effective time stands still; a supplier's clock does not."""
    hands = Hands(START + HOUR)
    assert hands.clock.outside() == START
    hands.pass_by(SECOND)
    assert hands.clock.outside() == START, "nobody has looked yet"
    hands.clock.accept()
    hands.pass_by(SECOND)
    assert hands.clock.outside() == START + 2 * SECOND
    assert hands.clock.now() == START + HOUR
    hands.pass_by(SECOND, -10 * SECOND)
    assert hands.clock.outside() == START + 2 * SECOND, "a small step back is held"
    hands.pass_by(SECOND, 2 * HOUR)
    assert hands.refuses()
    assert hands.clock.outside() == START + 2 * SECOND, "a jump is not followed"
    hands.clock.accept()
    assert hands.clock.outside() == hands.clock.now() == hands.wall


def test_a_step_back_within_the_tolerance_does_not_go_back() -> None:
    hands = Hands()
    assert hands.clock.now() == START
    hands.pass_by(0, -10 * SECOND)
    assert hands.clock.now() == START
    assert hands.clock.recording_time() == START
    hands.pass_by(10 * SECOND)
    assert hands.clock.now() == START


def test_before_the_newest_entry_it_does_not_start() -> None:
    hands = Hands(START + HOUR)
    assert "before the newest entry" in hands.clock.jumped
    assert hands.refuses()
    assert hands.clock.recording_time() == START + HOUR
    assert hands.clock.accept() == START + HOUR
    hands.pass_by(2 * HOUR)
    assert hands.clock.now() == START + 2 * HOUR


def test_a_little_before_the_newest_entry_it_does() -> None:
    hands = Hands(START + TOLERANCE_US)
    assert hands.clock.now() == START + TOLERANCE_US


@given(st.lists(st.tuples(st.integers(0, 10 * HOUR), st.integers(-2 * HOUR, 2 * HOUR), st.booleans())))
def test_no_time_is_ever_before_another(steps: list[tuple[int, int, bool]]) -> None:
    hands = Hands(START - HOUR)
    last = 0
    for us, jump, look in steps:
        hands.pass_by(us, jump)
        if look:
            hands.clock.accept()
        elif hands.clock.jumped or abs(jump) > 2 * TOLERANCE_US:  # what went before may make up for the half of it
            assert hands.refuses()
        elif not jump:
            assert not hands.refuses()
        else:
            hands.refuses()  # looks
        now = hands.clock.recording_time()
        assert now >= last
        last = now


@given(st.integers(0, MOST))
def test_rfc3339_there_and_back(us: int) -> None:
    text = rfc3339(us)
    assert len(text) == len("2026-01-01T00:00:00.000000Z")
    assert from_rfc3339(text) == us
    assert to_us(datetime.fromisoformat(text)) == us


@given(st.integers(0, MOST), st.integers(0, MOST))
def test_texts_sort_as_times_do(one: int, other: int) -> None:
    assert (rfc3339(one) < rfc3339(other)) == (one < other)


def test_offsets() -> None:
    assert from_rfc3339("2026-01-01T01:00:00+01:00") == from_rfc3339("2026-01-01T00:00:00Z")
    there = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert to_us(there) == from_rfc3339("2026-01-01T00:00:00Z")
    assert to_us(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert to_us(datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)) == -1


@pytest.mark.parametrize("text", ["", "now", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "1e9"])
def test_a_time_needs_an_offset(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_rfc3339(text)
