"""Many times the usual, and much of the budget: who copies is stopped before half of it, who works is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keten.watch.detectors.budget_share import DAYS, MANY, BudgetShare, Busy, Use
from keten.watch.detectors.detector import DAY_US
from keten.watch.engine import Engine
from keten.watch.model import Event, Signal
from tests.unit.watch.happening import MONDAY_US, Days, event, moved

WEEKS = [day for day in range(40) if day % 7 < 5]
LATER = [day for day in range(42, 68) if day % 7 < 5]
DAY, MONTH = 300, 2000
MONTH_US = 30 * DAY_US


def charged(events: Iterable[Event], day: int = DAY, month: int = MONTH) -> Iterator[Event]:
    """The same events, as under a budget of so many records a day and in thirty days; beyond it they are refused."""
    spent: dict[tuple[str, int, int], int] = {}
    for one in events:
        today = (one.principal, 0, one.time_us // DAY_US)
        window = (one.principal, 1, one.time_us // MONTH_US)
        now, all_of_it = spent.get(today, 0) + one.records, spent.get(window, 0) + one.records
        if (day and now > day) or (month and all_of_it > month):
            yield moved(one, allowed=False, records=0, reasons=("budget-spent",))
            continue
        spent[today], spent[window] = now, all_of_it
        yield moved(
            one, used_day=1000 * now // day if day else 0, used_long=1000 * all_of_it // month if month else 0
        )


def seen(*streams: Iterable[Event], day: int = DAY, month: int = MONTH) -> list[tuple[Signal, Event]]:
    """What it says, each with the event at which it does."""
    engine = Engine([BudgetShare()])
    together = (one for stream in streams for one in stream)
    return [(said, one) for one in charged(together, day, month) for said in engine.step(one)]


def work(days: Days, on: Iterable[int], lookups: int = 18, **said: Any) -> Iterator[Event]:
    """Days of work in which every tenth question is for a record that was received before."""
    for number, one in enumerate(days.work(on, lookups, **said)):
        yield moved(one, records=0) if number % 10 == 9 else one


def test_who_copies_is_stopped_before_half_of_a_day() -> None:
    days = Days()
    found = seen(work(days, WEEKS), days.at(42, 9, 300, 20))
    high = [(said, at) for said, at in found if said.severity == "high"]
    ((said, at),) = high
    assert 400 <= at.used_day < 500
    assert said.facts == {
        "share": at.used_day / 10, "records": said.facts["records"], "usual": said.facts["usual"], "days": 1,
        "repeats": 0.0,
    }  # fmt: skip
    assert said.first != said.last == at.id


def test_a_busy_day_of_work_is_not_copying() -> None:
    days = Days()
    busy = [moved(one, records=int(number % 4 > 0)) for number, one in enumerate(days.at(42, 9, 120, 60))]
    assert [said.severity for said, _ in seen(work(days, WEEKS), busy)] == []
    worse = [moved(one, records=int(number % 4 > 0)) for number, one in enumerate(days.at(43, 9, 360, 60))]
    assert [said.severity for said, _ in seen(work(days, WEEKS), worse)] == ["high"]


def test_masking_with_questions_that_cost_nothing_gains_little() -> None:
    """A thief who asks for each record twice looks busy; then the higher bound holds."""
    days = Days()
    twice = [moved(one, records=number % 2) for number, one in enumerate(days.at(42, 9, 600, 10))]
    (_, at) = next(each for each in seen(work(days, WEEKS), twice) if each[0].severity == "high")
    assert at.used_day < 600


def test_of_whom_nothing_is_known_it_says_nothing() -> None:
    days = Days()
    assert seen(work(days, WEEKS[:5]), days.at(7, 9, 300, 20)) == []


def test_when_all_of_its_peers_are_busy_so_may_it_be() -> None:
    colleagues = [f"{number:026d}" for number in range(6)]

    def of_all(on: Iterable[int], lookups: int) -> list[Event]:
        days = Days(5)
        found = [one for who in colleagues for one in work(days, on, lookups, principal=who)]
        ordered = sorted(found, key=lambda one: one.time_us)
        return [moved(one, index=number, id=f"{number:026d}") for number, one in enumerate(ordered)]

    def last(own: int) -> list[Event]:
        index = 100_000
        return [event(index + n, MONDAY_US + 44 * DAY_US + n, principal=colleagues[0]) for n in range(own)]

    quiet, busy = of_all(WEEKS, 18), of_all([*WEEKS, 42, 43], 18)
    extra = [moved(one, records=one.records * 3) for one in busy if one.time_us >= MONDAY_US + 42 * DAY_US]
    before = [one for one in busy if one.time_us < MONDAY_US + 42 * DAY_US]
    assert any(said.severity == "high" for said, _ in seen(quiet, last(125)))
    assert not any(said.severity == "high" for said, _ in seen(before, extra, last(125)))


def test_weeks_of_more_end_before_half_of_the_month() -> None:
    days = Days()
    patient = work(days, LATER, 75)
    found = [(said, at) for said, at in seen(work(days, WEEKS), patient) if said.severity == "high"]
    said, at = found[0]
    assert 400 <= at.used_long < 500
    assert int(said.facts["days"]) >= 3
    assert said.facts["share"] == at.used_long / 10
    days = Days()
    assert not seen(work(days, WEEKS), work(days, LATER, 24)), "a busy month"


def test_what_was_told_is_not_told_again_of_the_days_that_follow() -> None:
    days = Days()
    again = [day for day in range(63, 84) if day % 7 < 5]
    found = seen(work(days, WEEKS), work(days, [day for day in LATER if day < 58], 75), work(days, again))
    told = [at.time_us for said, at in found if said.severity == "high"]
    assert told
    assert max(told) < MONDAY_US + 60 * DAY_US, "afterwards it works as it always did"


def test_sixty_days_of_slow_growth_do_not_give_the_budget_away() -> None:
    days = Days()
    grown = [one for day in range(42, 102) if day % 7 < 5 for one in work(days, [day], int(18 * 1.024 ** (day - 42)))]
    taken = days.at(105, 9, 300, 20)
    found = seen(work(days, WEEKS), grown, taken)
    at = next(at for said, at in found if said.severity == "high")
    assert max(at.used_day, at.used_long) < 500


@pytest.mark.parametrize(("many", "severities"), [(100, []), (160, ["medium"]), (220, ["medium", "high"])])
def test_programs_may_have_days_of_any_size(many: int, severities: list[str]) -> None:
    days = Days()
    usual = (moved(one, asked=3, records=3) for one in days.work(WEEKS) if one.what == "lookup")
    found = seen(usual, days.at(42, 2, many, 5, asked=3, records=3), day=900, month=20_000)
    assert [said.severity for said, _ in found] == severities


def test_files_count_as_what_they_hold() -> None:
    days = Days()

    def fetched(day: int, files: int) -> list[Event]:
        opened = days.at(day, 2, files, 60, what="open", records=900)
        return [moved(one, object=f"o{number}") for number, one in enumerate(opened)]

    usual = [one for day in WEEKS for one in fetched(day, 2)]
    found = seen(usual, fetched(42, 14), day=20_000, month=200_000)
    assert [(said.severity, at.object) for said, at in found] == [("medium", "o11")]


def test_only_a_month_is_bounded() -> None:
    """Then what was used of it today counts as the day's share."""
    days = Days()
    (said, at) = seen(work(days, WEEKS), days.at(42, 9, 900, 20), day=0)[-1]
    assert (said.severity, at.used_day) == ("high", 0)
    assert at.used_long < 600


