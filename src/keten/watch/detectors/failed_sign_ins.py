"""Failed sign-ins of many principals from one network, and a sign-in that succeeds there afterwards.

Default, within six hours: `low` for five principals that never signed in from there, or 200 refused strangers;
`medium` for ten; `medium` when one of them then gets in, or after ten anybody who never did from there. Whoever fails
and then signs in was only clumsy, and is left out. A network in which nothing
happened for 30 days is forgotten.
"""

from __future__ import annotations

import msgspec

from keten.watch.detectors.detector import DAY_US, HOUR_US, NOTHING, Detector, signal
from keten.watch.model import Event, Fact, Severity, Signal

WITHIN_US = 6 * HOUR_US
FEW, MANY, STRANGERS = 5, 10, 200
_MOST_FAILED = 64
_MOST_GOOD = 256
_SHORT = 12  # characters of an id, of five bits each
NOT_FAILED = frozenset(
    {
        "contract-ended",
        "contract-not-started",
        "no-contract",
        "client-ended",
        "supplier-ended",
        "revoked",
        "suspended",
        "supplier-frozen",
        "slowed",
        "session-ended",
        "token-expired",
        "proof-expired",
        "too-many-sessions",
    }
)
"""Refusals that show nobody guessing: the proof was right, or only too old."""


class Attempts(msgspec.Struct, gc=False, array_like=True):
    """since: begin of the window, entry: its first. failed: principals in it. strangers: how many. told: in it.

    good: principals that signed in from this network → the day they did last.
    """

    since: int = -1
    entry: str = ""
    failed: list[str] = []
    strangers: int = 0
    told: int = 0
    good: dict[str, int] = {}


class FailedSignIns(Detector[Attempts]):
    """Facts: network (a pseudonym), principals (that failed), strangers (refused). Names a principal that got in."""

    code = "failed-sign-ins"
    whats = frozenset({"sign-in"})
    space = "network"
    state = Attempts
    forgets_us = 30 * DAY_US

    def step(self, state: Attempts, event: Event) -> tuple[Signal, ...]:
        """A sign-in from this network."""
        if state.since < 0 or event.time_us - state.since > WITHIN_US:
            state.since, state.entry, state.failed, state.strangers, state.told = event.time_us, event.id, [], 0, 0
        principal = event.principal[:_SHORT]
        if event.allowed:
            return self._succeeded(state, principal, event)
        if not principal:
            state.strangers += event.count
        elif principal in state.good or principal in state.failed or NOT_FAILED.issuperset(event.reasons):
            return NOTHING
        elif len(state.failed) < _MOST_FAILED:
            state.failed = [*state.failed, principal]
        failed = len(state.failed)
        place = 2 if failed >= MANY else 1 if failed >= FEW or state.strangers >= STRANGERS else 0
        if place <= state.told:
            return NOTHING
        state.told = place
        return self._signal(state, "medium" if place > 1 else "low", msgspec.structs.replace(event, principal=""))

    def _succeeded(self, state: Attempts, principal: str, event: Event) -> tuple[Signal, ...]:
        guessed = principal in state.failed if state.told == 1 else state.told > 1 and principal not in state.good
        if principal in state.failed:
            state.failed = [each for each in state.failed if each != principal]
        state.good[principal] = event.time_us // DAY_US
        if len(state.good) > _MOST_GOOD:
            del state.good[min(state.good, key=lambda each: (state.good[each], each))]
        return self._signal(state, "medium", event) if guessed else NOTHING

    def _signal(self, state: Attempts, severity: Severity, event: Event) -> tuple[Signal, ...]:
        facts: dict[str, Fact] = {
            "network": event.network,
            "principals": len(state.failed),
            "strangers": state.strangers,
        }
        return (signal(self, severity, event, facts, state.entry),)
