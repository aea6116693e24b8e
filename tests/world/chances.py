"""Exact bounds of a proportion, quantiles, and what another drawing of campaigns might have given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, exp, lgamma, log, log1p
from random import Random

CONFIDENCE = 0.95
DRAWS = 1000
STEPS = 80  # halvings; more than a float has digits


def bounds(found: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact (Clopper and Pearson 1934) bounds of a proportion of which `found` of `of` were seen.

    They assume that the cases are independent; principal-days of one surprise are not.
    """
    if of <= 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if found == 0 else _solve(lambda p: _upper_tail(found, of, p) < tail)
    high = 1.0 if found == of else _solve(lambda p: _lower_tail(found, of, p) > tail)
    return low, high


def _solve(too_low: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if too_low(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _log_chance(k: int, n: int, p: float) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log1p(-p)


def _upper_tail(k: int, n: int, p: float) -> float:
    """The chance of k or more; only right where it is small (p below k / n) or the sum is short."""
    if p * n >= k:
        return 1.0
    term = total = exp(_log_chance(k, n, p)) if p > 0 else 0.0
    for i in range(k, n):
        term *= (n - i) / (i + 1) * p / (1 - p)
        total += term
        if term < total * 1e-17:
            break
    return total


def _lower_tail(k: int, n: int, p: float) -> float:
    """The chance of k or fewer, where that is small."""
    if p * n <= k:
        return 1.0
    if p >= 1:
        return 0.0
    term = total = exp(_log_chance(k, n, p))
    for i in range(k, 0, -1):
        term *= i / (n - i + 1) * (1 - p) / p
        total += term
        if term < total * 1e-17:
            break
    return total


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed; 0 without values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * share) - 1)]


def bootstrap(
    values: Sequence[float], statistic: Callable[[Sequence[float]], float], rng: Random
) -> tuple[float, float]:
    """Where a statistic lies in 95 of 100 drawings with replacement of so many campaigns."""
    if not values:
        return 0.0, 0.0
    found = sorted(statistic(rng.choices(values, k=len(values))) for _ in range(DRAWS))
    return found[int(DRAWS * 0.025)], found[int(DRAWS * 0.975)]