def test_without_a_budget_nothing_can_be_much_of_it() -> None:
    days = Days()
    assert seen(work(days, WEEKS), days.at(42, 9, 3000, 5), day=0, month=0) == []


@settings(max_examples=12, deadline=None)
@given(st.integers(4, 16), st.integers(0, 50), st.floats(0.5, 60))
def test_by_construction_a_known_account_ends_before_half(usual: int, seed: int, gap_s: float) -> None:
    """Whoever uses up to 6 % of a day's budget, is known, and takes all it can: at any speed, with any luck."""
    days = Days(seed)
    found = seen(work(days, WEEKS, usual), days.at(42, 1, 400, gap_s))
    at = next(at for said, at in found if said.severity == "high")
    assert at.used_day < 500


_amounts = st.lists(
    st.tuples(
        st.integers(-2, 3),  # days later, or earlier
        st.sampled_from(["lookup", "open"]),
        st.booleans(),
        st.integers(0, 2000),
        st.integers(0, 60),
        st.integers(0, 60),
        st.integers(0, 1000),
        st.integers(0, 1000),
        st.integers(0, 2),
    ),
    max_size=150,
)


def _stream(amounts: list[tuple[Any, ...]]) -> list[Event]:
    found: list[Event] = []
    day = 100
    for index, (later, what, allowed, records, asked, missed, used_day, used_long, who) in enumerate(amounts):
        day = max(0, day + later)
        found.append(
            event(
                index, MONDAY_US + day * DAY_US, what=what, allowed=allowed, records=records, asked=asked,
                missed=missed, used_day=used_day, used_long=used_long, principal=f"{who:026d}",
            )
        )  # fmt: skip
    return found


@settings(max_examples=40, deadline=None)
@given(_amounts)
def test_whatever_comes_its_state_is_bounded_and_finite(amounts: list[tuple[Any, ...]]) -> None:
    detector, busy = BudgetShare(), Busy()
    states: dict[str, Use] = {}
    for one in _stream(amounts):
        state = states.setdefault(one.principal, Use())
        for said in detector.compare(state, busy, one):
            assert said.severity in {"medium", "high"}
            assert max(one.used_day, one.used_long) >= MANY.share
        assert len(state.times) < DAYS
        assert all(0.0 <= times <= 12.0 for times in state.times)
        assert 0.0 <= state.keys <= 2000.0
        assert len(msgspec.msgpack.encode(state)) < 600
        assert busy.peers >= 0
        assert busy.times >= -1e-6


@settings(max_examples=12, deadline=None)
@given(_amounts, st.integers(0, 150))
def test_stopped_in_between_it_sees_the_same(amounts: list[tuple[Any, ...]], stop: int) -> None:
    days = Days()
    before = list(charged(work(days, WEEKS)))
    stream = [moved(one, index=len(before) + one.index) for one in _stream(amounts)]
    live = Engine([BudgetShare()])
    whole = [said for one in (*before, *stream) for said in live.step(one)]
    with TemporaryDirectory() as name:
        engine = Engine([BudgetShare()], Path(name))
        found = [said for one in (*before, *stream[:stop]) for said in engine.step(one)]
        engine.save(len(before) + stop)
        engine.close()
        engine = Engine([BudgetShare()], Path(name))
        found += [said for one in stream[stop:] for said in engine.step(one)]
        engine.close()
    assert found == whole
