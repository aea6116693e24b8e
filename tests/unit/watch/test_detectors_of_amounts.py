"""What is taken: misses, neighbours, volumes, speed, patience. An honest stream and a hostile one for each."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from keten.watch.detectors.adjacency import Adjacency
from keten.watch.detectors.baseline import GROWTH_A_DAY, Level, Peers, turn, usual
from keten.watch.detectors.before_end import BeforeEnd
from keten.watch.detectors.budget_spent import BudgetSpent
from keten.watch.detectors.detector import DAY_US, HOUR_US, SECOND_US, Detector
from keten.watch.detectors.everything import Everything
from keten.watch.detectors.low_and_slow import LowAndSlow
from keten.watch.detectors.misses import Misses, MissHeavy
from keten.watch.detectors.outside import Outside
from keten.watch.detectors.rate import Rate
from keten.watch.detectors.several import Several
from keten.watch.detectors.supplier_volume import SupplierVolume
from keten.watch.detectors.volume import Volume
from keten.watch.engine import Engine
from keten.watch.model import Event, Signal
from tests.unit.watch.happening import ELSEWHERE, MONDAY_US, Days, codes, event

WEEKS = [day for day in range(40) if day % 7 < 5]
HIT, MISS = event(0, MONDAY_US), event(1, MONDAY_US, missed=1)


def seen(detector: Detector[Any], *streams: Iterable[Event]) -> list[Signal]:
    """What one detector says to streams, one after the other."""
    engine = Engine([detector])
    return [one for stream in streams for each in stream for one in engine.step(each)]


# ---- misses --------------------------------------------------------------------------------------------------------


def lost(share: float, rng: Random, before: int) -> int:
    """Records that a guesser gets, with such a share of misses, after so much honest use, until it is stopped."""
    detector, state = MissHeavy(), Misses()
    for _ in range(before):
        detector.step(state, MISS if rng.random() < 0.02 else HIT)
    found = 0
    while True:
        missed = rng.random() < share
        found += not missed
        if detector.step(state, MISS if missed else HIT):
            return found


@pytest.mark.parametrize(("share", "median", "p99"), [(2 / 3, 4, 12), (0.68, 4, 12), (1 / 3, 17, 52), (0.2, 44, 130)])
@pytest.mark.parametrize("before", [0, 500])
def test_records_lost_to_guessing(share: float, median: int, p99: int, before: int) -> None:
    """Until the watch says so. Lookups themselves stop sooner: tests/unit/budgets/test_misses.py."""
    rng = Random(f"{share} {before}")
    found = sorted(lost(share, rng, before) for _ in range(2000))
    assert found[len(found) // 2] <= median
    assert found[int(len(found) * 0.99)] <= p99


def test_no_false_stop_in_honest_use() -> None:
    """A tenth of the four million of the figure, which `bench.detection` runs whole."""
    rng = Random(4)
    detector, state = MissHeavy(), Misses()
    assert not any(detector.step(state, MISS if rng.random() < 0.02 else HIT) for _ in range(400_000))


def test_what_misses_say() -> None:
    days = Days()
    (one,) = seen(MissHeavy(), days.at(1, 9, 4, 1), days.at(1, 9.1, 7, 1, missed=1))
    assert one.severity == "high"
    assert (one.facts["missed"], one.facts["asked"], one.facts["records"], one.facts["usual"]) == (7, 7, 0, 2.0)


def test_hits_that_cost_nothing_do_not_cover_misses() -> None:
    days = Days()
    stream: list[Event] = []
    for n in range(12):
        stream += days.at(1, 9 + n / 10, 30, 1, records=0)
        stream += days.at(1, 9.05 + n / 10, 1, 1, missed=1)
    assert set(codes(seen(MissHeavy(), stream))) == {"misses"}


def test_a_batch_counts_as_its_keys_do() -> None:
    days = Days()
    assert seen(MissHeavy(), days.at(1, 9, 30, 60, asked=100, missed=2, records=98)) == []
    days = Days()
    assert codes(seen(MissHeavy(), days.at(1, 9, 1, 1, asked=50, missed=33, records=17))) == ["misses"]


def test_who_is_stopped_for_guessing_is_told_of() -> None:
    days = Days()
    stream = days.at(1, 9, 2, 1, missed=1)
    stopped = days.one(MONDAY_US + 2, what="lookup", allowed=False, reasons=("guessing",), asked=1, missed=1)
    later = days.one(MONDAY_US + 3, what="lookup", allowed=False, reasons=("guessing",), asked=1)
    (one,) = seen(MissHeavy(), [*stream, stopped, later])
    assert (one.severity, one.facts["missed"]) == ("medium", 3)


def test_guessing_ids_of_objects() -> None:
    def refused(reason: str, names: Iterable[int]) -> list[Event]:
        days = Days()
        return [days.one(MONDAY_US + n, what="open", allowed=False, reasons=(reason,), object=f"{n}") for n in names]

    assert codes(seen(MissHeavy(), refused("absent", range(8)))) == ["misses"]
    assert codes(seen(MissHeavy(), refused("no-grant", range(8)))) == ["misses"]
    assert seen(MissHeavy(), refused("contract-ended", range(50))) == []
    assert seen(MissHeavy(), refused("absent", [4] * 50)) == []  # the same file, until it is there


# ---- neighbours and what is outside --------------------------------------------------------------------------------


def test_walking_through_keys() -> None:
    days = Days()
    honest = list(days.work(WEEKS))
    (one, *_) = seen(Adjacency(), honest, days.at(42, 9, 30, 5, near=1))
    assert (one.severity, one.facts["near"]) == ("high", 17)
    days = Days()
    (one, *_) = seen(Adjacency(), days.at(1, 9, 30, 5, near=1))
    assert one.severity == "medium"  # nobody knows how it usually asks


def test_families_and_sorted_lists_are_not_walks() -> None:
    days, rng = Days(), Random(2)
    family = [days.one(MONDAY_US + n * SECOND_US, near=int(rng.random() < 0.4)) for n in range(200)]
    assert seen(Adjacency(), family) == []
    days = Days()
    (told,) = seen(Adjacency(), (days.one(MONDAY_US + n * HOUR_US, near=n % 10 != 0) for n in range(3000)))
    assert told.severity == "medium"  # a system that always reads in order: told of once, then known


def test_beyond_the_caseload() -> None:
    days = Days()
    honest = days.work(WEEKS)
    (one, *_) = seen(Outside(), honest, days.at(42, 9, 12, 5, outside=1))
    assert (one.severity, one.detector) == ("low", "outside")
    days, rng = Days(), Random(3)
    assert seen(Outside(), (days.one(MONDAY_US + n, outside=int(rng.random() < 0.1)) for n in range(5000))) == []


# ---- baselines -----------------------------------------------------------------------------------------------------


def test_patience_does_not_train_it() -> None:
    level = Level()
    for day in range(30):
        turn(level, day, 1.0, None)
        level.amount = 20
    before = usual(level, None)
    for day in range(30, 91):  # 60 days, each a tenth more than the one before
        turn(level, day, 1.0, None)
        level.amount = min(20 * 1.1 ** (day - 29), 5000)
    after = usual(level, None)
    assert before * 1.5 < after <= before * (1 + GROWTH_A_DAY) ** 61


def test_one_thief_does_not_train_its_peers() -> None:
    peers, honest, thief = Peers(), [Level() for _ in range(20)], Level()
    for day in range(90):
        for one in honest:
            turn(one, day, 1.0, peers)
            one.amount = 20
        turn(thief, day, 1.0, peers)
        thief.amount = 5000
    assert usual(Level(), peers) < 20 * (1 + GROWTH_A_DAY) ** 90
    assert usual(Level(), peers) < 30


def test_a_newcomer_is_compared_with_its_peers_from_the_first_event() -> None:
    days = Days()
    team = [one for who in range(8) for one in days.work(WEEKS[:5], principal=f"{who:026d}")]
    (one, *_) = seen(Volume(), team, days.at(9, 9, 400, 20, principal="newcomer"))
    assert (one.detector, one.principal) == ("volume", "newcomer")
    assert 10 < float(one.facts["usual"]) < 30
    days = Days()
    assert seen(Volume(), days.at(9, 9, 400, 20, principal="newcomer")) == []  # nobody to compare with


def test_a_day_of_much() -> None:
    days = Days()
    assert seen(Volume(), days.work(WEEKS)) == []
    days = Days()
    low, medium = seen(Volume(), days.work(WEEKS), days.at(42, 9, 900, 20))
    assert (low.severity, medium.severity) == ("low", "medium")
    assert int(low.facts["records"]) < int(medium.facts["records"]) <= 900


def test_many_logins_that_each_stay_small() -> None:
    days = Days()
    team = [one for day in WEEKS for who in range(4) for one in days.work([day], principal=f"{who:026d}")]
    assert seen(SupplierVolume(), team) == []
    thieves = [one for who in range(30) for one in days.at(42, 9 + who / 10, 30, 10, principal=f"t{who:025d}")]
    (one,) = seen(SupplierVolume(), team, thieves)
    assert (one.severity, one.principal, one.supplier) == ("medium", "", "supplier")


def test_a_speed_that_is_not_its_own() -> None:
    days = Days()
    assert seen(Rate(), days.work(WEEKS)) == []
    days = Days()
    found = seen(Rate(), days.work(WEEKS), days.at(42, 9, 300, 1 / 15))
    assert [one.severity for one in found] == ["low", "medium", "high"]
    assert int(found[-1].facts["records"]) == 40


def test_a_system_that_is_always_fast() -> None:
    days = Days()
    fast = [one for day in range(20) for hour in range(8, 12) for one in days.at(day, hour, 60, 0.5)]
    assert seen(Rate(), fast) == []


def test_a_little_more_for_weeks() -> None:
    days = Days()
    assert seen(LowAndSlow(), days.work([day for day in range(120) if day % 7 < 5])) == []
    days = Days()
    found = seen(LowAndSlow(), days.work(WEEKS), days.work(range(42, 80), 60))
    assert found[0].severity == "low"
    assert int(found[0].facts["days"]) <= 14
    assert codes(found) == ["low-and-slow"] * len(found)


def test_all_that_one_may_take() -> None:
    days = Days()
    found = seen(Everything(), days.work(WEEKS, 5, dataset_records=5000), days.at(42, 9, 1200, 5, dataset_records=5000))
    assert [(one.severity, one.facts["records"], one.facts["of"]) for one in found] == [("low", 1000, 5000)]
    days = Days()
    assert seen(Everything(), days.work(WEEKS, dataset_records=5000)) == []


def files(days: Days, day: int, many: int) -> list[Event]:
    return [
        days.one(MONDAY_US + day * DAY_US + n * SECOND_US, what="open", records=10, object=f"{day:06d}{n:02d}")
        for n in range(many)
    ]


def test_every_file_one_after_the_other() -> None:
    days = Days()
    honest = [one for day in WEEKS for one in files(days, day, 4)]
    assert seen(Everything(), honest) == []
    (one,) = seen(Everything(), honest, files(days, 42, 60))
    assert one.facts == {"objects": 20, "usual": 4.0}
    assert seen(Everything(), [one for day in WEEKS for one in files(Days(), day, 50)]) == []


def test_much_before_a_contract_ends() -> None:
    end = MONDAY_US + 50 * DAY_US
    days = Days()
    usual_work = days.work([day for day in range(50) if day % 7 < 5], contract_ends_us=end)
    assert seen(BeforeEnd(), usual_work) == []
    days = Days()
    found = seen(
        BeforeEnd(), days.work(WEEKS[:24], contract_ends_us=end), days.at(40, 9, 1500, 10, contract_ends_us=end)
    )
    assert [one.severity for one in found] == ["low", "medium"]
    assert found[0].facts["left"] == 9


def test_a_budget_that_is_spent_is_told_once_a_day() -> None:
    days = Days()
    spent = [one for day in (1, 2) for one in days.at(day, 9, 50, 1, allowed=False, reasons=("budget-spent",))]
    assert [one.facts["days"] for one in seen(BudgetSpent(), spent)] == [1, 2]
    assert seen(BudgetSpent(), days.at(3, 9, 50, 1, allowed=False, reasons=("contract-ended",))) == []


# ---- several signs together ----------------------------------------------------------------------------------------


def all_seen(*streams: Iterable[Event]) -> list[Signal]:
    from keten.watch.detectors import default

    engine = Engine(default())
    return [one for stream in streams for each in stream for one in engine.step(each)]


def test_a_stolen_login_from_far_away_is_stopped_early() -> None:
    days = Days()
    honest = list(days.work(WEEKS))
    assert [one for one in all_seen(honest) if one.severity != "low"] == []
    theft = list(days.at(42, 11, 250, 20, country="VN", network=ELSEWHERE))
    found = all_seen(honest, days.at(42, 10, 5, 300), theft)
    (stop, *_) = [one for one in found if one.severity == "high"]
    assert stop.detector == "several"
    assert {"country-new", "network-new", "travel"} <= set(str(stop.facts["signs"]).split(", "))
    assert int(stop.facts["records"]) <= 60


def test_neither_a_busy_day_nor_a_journey_alone_stops_anybody() -> None:
    days = Days()
    busy = all_seen(days.work(WEEKS), days.at(42, 9, 120, 200))
    assert [one.severity for one in busy if one.severity == "high"] == []
    days = Days()
    journey = all_seen(days.work(WEEKS), days.work([42, 43, 44], country="BE", network=ELSEWHERE))
    assert [one.severity for one in journey if one.severity == "high"] == []


def test_a_sign_is_forgotten_after_a_day() -> None:
    days = Days()
    engine = Engine([Several()])
    for one in days.work(WEEKS):
        assert engine.step(one) == []
