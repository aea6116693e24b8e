"""What is usual for one key, and for its peers: amounts by period, learnt slowly, so that patience can't train it.

Every period in which something happened is an observation. The usual amount may grow by a fixed share of itself a
day and no faster, and an observation counts as at most four times what was usual. Until enough was seen of one key,
its peers' usual amount is taken for its own.
"""

from __future__ import annotations

import math

import msgspec

GROWTH_A_DAY = 0.015
"""How much the usual amount may grow in a day: 60 days of patience make it 2.44 times as much, and no more."""
_CLIP = 4.0
_PRIOR = 5.0  # observations that the peers' word is worth
_WARM = 10.0  # observations after which growth is capped
_LONGEST = 30.0
_PEERS_LONGEST = 200.0
_PEERS_NEEDED = 10.0  # observations before peers say anything
_SPREAD, _LEAST_SPREAD, _MOST_SPREAD = 0.5, 0.35, 1.0
_LONGEST_GAP_DAYS = 30.0
_TO_SIGMA = 1.2533  # a normal's standard deviation for its mean absolute deviation


class Peers(msgspec.Struct, gc=False, array_like=True):
    """What is usual for one of a group, in one period.

    day: of the newest observation; base: the usual amount as that day began. observed: how many there were, at most
    200 count. usual: amount of one of them in a period. spread: mean absolute logarithm of amount to usual.
    """

    day: int = -1
    base: float = 0.0
    observed: float = 0.0
    usual: float = 0.0
    spread: float = _SPREAD


class Level(msgspec.Struct, gc=False, array_like=True):
    """What is usual for one key. period: the newest; amount: in it so far; told: severities already told in it."""

    period: int = -1
    amount: float = 0.0
    told: int = 0
    observed: float = 0.0
    usual: float = 0.0
    spread: float = _SPREAD


def turn(level: Level, period: int, periods_a_day: float, peers: Peers | None) -> None:
    """An event of `period` comes: when it is a new one, learn from the one before. Late ones count into the newest."""
    if period <= level.period:
        return
    if level.period >= 0 and level.amount > 0:
        day = int(level.period / periods_a_day)
        _learn(level, min((period - level.period) / periods_a_day, _LONGEST_GAP_DAYS), peers)
        if peers is not None:
            _learn_of(peers, level.amount, day)
    level.period = period
    level.amount = 0.0
    level.told = 0


def usual(level: Level, peers: Peers | None) -> float:
    """The usual amount of a period: the key's own, and its peers' for as long as little is known of it."""
    if peers is None or peers.observed < _PEERS_NEEDED:
        return level.usual
    weight = level.observed / (level.observed + _PRIOR)
    return weight * level.usual + (1 - weight) * peers.usual


def knows(level: Level, peers: Peers | None, least: float) -> bool:
    """Whether enough was seen to say what is usual: of the key itself, or of its peers."""
    return level.observed >= least or (peers is not None and peers.observed >= _PEERS_NEEDED)


def bound(level: Level, peers: Peers | None, sigmas: float) -> float:
    """An amount that a period exceeds about as seldom as a normal exceeds so many standard deviations."""
    spread = level.spread
    if peers is not None and peers.observed >= _PEERS_NEEDED:
        weight = level.observed / (level.observed + _PRIOR)
        spread = weight * spread + (1 - weight) * peers.spread
    return usual(level, peers) * math.exp(sigmas * _TO_SIGMA * spread)


def _learn(level: Level, days: float, peers: Peers | None) -> None:
    amount = level.amount
    if level.observed == 0 and (peers is None or peers.observed < _PEERS_NEEDED):
        level.usual, level.observed = amount, 1.0
        return
    before = usual(level, peers) if level.observed < _WARM else level.usual
    clipped = min(amount, _CLIP * max(before, 1.0))
    weight = 1.0 / (min(level.observed, _LONGEST) + 1.0)
    level.spread = _spread(level.spread, clipped, before, max(weight, 1.0 / _LONGEST))
    new = level.usual + weight * (clipped - level.usual) if level.observed else clipped
    if level.observed >= _WARM:
        new = min(new, level.usual * (1.0 + GROWTH_A_DAY) ** days)
    level.usual = new
    level.observed = min(level.observed + 1.0, _LONGEST)


def _learn_of(peers: Peers, amount: float, day: int) -> None:
    if peers.observed == 0:
        peers.day, peers.base, peers.usual, peers.observed = day, amount, amount, 1.0
        return
    if day > peers.day:
        peers.base = peers.usual * (1.0 + GROWTH_A_DAY) ** min(day - peers.day, _LONGEST_GAP_DAYS)
        peers.day = day
    clipped = min(amount, _CLIP * max(peers.usual, 1.0))
    weight = 1.0 / (peers.observed + 1.0)
    peers.spread = _spread(peers.spread, clipped, peers.usual, max(weight, 1.0 / _PEERS_LONGEST))
    new = peers.usual + weight * (clipped - peers.usual)
    peers.usual = min(new, peers.base) if peers.observed >= _PEERS_NEEDED else new
    peers.observed = min(peers.observed + 1.0, _PEERS_LONGEST)


def _spread(spread: float, amount: float, before: float, weight: float) -> float:
    off = min(abs(math.log((amount + 1.0) / (before + 1.0))), 2.0)
    return min(max(spread + weight * (off - spread), _LEAST_SPREAD), _MOST_SPREAD)
