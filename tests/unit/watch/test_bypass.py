"""What goes to a supplier past the door is told, and what Keten itself delivered is not."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keten.watch.detectors.bypass import (
    KEPT_DAYS,
    LINK_LEAST,
    MEGABYTE,
    MOST_KNOWN,
    MOST_NETWORKS,
    MOST_OPEN,
    Bypass,
    Past,
)
from keten.watch.detectors.detector import DAY_US, HOUR_US
from keten.watch.engine import Engine
from keten.watch.model import MOST_LINKS, Event, Link, Signal
from tests.unit.watch.happening import MONDAY_US, event

FIRST = MONDAY_US // DAY_US
THERE, ELSEWHERE = "t" * 16, "e" * 16
GIGABYTE = 1000 * MEGABYTE


class World:
    """One supplier's events, with rising indexes."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.engine = Engine([Bypass()], folder)
        self._indexes = count()
        self.opened = ""

    def _step(self, at: float, **said: Any) -> list[Signal]:
        made = event(next(self._indexes), MONDAY_US + int(at * DAY_US), **said)
        if said["what"] == "open":
            self.opened = made.id
        return self.engine.step(made)

    def flow(
        self, at: float, amount: int, *, outside: str = THERE, target: str = "net port 443", day: int = -1, **link: Any
    ) -> list[Signal]:
        """Flow logs say, at a moment in days, that so many bytes went out that day or on another one."""
        found = (Link(target, outside, bytes=amount, flows=1, **link),)
        of = FIRST + (int(at) if day < 0 else day)
        return self._step(at, what="flow", principal="", network="", bytes=amount, day=of, links=found)

    def open(self, day: float, length: int, *, network: str = THERE) -> str:
        """Keten begins to deliver; the id of the opening."""
        assert self._step(day, what="open", length=length, network=network) == []
        return self.opened

    def delivered(self, day: float, opening: str, amount: int) -> None:
        """It has."""
        assert self._step(day, what="delivered", network="", opening=opening, bytes=amount) == []

    def deliver(self, day: float, length: int, *, network: str = THERE) -> None:
        """Both."""
        self.delivered(day, self.open(day, length, network=network), length)


def severities(signals: list[Signal]) -> list[str]:
    return [one.severity for one in signals]


def test_the_very_first_gigabyte_is_told() -> None:
    (link, much) = World().flow(0.5, 3 * GIGABYTE, inside="i" * 16)
    assert (link.severity, much.severity) == ("low", "high")
    assert (much.principal, much.supplier, much.dataset) == ("", "supplier", "dataset")
    assert much.facts == {
        "recipient": "supplier", "bytes": 3 * GIGABYTE, "usual_bytes": 0, "day": "2026-06-01",
        "link": "net port 443", "flows": 1, "from_network": "i" * 16,
    }  # fmt: skip


def test_each_step_is_told_once_a_day() -> None:
    world = World()
    assert severities(world.flow(0.1, 50 * MEGABYTE)) == ["low"]
    assert severities(world.flow(0.2, 49 * MEGABYTE)) == []
    assert severities(world.flow(0.3, 1 * MEGABYTE)) == ["medium"]
    assert severities(world.flow(0.4, 500 * MEGABYTE)) == []
    assert severities(world.flow(0.5, 400 * MEGABYTE)) == ["high"]
    assert severities(world.flow(0.6, 9 * GIGABYTE)) == []
    assert severities(world.flow(1.1, 2 * GIGABYTE)) == ["high"]


def test_a_link_is_told_once_and_another_one_again() -> None:
    world = World()
    assert severities(world.flow(0, 2 * MEGABYTE, inside="a")) == ["low"]
    assert severities(world.flow(0.1, 2 * MEGABYTE, inside="a")) == []
    assert severities(world.flow(0.2, 2 * MEGABYTE, inside="b")) == ["low"]
    assert severities(world.flow(0.3, 2 * MEGABYTE, inside="b", target="host port 22")) == ["low"]
    assert severities(World().flow(0, LINK_LEAST - 1)) == []
    assert severities(World().flow(0, 0, unsized=1)) == ["low"]  # squid does not say how much


def test_what_keten_delivered_is_accounted_for() -> None:
    world = World()
    world.deliver(0.4, 5 * GIGABYTE)
    assert world.flow(0.5, 5 * GIGABYTE + 400 * MEGABYTE) == []  # with what protocols take
    assert severities(world.flow(0.6, 300 * MEGABYTE)) == ["low", "medium"]


def test_what_is_under_way_counts_for_what_it_may_and_then_for_what_it_did() -> None:
    world = World()
    opening = world.open(0.4, 5 * GIGABYTE)
    assert world.flow(0.5, 3 * GIGABYTE) == []  # a collector tells of long flows before their end
    world.delivered(0.6, opening, 1000)  # it was broken off at once, and the log says otherwise
    assert severities(world.flow(0.7, 1)) == ["low", "high"]


