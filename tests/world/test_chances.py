"""Bounds against published values, and against the definition."""

from math import comb
from random import Random

import pytest

from tests.world.chances import bootstrap, bounds, quantile


@pytest.mark.parametrize(
    ("found", "of", "low", "high"),
    [(0, 10, 0.0, 0.308497), (5, 10, 0.187086, 0.812914), (10, 10, 0.691503, 1.0), (1, 20, 0.001265, 0.248733)],
)
def test_exact_bounds_are_those_of_tables(found: int, of: int, low: float, high: float) -> None:
    assert bounds(found, of) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(("found", "of"), [(3, 40), (17, 40), (39, 40)])
def test_at_a_bound_the_tail_is_two_and_a_half_percent(found: int, of: int) -> None:
    low, high = bounds(found, of)

    def at_least(p: float) -> float:
        return sum(comb(of, k) * p**k * (1 - p) ** (of - k) for k in range(found, of + 1))

    def at_most(p: float) -> float:
        return sum(comb(of, k) * p**k * (1 - p) ** (of - k) for k in range(found + 1))

    assert at_least(low) == pytest.approx(0.025, abs=1e-9)
    assert at_most(high) == pytest.approx(0.025, abs=1e-9)


def test_rare_things_in_millions_have_poissons_bounds() -> None:
    low, high = bounds(18, 1_800_000)
    assert low * 1_800_000 == pytest.approx(10.668, abs=0.01)
    assert high * 1_800_000 == pytest.approx(28.448, abs=0.01)
    assert bounds(0, 1_000_000)[1] * 1_000_000 == pytest.approx(3.689, abs=0.001)
    assert bounds(0, 0) == (0.0, 1.0)


def test_quantiles_are_values_that_were_seen() -> None:
    values = [5, 1, 4, 2, 3]
    assert [quantile(values, share) for share in (0.0, 0.2, 0.21, 0.5, 0.95, 1.0)] == [1, 1, 2, 3, 5, 5]
    assert quantile([], 0.5) == 0


def test_the_bootstrap_holds_the_statistic_and_nothing_that_was_not_there() -> None:
    values = [float(n) for n in range(100)]
    low, high = bootstrap(values, lambda drawn: sum(drawn) / len(drawn), Random(1))
    assert low < 49.5 < high
    assert 8 < high - low < 15, "four standard errors of 29 / 10"
    assert bootstrap([7.0] * 9, max, Random(1)) == (7.0, 7.0)
