"""Which verbs of the operators a person may say at a face, with which act, and whether it takes a fresh assertion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from keten.core.errors import Conflict, Invalid, NotFound
from keten.identity.model import Person
from keten.keeper import people_protocol as people
from keten.keeper import subject_protocol as told
from keten.keeper.protocol import Apply, Revoke
from keten.keeper.recovery_protocol import ApproveRecovery
from keten.keeper.rights_protocol import MOST_CONFIRMED, ConfirmRoles
from keten.keeper.watch_protocol import Handle
from keten.subjects.signing import RIGHTS
from keten.suppliers.register import Register


class Act(msgspec.Struct, frozen=True):
    """What it takes to say a verb: an act of `identity/roles.py`, and whether a fresh assertion of a passkey."""

    act: str
    fresh: bool


Rule = Callable[[Register, Any], Act]
OwnRule = Callable[[Register, Person, Any], Act]
"""A rule that also looks at who asks. Raises `NotFound` ("absent") for what is not that person's to touch."""


def _always(act: str, *, fresh: bool = False) -> Rule:
    return lambda _register, _body: Act(act, fresh)


def _apply(_register: Register, body: Apply) -> Act:
    """A person applies what it saw the difference of; somebody else may have changed the register meanwhile."""
    if not body.plan_only and not body.base:
        raise Invalid("no-base", "Say as of when the register was when you looked at the difference (base).")
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


def _confirm_roles(register: Register, body: ConfirmRoles) -> Act:
    """Roles of the organisation's own people, or of suppliers' people alone."""
    rows = [register.named("person", name) for name in body.people[:MOST_CONFIRMED]]
    outside = bool(rows) and all(isinstance(row, Person) and row.supplier for row in rows)
    return Act("confirm-contacts" if outside else "confirm-roles", fresh=True)


def _revoke(register: Register, body: Revoke) -> Act:
    """One of the organisation's own people is ended by other roles than what a supplier has."""
    person = register.named("person", body.target) if body.kind == "person" else None
    own = isinstance(person, Person) and not person.supplier
    return Act("end-person" if own else "end-access", fresh=True)


def _approve_recovery(register: Register, body: ApproveRecovery) -> Act:
    """By whose account it is: owners of data approve for suppliers' people, officers for the organisation's own."""
    person = register.person(body.person)
    own = person is not None and not person.supplier
    return Act("approve-staff-recovery" if own else "approve-recovery", fresh=True)


def _asks(act: str) -> Rule:
    """Asking for what takes two people: the passkey is the first signature. To see what it would do takes none."""
    return lambda _register, body: Act(act, fresh=not body.plan_only)


def _approve(_register: Register, body: told.Approve) -> Act:
    """The second signature, by what is asked for. To see what it would do, for whoever may see what waits."""
    if body.plan_only:
        return Act("see-proposals", fresh=False)
    return Act(_second(body.what), fresh=True)


def _refuse(_register: Register, body: told.Refuse) -> Act:
    """Whoever might have signed may refuse it, and needs no passkey to stop something."""
    return Act(_second(body.what), fresh=False)


def _second(what: str) -> str:
    """The act of the second person. Raises `Invalid` ("kind")."""
    if what not in RIGHTS:
        raise Invalid("kind", f"What takes two people: {', '.join(RIGHTS)}.", what[:60])
    return RIGHTS[what][1]


CONSOLE: dict[str, Rule] = {
    "keeper.status": _always("see-settings"),
    "revocation.revoke": _revoke,
    "suppliers.apply": _apply,
    "budgets.requests": _always("answer-requests"),
    "budgets.answer": _always("answer-requests", fresh=True),
    "budgets.show": _always("see-alerts"),
    "watch.alerts": _always("see-alerts"),
    "watch.handle": _handle,
    "rights.unconfirmed": _always("see-unconfirmed"),
    "rights.confirm_grants": _always("confirm-grants", fresh=True),
    "rights.confirm_roles": _confirm_roles,
    "rights.end": _always("confirm-grants", fresh=True),
    "policy.decide": _always("explain-decision"),
    "policy.replay": _always("explain-decision"),
    "ledger.locate": _always("prove-entry"),
    "people.invite": _invite,
    "recovery.cases": _always("see-recoveries"),
    "recovery.open": _always("open-recovery", fresh=True),
    "recovery.approve": _approve_recovery,
    "people.sessions": _always("end-sessions"),
    "people.sign_out_all": _always("end-sessions", fresh=True),
    "subjects.requests": _always("see-proposals"),
    "subjects.erase": _asks("ask-erasure"),
    "revocation.destroy": _asks("ask-destruction"),
    "subjects.approve": _approve,
    "subjects.refuse": _refuse,
}
"""Verb → what it takes, at the console. What is not here, nobody may say there."""


def _colleague(register: Register, person: Person, target: str) -> Person:
    """The person of one's own supplier with this random id. Raises `NotFound` ("absent"), for foreign ones too."""
    found = register.person(target)
    if found is None or not person.supplier or found.supplier != person.supplier or found.erased:
        raise NotFound("absent", "There is no such person of your organisation.")
    return found


def _invite_colleague(register: Register, person: Person, body: people.Invite) -> Act:
    _colleague(register, person, body.person)
    return Act("portal-invite", fresh=True)


def _end_colleague(register: Register, person: Person, body: Revoke) -> Act:
    """Ending a person, and nothing else; oneself is ended by a colleague or by the organisation."""
    if body.kind != "person":
        raise NotFound("absent", "There is no such person of your organisation.")
    if _colleague(register, person, body.target).id == person.id:
        raise Conflict("own-self", "You cannot end yourself; a colleague who is a contact can.")
    return Act("portal-end-person", fresh=True)


def _own(*, fresh: bool) -> OwnRule:
    """Cases of one's own supplier; whose a case is, its handler looks at."""
    return lambda _register, _person, _body: Act("portal-approve-recovery", fresh)


PORTAL: dict[str, OwnRule] = {
    "recovery.cases": _own(fresh=False),
    "recovery.approve": _own(fresh=True),
    "people.invite": _invite_colleague,
    "revocation.revoke": _end_colleague,
}
"""Verb → what it takes, at the portal. What is not here, nobody may say there."""
