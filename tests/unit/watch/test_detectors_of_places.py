"""Who it is: countries, networks, keys, hours, silence, sign-ins. An honest stream and a hostile one for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from keten.watch.detectors.countries import CountryNew
from keten.watch.detectors.detector import DAY_US, HOUR_US, MINUTE_US, Detector
from keten.watch.detectors.distances import kilometres
from keten.watch.detectors.dormant import Dormant
from keten.watch.detectors.failed_sign_ins import FailedSignIns
from keten.watch.detectors.keys import KeyNew
from keten.watch.detectors.network_listed import NetworkListed
from keten.watch.detectors.networks import NetworkNew
from keten.watch.detectors.off_hours import OffHours
from keten.watch.detectors.places_at_once import PlacesAtOnce
from keten.watch.detectors.purposes import PurposeNew
from keten.watch.detectors.travel import Travel, is_impossible
from keten.watch.engine import Engine
from keten.watch.model import Event, Signal
from tests.unit.watch.happening import ADVISER, ELSEWHERE, MONDAY_US, OFFICE, Days

WEEKS = [day for day in range(40) if day % 7 < 5]


def seen(detector: Detector[Any], *streams: Iterable[Event]) -> list[Signal]:
    """What one detector says to streams, one after the other."""
    engine = Engine([detector])
    return [one for stream in streams for each in stream for one in engine.step(each)]


# ---- countries and networks ----------------------------------------------------------------------------------------


def test_a_country_never_seen_is_told_once() -> None:
    days = Days()
    assert seen(CountryNew(), days.work(WEEKS)) == []
    days = Days()
    (one,) = seen(CountryNew(), days.work(WEEKS), days.at(42, 10, 5, 60, country="VN", network=ELSEWHERE))
    assert (one.severity, one.principal) == ("low", ADVISER)
    assert one.facts == {"country": "VN", "known": 1, "supplier": "nobody"}


def test_a_country_that_a_colleague_was_in_is_not_nobodys() -> None:
    days = Days()
    found = seen(
        CountryNew(),
        days.work(WEEKS[:10], country="BE", principal="colleague"),
        days.work(WEEKS),
        days.at(42, 10, 5, 60, country="BE"),
    )
    assert [one.facts["supplier"] for one in found] == ["somebody"]


def test_in_the_first_week_nothing_is_new_but_what_is_new_to_a_known_supplier() -> None:
    days = Days()
    assert seen(CountryNew(), days.work([0, 1]), days.at(2, 10, 5, 60, country="VN")) == []
    days = Days()
    settled = days.work(WEEKS[:20], principal="colleague")
    (one,) = seen(CountryNew(), settled, days.work([30, 31]), days.at(32, 10, 5, 60, country="VN"))
    assert one.principal == ADVISER


def test_a_sign_in_refused_in_somebodys_name_brings_it_nowhere() -> None:
    for detector in (CountryNew(), NetworkNew(), Travel(), PlacesAtOnce(), Dormant(), KeyNew()):
        days = Days()
        refused = days.at(
            40, 9.5, 50, 60, what="sign-in", allowed=False, country="VN", network=ELSEWHERE, key="SHA256:x",
            reasons=("key-unknown",),
        )  # fmt: skip
        assert seen(detector, days.work(WEEKS), refused, days.at(40, 11, 5, 60)) == []


def test_a_network_new_to_principal_and_supplier() -> None:
    days = Days()
    assert seen(NetworkNew(), days.work(WEEKS)) == []
    days = Days()
    (one,) = seen(NetworkNew(), days.work(WEEKS), days.at(42, 10, 5, 60, network=ELSEWHERE))
    assert (one.severity, one.facts) == ("low", {"network": ELSEWHERE, "known": 1})


def test_the_suppliers_other_office_is_not_new() -> None:
    days = Days()
    other = days.work(WEEKS[:5], principal="colleague", network=ELSEWHERE)
    assert seen(NetworkNew(), other, days.work(WEEKS), days.at(42, 10, 5, 60, network=ELSEWHERE)) == []


def test_whoever_comes_from_everywhere_is_not_told_of_every_day() -> None:
    days = Days()
    roaming = [one for day in WEEKS for one in days.work([day], 3, network=f"{day:016d}")]
    assert len(seen(NetworkNew(), roaming)) <= 5


# ---- travel and places at once -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [("NL", "BE", 150, 200), ("NL", "US", 5500, 6100), ("DE", "CH", 0, 700), ("NL", "VN", 9000, 10_200)],
)
def test_how_far_countries_are_apart(one: str, other: str, least: float, most: float) -> None:
    assert least <= kilometres(one, other) <= most
    assert kilometres(other, one) == kilometres(one, other)


def test_a_country_that_nobody_knows_is_not_far() -> None:
    assert kilometres("NL", "XX") == kilometres("", "NL") == 0.0
    assert not is_impossible("NL", "XX", 0)


def test_neighbours_are_never_too_far_and_others_only_within_the_time_of_a_flight() -> None:
    assert not is_impossible("NL", "BE", 0)
    assert is_impossible("NL", "US", 4 * HOUR_US)
    assert not is_impossible("NL", "US", 6 * HOUR_US)


def test_impossible_travel_is_told_once_for_two_countries() -> None:
    days = Days()
    morning, abroad = days.at(1, 9, 3, 60), days.at(1, 9.5, 3, 60, country="US")
    (one,) = seen(Travel(), morning, abroad, days.at(1, 10, 3, 60), days.at(1, 10.5, 3, 60, country="US"))
    assert one.facts["before"] == "NL"
    assert one.facts["country"] == "US"
    assert 0 < int(one.facts["minutes"]) < 60
    days = Days()
    assert seen(Travel(), days.at(1, 9, 3, 60), days.at(2, 9, 3, 60, country="US")) == []


def test_a_late_event_is_no_journey() -> None:
    days = Days()
    assert seen(Travel(), days.at(2, 9, 3, 60), days.at(1, 9, 3, 60, country="US"), days.at(2, 9.5, 3, 60)) == []


def turns(days: Days, **there: Any) -> list[Event]:
    return [one for n in range(6) for one in days.at(1, 9 + n / 20, 2, 30, **(there if n % 2 else {}))]


def test_two_places_by_turns() -> None:
    (one,) = seen(PlacesAtOnce(), turns(Days(), network=ELSEWHERE, country="US"))
    assert one.severity == "medium"
    assert {one.facts["network"], one.facts["other"]} == {OFFICE, ELSEWHERE}
    (one,) = seen(PlacesAtOnce(), turns(Days(), network=ELSEWHERE))
    assert one.severity == "low"


def test_one_place_after_the_other_is_a_move() -> None:
    days = Days()
    assert seen(PlacesAtOnce(), days.at(1, 9, 9, 60), days.at(1, 9.5, 9, 60, network=ELSEWHERE)) == []
    days = Days()
    assert seen(PlacesAtOnce(), (days.one(MONDAY_US + n * HOUR_US, network=f"{n % 2:016d}") for n in range(20))) == []


# ---- keys, purposes, silence, hours --------------------------------------------------------------------------------


def test_a_key_that_is_new_is_told_once_and_the_first_is_not() -> None:
    days = Days()
    assert seen(KeyNew(), days.work(WEEKS)) == []
    days = Days()
    found = seen(KeyNew(), days.work(WEEKS), days.at(42, 9, 3, 60, what="sign-in", key="SHA256:another-key-of-it"))
    assert [one.facts for one in found] == [{"key": "ther-key-of-it"[-12:], "known": 1}]


def test_a_purpose_that_is_new() -> None:
    days = Days()
    assert seen(PurposeNew(), days.work(WEEKS)) == []
    days = Days()
    (one,) = seen(PurposeNew(), days.work(WEEKS), days.at(42, 9, 3, 60, purpose="debt"))
    assert one.facts == {"purpose": "debt", "known": 1}
    days = Days()
    assert seen(PurposeNew(), days.work(WEEKS[:5]), days.at(9, 9, 3, 60, purpose="debt")) == []


def test_awake_after_a_long_silence() -> None:
    days = Days()
    assert seen(Dormant(), days.work(WEEKS), days.at(70, 9, 3, 60)) == []
    days = Days()
    (one,) = seen(Dormant(), days.work(WEEKS), days.at(100, 9, 3, 60))
    assert (one.severity, one.facts) == ("low", {"days": 60})


def test_an_hour_that_is_not_its_own_is_told_once_a_day() -> None:
    days = Days()
    assert seen(OffHours(), days.work(WEEKS), days.at(42, 15, 3, 60)) == []  # next to a known one
    days = Days()
    (one,) = seen(OffHours(), days.work(WEEKS), days.at(42, 2, 9, 900))
    assert one.facts == {"hour": 2, "weekend": "no", "days": len(WEEKS) + 1}
    days = Days()
    (one,) = seen(OffHours(), days.work(WEEKS), days.at(47, 11, 2, 60))
    assert one.facts["weekend"] == "yes"


def test_whoever_works_at_any_hour_has_no_off_hours() -> None:
    days = Days()
    around = (days.one(MONDAY_US + n * 7 * HOUR_US) for n in range(200))
    assert seen(OffHours(), around, days.at(70, 3, 2, 60)) == []


def test_midnight_is_next_to_eleven() -> None:
    days = Days()
    nights = [one for day in range(40) for one in days.at(day, 23.2, 2, 60)]
    assert seen(OffHours(), nights, days.at(41, 0.5, 2, 60)) == []
    assert len(seen(OffHours(), nights, days.at(41, 3.5, 2, 60))) == 1


# ---- sign-ins from one network, and the list -----------------------------------------------------------------------


def tried(days: Days, many: int, **said: Any) -> list[Event]:
    return [
        days.one(
            MONDAY_US + n * MINUTE_US, what="sign-in", allowed=False, principal=f"{n:012d}-name", network=ELSEWHERE,
            reasons=("key-unknown",), **said,
        )
        for n in range(many)
    ]  # fmt: skip


def test_many_principals_fail_from_one_network_and_one_gets_in() -> None:
    days = Days()
    attempts = tried(days, 12)
    inside = days.one(MONDAY_US + HOUR_US, what="sign-in", principal="victim", network=ELSEWHERE)
    low, medium, entered = seen(FailedSignIns(), attempts, [inside])
    assert (low.severity, low.principal, low.facts["principals"]) == ("low", "", 5)
    assert (medium.severity, medium.facts["principals"]) == ("medium", 10)
    assert (entered.severity, entered.principal) == ("medium", "victim")
    assert medium.first == attempts[0].id


def test_after_few_failures_only_one_that_failed_is_told_of() -> None:
    days = Days()
    attempts = tried(days, 6)
    stranger = days.one(MONDAY_US + HOUR_US, what="sign-in", principal="other", network=ELSEWHERE)
    guessed = days.one(MONDAY_US + HOUR_US + 1, what="sign-in", principal=f"{3:012d}-name", network=ELSEWHERE)
    found = seen(FailedSignIns(), attempts, [stranger, guessed])
    assert [one.principal for one in found] == ["", f"{3:012d}-name"]


def test_an_office_whose_people_are_clumsy_or_ended() -> None:
    days = Days()
    office: list[Event] = []
    for n in range(40):
        who = f"{n:012d}-name"
        office.append(days.one(MONDAY_US, what="sign-in", principal=who))
        office.append(days.one(MONDAY_US + HOUR_US, what="sign-in", principal=who, allowed=False, reasons=("x",)))
    assert seen(FailedSignIns(), office) == []
    days = Days()
    ended = [days.one(MONDAY_US + n, what="sign-in", principal=f"{n:012d}-name", allowed=False,
                      reasons=("contract-ended",)) for n in range(40)]  # fmt: skip
    assert seen(FailedSignIns(), ended) == []


def test_strangers_by_the_hundred() -> None:
    days = Days()
    found = seen(FailedSignIns(), [days.one(MONDAY_US, what="sign-in", allowed=False, principal="", count=150)])
    assert found == []
    days = Days()
    strangers = [days.one(MONDAY_US + n, what="sign-in", allowed=False, principal="", count=150) for n in range(2)]
    (one,) = seen(FailedSignIns(), strangers)
    assert (one.severity, one.facts["strangers"]) == ("low", 300)


def test_a_listed_network_is_told_once_a_day_and_letting_it_in_is_worse() -> None:
    days = Days()
    refused = days.at(1, 9, 5, 60, what="sign-in", allowed=False, listed=True)
    allowed = days.at(1, 10, 5, 60, listed=True)
    found = seen(NetworkListed(), refused, allowed, days.at(2, 10, 5, 60, listed=True), days.at(3, 10, 5, 60))
    assert [one.severity for one in found] == ["low", "medium", "medium"]
    assert [one.time_us // DAY_US - MONDAY_US // DAY_US for one in found] == [1, 1, 2]
