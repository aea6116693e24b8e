"""Whose passkeys sign for what cannot be undone (law 14), and when they do. Signing runs in the writer's transaction.

As soon as two of the organisation's own people have ever made a passkey, two of them sign; this never goes back, for a
passkey's row stays when it ends. Before that, users of the operating system do (`requests.py`), and an entry says so.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from keten.core.clock import SECOND
from keten.core.errors import Conflict, Denied, Invalid
from keten.identity import passkeys
from keten.identity.people_model import Signed
from keten.identity.roles import may, roles_of
from keten.identity.rows import people
from keten.ledger import bound
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from keten.subjects.entries import UNSIGNED, kinds_of
from keten.subjects.model import Operator, Request, Signature, What
from keten.subjects.requests import get, made, require_open, waiting_for
from keten.subjects.tables import requests as table

ENOUGH = 2
"""So many different people sign."""
READ_US = 3600 * SECOND
"""So long after two people signed for it a client's addresses may be read."""
RIGHTS: dict[str, tuple[str, str]] = {
    "erase": ("ask-erasure", "approve-erasure"),
    "release": ("set-hold", "approve-erasure"),
    "destroy-dataset": ("ask-destruction", "approve-destruction"),
    "destroy-object": ("ask-destruction", "approve-destruction"),
    "destroy-contract": ("ask-destruction", "approve-destruction"),
    "read": ("approve-reading", "approve-reading"),
}
"""What is asked for → the act of `identity/roles.py` of whoever opens it, and of whoever else signs."""


def people_sign(connection: Connection) -> bool:
    """Whether it takes people with passkeys here, whatever became of them since."""
    return passkeys.staff_ever(connection, ENOUGH) >= ENOUGH


def may_now(connection: Connection, person_id: str, act: str, now_us: int) -> bool:
    """Whether one of the organisation's own people may do this at this moment. Raises `Corrupt`."""
    person = people.get(connection, person_id)
    if person is None or person.supplier or person.ended is not None or person.suspended_at(now_us):
        return False
    return may(roles_of(person, now_us), act)


def may_read(connection: Connection, subject: str, now_us: int) -> bool:
    """Whether two people signed within the hour for reading where this client called from, or people do not sign here.

    Raises `Corrupt` ("register-mismatch").
    """
    if not people_sign(connection):
        return True
    found = bound.find(connection, table, Request, target=subject)
    return any(one.what == "read" and one.state == "done" and now_us < one.decided_us + READ_US for one in found)


def propose(
    writing: Writing, what: What, kind: str, target: str, signed: Signed, act: str, reason: str, basis: str
) -> Request:
    """A person opens a request, and is the first to have signed for it; one that is open already stays as it is.

    1. The passkey signed for this very act.
    2. The person may open such a request now.
    3. What waits already is not asked for again, and not signed by it.

    act: see `Request`. Raises `Invalid` ("act-changed", "reason", "basis"), `Denied` ("not-allowed"), `Corrupt`.
    """
    if signed.act != act:  # 1
        raise Invalid("act-changed", "What was signed is not written as it is carried out.", f"{signed.act}, not {act}")
    if not may_now(writing.connection, signed.person, RIGHTS[what][0], writing.time_us):  # 2
        raise Denied("not-allowed", "None of your roles allows this.", f"{signed.actor} may not {RIGHTS[what][0]}")
    found = waiting_for(writing, what, target)  # 3
    if found is not None:
        return found
    request = made(writing, what, kind, target, Operator(signed.actor, -1), act, reason, basis)
    first = Signature(signed.person, signed.passkey, writing.time_us, signed.act)
    request = msgspec.structs.replace(request, signatures=(first,))
    writing.write(table, None, request, kinds_of(what)["waiting"], signed.actor, (), request.refs)
    return request


def sign(writing: Writing, request_id: str, what: str, act: str, signed: Signed) -> Request:
    """Another person signs. With the second of two who may, it is approved, and carried out whatever happens.

    1. It waits, and has not lapsed.
    2. It is what the person was shown: what is asked for, and the hash of its verb and body.
    3. Signatures of people who may not sign any more (ended, suspended, another role), or by a passkey that was ended
       since, are dropped.
    4. This person has not signed for it, and may approve it now.
    5. Two different people: approved. Else it waits for another one.

    Raises `NotFound`, `Conflict` ("request-over", "act-changed"), `Denied` ("second-person", "not-allowed"), `Corrupt`.
    """
    request = get(writing.connection, request_id)
    require_open(request, writing.time_us)  # 1
    if not request.act or request.what != what or request.act != act:  # 2
        raise Conflict("act-changed", "This is not what waits there; look at it again.", f"{what} {act[:64]}")
    counted = tuple(one for one in request.signatures if _counts(writing, request, one))  # 3
    if any(one.person == signed.person for one in counted):  # 4
        raise Denied("second-person", "You have signed for this; another person has to.", f"{signed.actor} twice")
    if not may_now(writing.connection, signed.person, RIGHTS[what][1], writing.time_us):
        raise Denied("not-allowed", "None of your roles allows this.", f"{signed.actor} may not {RIGHTS[what][1]}")
    mine = Signature(signed.person, signed.passkey, writing.time_us, signed.act)
    enough = len(counted) + 1 >= ENOUGH  # 5
    after = msgspec.structs.replace(
        request,
        state="approved" if enough else "waiting",
        signatures=(*counted, mine),
        approvers=ENOUGH,
        decided_by=signed.actor if enough else "",
        decided_us=writing.time_us if enough else 0,
    )
    kind = kinds_of(what)["approved" if enough else "signed"]
    writing.write(table, request, after, kind, signed.actor, (), request.refs)
    return after


def _counts(writing: Writing, request: Request, one: Signature) -> bool:
    passkey = passkeys.get(writing.connection, one.passkey)
    if passkey is None or passkey.ended is not None:
        return False
    return any(may_now(writing.connection, one.person, act, writing.time_us) for act in RIGHTS[request.what])


def note_unsigned(writing: Writing, what: str, refs: dict[str, str], actor: str) -> None:
    """That it is carried out without two people's passkeys. In the transaction that approves it, or before it is done.

    Raises `Denied` ("people-sign") when people sign here: then nobody else may.
    """
    if people_sign(writing.connection):
        raise people_have_to()
    details = {"what": what, "people": passkeys.staff_ever(writing.connection, ENOUGH)}
    writing.record(Draft(UNSIGNED, actor, refs=refs, details=details))


def people_have_to() -> Denied:
    """What a user of the operating system hears who would approve."""
    public = "Two people sign for this at the console, each with a passkey; a user of the machine is not enough."
    return Denied("people-sign", public)
