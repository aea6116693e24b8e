"""What happens when a budget runs out: it stops, slows down, or asks for signing in anew. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from keten.budgets.model import Limit, Spent, Window

SLOW, STEP_UP = "budget-slow", "budget-step-up"


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What is wanted of a limit, and when. Times are microseconds since 1970 UTC.

    wanted: records that were not charged in the window yet. spent: what was. last_us: when something was charged in
    it last (0: nothing was). extra: records allowed on request. signed_in_us: when the client did.
    """

    wanted: int
    spent: int
    last_us: int
    at_us: int
    extra: int = 0
    signed_in_us: int = 0


def threshold(limit: Limit, extra: int) -> int:
    """How many records of a window are given at once; what was allowed on request never lifts the ceiling."""
    records = limit.records + extra
    return records if limit.beyond is None else min(records, limit.beyond.most)


def refusal(limit: Limit, asked: Asked, within: Window, reached_us: Callable[[int], int], scope: str) -> Spent | None:
    """Why this is not given; None when it is.

    1. What stays within the budget is given.
    2. What would pass the ceiling is not, whoever asks and however long they wait.
    3. delay: each record past the budget takes so long since the last charge, so in any time no more than that.
    4. step-up: the client signed in after the last charge that stayed within the budget.

    within: the window. reached_us: when that last charge was, for a threshold that is reached (0: there was none).
    """
    most = threshold(limit, asked.extra)
    after = asked.spent + asked.wanted
    if after <= most:  # 1
        return None
    beyond = limit.beyond
    ceiling = most if beyond is None else beyond.most
    left = max(0, ceiling - asked.spent)
    if beyond is None or after > ceiling:  # 2
        return Spent(left, ceiling, within.end_us, scope, limit.per)
    if beyond.then == "delay":  # 3
        over = min(asked.wanted, after - most)
        free_us = max(asked.last_us, within.start_us) + over * beyond.every_us
        if asked.at_us >= free_us:
            return None
        return Spent(left, ceiling, min(free_us, within.end_us), scope, limit.per, SLOW)
    last_us = asked.last_us if asked.spent < most else reached_us(most)
    if asked.signed_in_us > max(last_us, within.start_us):  # 4
        return None
    return Spent(left, ceiling, within.end_us, scope, limit.per, STEP_UP)
