"""Peers' rules give the answers that their publications give."""

from __future__ import annotations

from typing import Any

import pytest

from keten.core.clock import SECOND
from keten.drills.peers import DAY, HOUR, MINUTE, Peer, baselines, kilometres
from keten.watch.model import Event, What

NOON = 1_780_000_000 * SECOND


def event(at_us: int, what: What = "lookup", **rest: Any) -> Event:
    values: dict[str, Any] = {"allowed": True, "principal": "anna", "country": "NL", "network": "n1"} | rest
    return Event(index=0, id=f"{at_us}", time_us=at_us, what=what, **values)


def told(peer: Peer, events: list[Event]) -> list[tuple[int, str]]:
    return [(at, signal.detector) for at, one in enumerate(events) for signal in peer.step(one)]


def test_a_hundred_downloads_in_an_hour_are_told_once() -> None:
    box = baselines()["panther-box"]
    assert told(box, [event(NOON + n * SECOND) for n in range(250)]) == [(99, "downloads")]
    assert told(box, [event(NOON + 2 * HOUR + n * SECOND) for n in range(99)]) == []


def test_ninety_nine_an_hour_are_never_told() -> None:
    box = baselines()["panther-box"]
    assert told(box, [event(NOON + n * 37 * SECOND) for n in range(1000)]) == []


def test_twenty_downloads_in_five_minutes() -> None:
    drive = baselines()["panther-drive"]
    assert told(drive, [event(NOON + n * 16 * SECOND) for n in range(100)]) == []
    assert told(drive, [event(NOON + HOUR + n * 15 * SECOND) for n in range(20)]) == [(19, "downloads")]


def test_refused_and_other_acts_are_no_downloads() -> None:
    box = baselines()["panther-box"]
    assert told(box, [event(NOON + n, allowed=False) for n in range(300)]) == []
    assert told(box, [event(NOON + n, "describe") for n in range(300)]) == []


def test_twenty_refused_sign_ins_from_one_network_whoever_they_name() -> None:
    box = baselines()["panther-box"]
    events = [event(NOON + n * MINUTE, "sign-in", allowed=False, principal=f"p{n}") for n in range(40)]
    assert told(box, events) == [(19, "failed-sign-ins")]
    apart = [event(NOON + n * MINUTE, "sign-in", allowed=False, network=f"n{n}") for n in range(40)]
    assert told(baselines()["panther-box"], apart) == []


def test_capitals_are_as_far_apart_as_they_are() -> None:
    assert kilometres("NL", "US") == pytest.approx(6200, rel=0.02)
    assert kilometres("NL", "BE") == pytest.approx(175, rel=0.05)
    assert kilometres("NL", "NL") == kilometres("NL", "??") == 0


@pytest.mark.parametrize(("hours", "panther", "okta"), [(1.0, True, True), (7.3, False, True), (9.0, False, False)])
def test_travel_is_told_above_each_ones_speed(hours: float, panther: bool, okta: bool) -> None:
    """New York's country is some 6,200 km away: 850 km/h in 7.3 hours."""
    events = [event(NOON, "sign-in"), event(NOON + int(hours * HOUR), "sign-in", country="US")]
    assert ("travel" in {code for _, code in told(baselines()["panther-box"], events)}) is panther
    assert ("velocity" in {code for _, code in told(baselines()["okta"], events)}) is okta


def test_a_login_of_yesterday_is_forgotten_by_panther() -> None:
    events = [event(NOON, "sign-in"), event(NOON + DAY + 1, "sign-in", country="US")]
    assert told(baselines()["panther-box"], events) == []


def test_a_network_is_new_until_it_is_among_the_last_fifty() -> None:
    okta = baselines()["okta"]
    assert told(okta, [event(NOON, "sign-in"), event(NOON + 1, "sign-in")]) == []
    assert told(okta, [event(NOON + HOUR, "sign-in", network="n2")]) == [(0, "new-network")]
    assert told(okta, [event(NOON + HOUR + n, "sign-in", network="n2") for n in range(50)]) == []
    assert told(okta, [event(NOON + 2 * HOUR, "sign-in")]) == [(0, "new-network")], "the first one is forgotten"


def test_a_new_country_is_told_at_the_next_quarter_of_an_hour_once_there_is_a_history() -> None:
    elastic = baselines()["elastic"]
    assert told(elastic, [event(NOON), event(NOON + MINUTE, country="BE"), event(NOON + HOUR)]) == []
    later = NOON + 11 * DAY
    assert elastic.step(event(later - 1, principal="berta")) == []
    steps = [elastic.step(event(later + hours * HOUR, principal="carla")) for hours in range(4)]
    found = [signal for step in steps for signal in step]
    assert [signal.principal for signal in found] == ["berta", "carla"], "each once; then it is no longer new"
    assert all(signal.time_us % (15 * MINUTE) == 0 for signal in found)
    assert all(later - 1 < signal.time_us <= later + 15 * MINUTE for signal in found)
