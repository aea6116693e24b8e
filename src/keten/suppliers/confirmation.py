"""What becomes of a right that somebody has to confirm again and again, when an estate names it. Pure."""

from __future__ import annotations

from keten.core.clock import DAY
from keten.identity.model import Confirmation


def confirming(days: int, before: Confirmation | None, now_us: int) -> Confirmation | None:
    """Until when a right counts. days: how often it has to be confirmed now; 0: never.

    1. Never: nobody has to. What was left is kept.
    2. It never had to be before, or is new: whoever applies the estate has confirmed it, at this moment.
    3. It had to be once, and has to again: what was left then is left now. Nobody confirms by taking a line out and
       putting it back.
    4. Else what was said holds, but no longer than if it were confirmed now.
    """
    if not days:  # 1
        if before is None or not before.every_days:
            return before
        return Confirmation(0, 0, max(0, before.until_us - now_us))
    from_now = now_us + days * DAY
    if before is None:  # 2
        return Confirmation(days, from_now)
    until_us = before.until_us if before.every_days else now_us + before.left_us  # 3
    return Confirmation(days, min(until_us, from_now))  # 4
