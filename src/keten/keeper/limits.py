"""A limit of the principal's own, as it is told (law 8)."""

from __future__ import annotations

from keten.budgets.errors import Limited
from keten.budgets.model import Spent
from keten.budgets.running_out import SLOW, STEP_UP
from keten.core.clock import SECOND, rfc3339
from keten.core.errors import Denied, KetenError


def limited(spent: Spent, share: str, now_us: int) -> KetenError:
    """What a budget's refusal is told as.

    share: the grant that was asked under; only of its own budget more can be asked for. now_us: microseconds UTC.
    """
    data = {"scope": spent.scope, "budget": str(spent.budget), "left": str(spent.left), "per": spent.per}
    data["until"] = rfc3339(spent.resets_us)
    if spent.scope == "grant":
        data["share"] = share
    if spent.code == STEP_UP:
        anew = Denied(STEP_UP, "The budget is used up; who signs in again may go on, up to a ceiling.")
        vars(anew)["data"] = data
        return anew
    if spent.code == SLOW:
        data["retry_after"] = str(max(1, -(-(spent.resets_us - now_us) // SECOND)))
        return Limited(SLOW, "The budget is used up; it goes on slowly.", data)
    return Limited("budget-spent", "The budget is used up; it is renewed at a later moment.", data)
