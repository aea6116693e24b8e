"""What becomes of a right that somebody has to confirm again and again, when an estate names it. Pure."""

from __future__ import annotations

from keten.core.clock import DAY
from keten.identity.model import Confirmation


def confirming(days: int, before: Confirmation | None, now_us: int) -> Confirmation | None:
    """Until when a right counts. days: how often it has to be confirmed now; 0: never.

    1. Never: nobody has to.
    2. It did not have to be before, or is new: whoever applies the estate has confirmed it, at this moment.
    3. Else what was said holds, but no longer than if it were confirmed now.
    """
    if not days:  # 1
        return None
    from_now = now_us + days * DAY
    if before is None:  # 2
        return Confirmation(days, from_now)
    return Confirmation(days, min(before.until_us, from_now))  # 3
