"""Which verbs of the operators a person may say at a face, with which act, and whether it takes a fresh assertion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from keten.identity.model import Person
from keten.keeper import people_protocol as people
from keten.keeper.protocol import Apply, Revoke
from keten.keeper.watch_protocol import Handle
from keten.suppliers.register import Register


class Act(msgspec.Struct, frozen=True):
    """What it takes to say a verb: an act of `identity/roles.py`, and whether a fresh assertion of a passkey."""

    act: str
    fresh: bool


Rule = Callable[[Register, Any], Act]


def _always(act: str, *, fresh: bool = False) -> Rule:
    return lambda _register, _body: Act(act, fresh)


def _apply(_register: Register, body: Apply) -> Act:
    return Act("apply-estate", fresh=not body.plan_only)


def _handle(_register: Register, body: Handle) -> Act:
    """What lifts a response gives access back: that is another act. To say that it was fine lifts it too."""
    gives_back = body.action in ("lift", "fine")
    return Act("lift-restraint", fresh=True) if gives_back else Act("handle-alerts", fresh=False)


def _invite(register: Register, body: people.Invite) -> Act:
    """By whose person it is; of somebody who is not there, what the fewest may do."""
    person = register.named("person", body.person)
    supplier = isinstance(person, Person) and bool(person.supplier)
    return Act("invite-contact" if supplier else "invite-staff", fresh=True)


def _revoke(register: Register, body: Revoke) -> Act:
    """One of the organisation's own people is ended by other roles than what a supplier has."""
    person = register.named("person", body.target) if body.kind == "person" else None
    own = isinstance(person, Person) and not person.supplier
    return Act("end-person" if own else "end-access", fresh=True)


CONSOLE: dict[str, Rule] = {
    "revocation.revoke": _revoke,
    "suppliers.apply": _apply,
    "budgets.requests": _always("answer-requests"),
    "budgets.answer": _always("answer-requests", fresh=True),
    "watch.alerts": _always("see-alerts"),
    "watch.handle": _handle,
    "policy.decide": _always("explain-decision"),
    "policy.replay": _always("explain-decision"),
    "ledger.locate": _always("prove-entry"),
    "people.invite": _invite,
}
"""Verb → what it takes, at the console. What is not here, nobody may say there. The portal has none yet."""
