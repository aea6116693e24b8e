"""Four made-up weeks: the watch knows by them what is usual, says nothing about them, and sees what is not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from keten.drills.history import DAY_US, DAYS, HALF_SHIFT_US, Known, known_from, ordinary, stolen, teach, works
from keten.watch.detectors import default
from keten.watch.engine import Engine
from keten.watch.model import Event
from tests.unit.watch.happening import MONDAY_US, event

NOW_US = MONDAY_US + 200 * DAY_US + 3 * HALF_SHIFT_US
NAMES = tuple(f"adviser{number}" + "a" * 18 for number in range(4))


def real() -> list[Event]:
    """A sign-in and a lookup of each, and what is not to be learned from."""
    found = [event(99, NOW_US, principal="refused", allowed=False)]
    for number, name in enumerate(NAMES):
        found.append(event(2 * number, NOW_US, principal=name, what="sign-in", key="k" * 43))
        found.append(event(2 * number + 1, NOW_US, principal=name))
    return found


@pytest.fixture
def known() -> dict[str, Known]:
    return known_from(real())


def test_known_is_who_signed_in_and_found_somebody(known: dict[str, Known]) -> None:
    assert set(known) == set(NAMES)


def test_it_is_the_same_each_time_in_order_and_over_before_now(known: dict[str, Known]) -> None:
    events = list(ordinary(known, NOW_US, range(-DAYS, 0)))
    assert events == list(ordinary(known, NOW_US, range(-DAYS, 0)))
    times = [one.time_us for one in events]
    assert times == sorted(times)
    assert NOW_US - (DAYS + 1) * DAY_US < times[0] < times[-1] < NOW_US
    days = Counter((one.principal, (NOW_US + HALF_SHIFT_US - one.time_us) // DAY_US) for one in events if one.records)
    assert len(days) == len(NAMES) * sum(works(day) for day in range(-DAYS, 0)) == len(NAMES) * 20
    assert all(2 <= count <= 60 for count in days.values())
    assert {one.records + one.missed for one in events if one.what == "lookup"} == {1}


def test_a_taught_engine_goes_on_from_the_cursor_and_sees_the_thief(known: dict[str, Known], tmp_path: Path) -> None:
    folder = tmp_path / "watch"
    early = Engine(default(), folder)
    for one in real():
        early.step(one)
    early.save(7)
    early.close()
    teach(folder, ordinary(known, NOW_US, range(-DAYS, 0)), 42)
    taught, fresh = Engine(default(), folder), Engine(default())
    assert taught.cursor == 42
    said: dict[str, list[str]] = {"taught": [], "fresh": []}
    for number in range(60):
        one = event(42 + number, NOW_US + number * 66_000, principal=NAMES[0])
        said["taught"] += [signal.severity for signal in taught.step(one) if signal.detector == "rate"]
        said["fresh"] += [signal.severity for signal in fresh.step(one) if signal.detector == "rate"]
    taught.close()
    assert said == {"taught": ["low", "medium", "high"], "fresh": []}


def test_nothing_of_the_made_up_work_is_told(known: dict[str, Known]) -> None:
    engine = Engine(default())
    told = [one for each in ordinary(known, NOW_US, range(-DAYS, DAYS)) for one in engine.learn(each)]
    assert {one.severity for one in told} <= {"low"}


def test_what_a_patient_thief_takes_lies_within_the_hours_of_work(known: dict[str, Known]) -> None:
    taken = list(stolen(known[NAMES[0]], NOW_US, 3, 250))
    assert len(taken) == sum(one.records for one in taken) == 250
    middle = NOW_US + 3 * DAY_US
    assert all(abs(one.time_us - middle) < HALF_SHIFT_US for one in taken)
    assert list(stolen(known[NAMES[0]], NOW_US, 3, 0)) == []
