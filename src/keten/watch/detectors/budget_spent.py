"""A budget is used up, and more is asked for. Default: `low`, once a day: the budget itself has stopped it."""

from __future__ import annotations

import msgspec

from keten.watch.detectors.detector import DAY_US, NOTHING, Detector, signal
from keten.watch.model import Event, Signal

SPENT = frozenset({"budget-spent", "budget-slow", "budget-step-up"})
"""Whatever its owner lets happen then."""


class Spent(msgspec.Struct, gc=False, array_like=True):
    """day: on which it was told last. days: on how many it was."""

    day: int = -1
    days: int = 0


class BudgetSpent(Detector[Spent]):
    """Facts: days (on which it happened, with this one)."""

    code = "budget-spent"
    whats = frozenset({"open", "lookup"})
    state = Spent

    def step(self, state: Spent, event: Event) -> tuple[Signal, ...]:
        """A refusal for the budget."""
        day = event.time_us // DAY_US
        if event.allowed or SPENT.isdisjoint(event.reasons) or day <= state.day:
            return NOTHING
        state.day = day
        state.days += 1
        return (signal(self, "low", event, {"days": state.days}),)
