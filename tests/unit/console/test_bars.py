"""The bars: what they show is in proportion, and never outside of their frame."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from keten.console import bars


def widths(svg: str, name: str) -> list[float]:
    """The widths of the rectangles of a class."""
    return [float(width) for width in re.findall(rf'class="{name}"[^>]*? width="([\d.]+)"', svg)]


def test_amounts_are_in_proportion() -> None:
    svg = bars.amounts(100, 50, 200)
    assert (widths(svg, "can-fetch"), widths(svg, "received")) == ([100.0], [50.0])


def test_nothing_is_not_drawn() -> None:
    assert bars.amounts(0, 0, 100) == ""
    assert bars.amounts(None, None, 0) == ""
    assert widths(bars.amounts(0, 3, 3), "can-fetch") == []


def test_what_is_little_can_be_seen() -> None:
    assert widths(bars.amounts(1, 0, 10**9), "can-fetch") == [2.0]


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_amounts_stay_inside(can_fetch: int, received: int, largest: int) -> None:
    svg = bars.amounts(can_fetch, received, largest)
    assert all(0 < width <= bars.WIDTH for width in widths(svg, "can-fetch") + widths(svg, "received"))


@given(st.integers(-(10**18), 10**18), st.integers(-(10**18), 10**18), st.integers(-(10**18), 10**18))
def test_time_stays_inside(start: int, end: int, now: int) -> None:
    svg = bars.elapsed(start, end, now)
    assert (svg == "") == (end <= start)
    assert all(0 < width <= bars.WIDTH for width in widths(svg, "elapsed"))
