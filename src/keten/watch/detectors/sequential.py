"""A one-sided sequential test on a share (CUSUM): how much more do these events look like guessing than like work.

Each event that is a hit lowers the sum a little, each that is not raises it, by the logarithm of how much more
likely it is at the suspected share than at the usual one; it never falls below zero. Past ln(1/p) the usual
share explains it with a probability of at most about p per event, if events are independent (Page 1954, Lorden
1971). What is usual is at least a fixed share, and follows the key's own long-run share up to another.
"""

from __future__ import annotations

import math

import msgspec

_REMEMBERED = 2000.0
_CLEARLY = 1.25


class Share(msgspec.Struct, gc=False, array_like=True):
    """sum: of the test. first: id of the entry at which it rose from zero. odd, all: events in the long run, decayed.

    since_odd, since: events since the sum rose from zero.
    """

    sum: float = 0.0
    first: str = ""
    odd: float = 0.0
    all: float = 0.0
    since_odd: int = 0
    since: int = 0


class Test(msgspec.Struct, frozen=True):
    """least, most: the usual share is taken to lie between these. suspected: the share that is looked for.

    prior: how many events the least share is worth when the key's own share is estimated.
    """

    __test__ = False  # its name is no test's, whatever pytest thinks

    least: float
    most: float
    suspected: float
    prior: float = 300.0


def usual_share(share: Share, test: Test) -> float:
    """The share that counts as usual for this key."""
    sure = share.odd - math.sqrt(share.odd)  # what chance has added must not make the test blunt
    own = (sure + test.least * test.prior) / (share.all + test.prior)
    return min(own, test.most) if own > _CLEARLY * test.least else test.least


def take(share: Share, test: Test, odd: int, even: int, entry: str) -> float:
    """So many odd ones among others, in one event; the sum after it.

    What is mixed within one event is taken to be mixed evenly.
    """
    usual = usual_share(share, test)
    step = odd * math.log(test.suspected / usual) + even * math.log((1 - test.suspected) / (1 - usual))
    if share.sum <= 0.0:
        share.first, share.since, share.since_odd = entry, 0, 0
    share.sum = max(0.0, share.sum + step)
    share.since += odd + even
    share.since_odd += odd
    if share.sum <= 0.0:  # what an attack did is not learnt while it is being looked at
        share.odd += share.since_odd
        share.all += share.since
        if share.all > _REMEMBERED:
            share.odd *= _REMEMBERED / share.all
            share.all = _REMEMBERED
        share.since, share.since_odd, share.first = 0, 0, ""
    return share.sum


def begin_anew(share: Share) -> None:
    """It was told; what led to it is not learnt."""
    share.sum, share.first, share.since, share.since_odd = 0.0, "", 0, 0