def test_another_networks_downloads_hide_nothing() -> None:
    world = World()
    world.deliver(0.4, 50 * GIGABYTE, network=ELSEWHERE)
    assert severities(world.flow(0.5, 2 * GIGABYTE)) == ["low", "high"]
    assert severities(World().flow(0.5, 2 * GIGABYTE, outside="")) == ["low", "high"]


def test_midnight_and_clocks_that_differ() -> None:
    for delivered, of_day in ((1.01, 0), (0.99, 1)):
        world = World()
        world.deliver(delivered, 5 * GIGABYTE)
        assert world.flow(1.02, 5 * GIGABYTE, day=of_day) == []
        assert severities(world.flow(1.03, 5 * GIGABYTE, day=3)) == ["low", "high"]


def test_small_things_at_the_door_add_up() -> None:
    world = World()
    for number in range(10_000):  # a day of lookups, each an answer of a few kilobytes
        world._step(0.3 + number / 100_000, what="lookup", network=THERE, asked=1, records=1)
    assert world.flow(0.5, 100 * MEGABYTE) == []


def test_what_is_usual_is_told_no_more_and_what_is_not_is() -> None:
    world = World()
    told = [severities(world.flow(day + 0.5, 300 * MEGABYTE)) for day in range(20)]
    assert told[0] == ["low", "medium"]
    assert all(not one for one in told[8:])
    assert severities(world.flow(20.5, 30 * GIGABYTE)) == ["high"]
    assert world.engine.step(event(10**6, MONDAY_US, what="sign-in")) == []


def test_patience_trains_it_slowly() -> None:
    world = World()
    for day in range(20):
        world.flow(day + 0.5, 200 * MEGABYTE)
    amount, told = 200.0 * MEGABYTE, 0
    for day in range(20, 80):
        amount *= 1.06
        told += bool(world.flow(day + 0.5, int(amount)))
    assert told > 10


def test_late_ones_are_judged_by_their_own_day() -> None:
    world = World()
    for day in range(10):
        world.flow(day + 0.5, 10 * MEGABYTE)
    for of_day in range(5):  # a collector's backlog, of many days: each by itself is little
        assert world.flow(10.5, 90 * MEGABYTE, day=of_day) == []
    assert severities(world.flow(10.6, 2 * GIGABYTE, day=1)) == ["high"]


def test_it_goes_on_after_a_restart_as_if_nothing_had_been(tmp_path: Path) -> None:
    def steps(world: World, *, restarts: bool) -> list[Signal]:
        found: list[Signal] = []
        for day in range(12):
            world.deliver(day + 0.2, (day % 3) * GIGABYTE)
            found += world.flow(day + 0.5, (day % 4) * GIGABYTE, inside=str(day % 2))
            if restarts:
                world.engine.save(day)
                world.engine.close()
                world.engine = Engine([Bypass()], world.folder)
        return found

    assert steps(World(tmp_path), restarts=True) == steps(World(), restarts=False)


def test_its_state_is_bounded() -> None:
    detector, state = Bypass(), Past()
    for number in range(3000):
        day = FIRST + number // 500
        links = tuple(Link(f"{number}/{n}", f"{number}{n}", bytes=MEGABYTE * 2) for n in range(MOST_LINKS))
        detector.step(state, event(number, day * DAY_US, what="flow", day=day, bytes=0, links=links))
        opened = event(number, day * DAY_US, what="open", length=5, network=str(number))
        detector.step(state, opened)
    assert len(state.days) <= KEPT_DAYS
    assert all(len(networks) <= MOST_NETWORKS + 1 for networks in state.days.values())
    assert (len(state.links.seen), len(state.open)) == (MOST_KNOWN, MOST_OPEN)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["flow", "open", "delivered", "lookup", "sign-in"]),
            st.integers(0, 2**53), st.integers(0, 2**53), st.integers(0, 40), st.sampled_from(["", THERE, ELSEWHERE]),
        ),
        max_size=40,
    )
)  # fmt: skip
@pytest.mark.parametrize("hours", [1, 30])
def test_any_order_of_any_amounts(hours: int, happened: list[tuple[Any, int, int, int, str]]) -> None:
    engine = Engine([Bypass()])
    for number, (what, amount, other, day, network) in enumerate(happened):
        link = (Link("x", network, bytes=other),) if other % 2 else ()
        made: Event = event(
            number, MONDAY_US + number * hours * HOUR_US, what=what, network=network, bytes=amount, length=other,
            opening=f"{max(0, number - 1):026d}", day=FIRST + day - 20, links=link, asked=1,
        )  # fmt: skip
        for signal in engine.step(made):
            assert signal.detector == "bypass"
            assert int(signal.facts["bytes"]) >= 0
