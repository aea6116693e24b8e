"""The one door for asking: what is left of a budget, and a request for more, told to nobody but whose budget it is.

Steps 3 and 5 of a request's way (docs/architecture.md), as for records (`lookups.py`); nothing is charged:

3. Decide, under the very grant that is named, as for an access under it.
5. Record what was asked or told, in the transaction in which it is noted or read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from keten.budgets import asking, entries
from keten.budgets.model import Left
from keten.budgets.row import More
from keten.budgets.service import left
from keten.core.errors import Corrupt
from keten.exchange.opening import Door, Refusals, Stale, refs_of
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from keten.policy.model import Allow
from keten.policy.service import Decisions, Outcome
from keten.suppliers.register import Register
from keten.vault import personal
from keten.vault.keys import Keys


class Question(msgspec.Struct, frozen=True):
    """What is asked, under the grant of this id. records 0: only what is left, and what became of the last request."""

    client: str
    grant: str
    country: str
    channel: str
    address: str
    records: int = 0
    why: str = ""
    case: str = ""


class Words(msgspec.Struct, frozen=True):
    """What is sealed of a request, as JSON, under the client's own key. address: where it came from."""

    why: str
    case: str = ""
    address: str = ""


class Decided(msgspec.Struct, frozen=True):
    """A question that was decided upon."""

    question: Question
    outcome: Outcome
    epoch: int
    timezone: str = "UTC"


class Answer(msgspec.Struct, frozen=True):
    """What was recorded. reasons: of a refusal. budget: what is left, by window. request: the newest, if there is."""

    index: int
    reasons: tuple[str, ...] = ()
    budget: tuple[Left, ...] = ()
    request: More | None = None


class Asking:
    """Evaluates and records questions about a budget."""

    def __init__(self, door: Door, register: Register, decisions: Decisions, keys: Keys) -> None:
        self._door = door
        self._register = register
        self._decisions = decisions
        self._keys = keys

    def evaluate(self, question: Question, now_us: int) -> Decided:
        """Step 3. Raises `Invalid` (more-records, more-why, more-case)."""
        if question.records or question.why or question.case:
            asking.checked(question.records, question.why, question.case)
        epoch = self._door.fresh()
        outcome = self._decide(question, now_us)
        organisation = self._register.organisation()
        return Decided(question, outcome, epoch, organisation.timezone if organisation else "UTC")

    def _decide(self, question: Question, now_us: int) -> Outcome:
        action = "open"
        try:
            named = self._register.grant(question.grant)
            action = "lookup" if named is not None and named.form == "lookup" else "open"
            dataset = named.dataset if named is not None else ""
            return self._decisions.access(
                question.client, dataset, action, question.country, now_us, grant=question.grant
            )
        except Corrupt as error:
            if error.code != "register-mismatch":
                raise
            return self._decisions.mismatch(question.client, action, question.country, now_us, error.reason)

    def committing(self, decided: Decided, refusals: Refusals) -> Callable[[Writing], Answer | None]:
        """Step 5, to be run by the writer, alone; None when a refusal was only counted. Raises as `budgets.asking`."""

        def run(writing: Writing) -> Answer | None:
            question, outcome = decided.question, decided.outcome
            decision, grant = outcome.decision, outcome.grant
            details = self._details(decided)
            if not isinstance(decision, Allow) or grant is None:
                reasons = ("no-grant",) if isinstance(decision, Allow) else tuple(decision.reasons)
                if not refusals.admit(question.client, reasons, writing.time_us):
                    return None
                details |= {"outcome": "deny", "reasons": list(reasons)}
                return Answer(self._record(writing, decided, details), reasons)
            if not self._door.holds(decided.epoch) or writing.time_us >= decision.valid_until_us:
                raise Stale("stale", "Decide again.")
            client, now_us = question.client, writing.time_us
            if question.records:
                words = msgspec.json.encode(Words(question.why, question.case, question.address))
                sealed = personal.seal_for(writing, self._keys, client, words)
                wish = asking.Wish(client, grant.supplier, grant.dataset, question.records, sealed)
                request, index = asking.ask(writing, grant, wish, decided.timezone, details)
                return Answer(index, (), left(writing.connection, grant, client, now_us, decided.timezone), request)
            newest = asking.newest(writing.connection, grant.id, client)
            budget = left(writing.connection, grant, client, now_us, decided.timezone)
            details["state"] = newest.state_at(now_us) if newest is not None else "none"
            return Answer(self._record(writing, decided, details), (), budget, newest)

        return run

    def _details(self, decided: Decided) -> dict[str, Any]:
        question, outcome = decided.question, decided.outcome
        return {
            "outcome": "allow",
            "channel": question.channel,
            "policies": list(outcome.decision.policies),
            "policy_hash": outcome.policy_hash,
            "attributes": outcome.attributes,
            **self._door.place(question.address),
        }

    def _record(self, writing: Writing, decided: Decided, details: dict[str, Any]) -> int:
        client = decided.question.client
        kind = entries.MORE_TOLD if details["outcome"] == "allow" else entries.MORE_DENIED
        address = self._door.sealed_address(writing, client, decided.question.address)
        return writing.record(Draft(kind, client, (client,), refs_of(decided.outcome, None), details, address))
