"""How the tests of decisions ask, and count what was decided."""

from __future__ import annotations

from typing import Any

from keten.policy.engine import Engine
from keten.policy.model import Attributes, Decision, Deny
from keten.policy.service import Decisions, Outcome
from tests.unit.policy.worlds import CLIENT, DATASET, NOW


class Counting(Engine):
    """The real engine, and on what it decided."""

    def __init__(self) -> None:
        super().__init__()
        self.decided: list[Attributes] = []

    def decide_many(self, slices: Any) -> list[Decision]:
        self.decided.extend(slices)
        return super().decide_many(slices)


def ask(decisions: Decisions, at_us: int = NOW, **fields: Any) -> Outcome:
    """One plain question, with some of it changed."""
    plain = {"client_id": CLIENT, "dataset_id": DATASET, "action": "open", "country": "NL"}
    return decisions.access(**(plain | fields), at_us=at_us)


def reasons(outcome: Outcome) -> tuple[str, ...]:
    """Why not; () when allowed."""
    return outcome.decision.reasons if isinstance(outcome.decision, Deny) else ()
