"""Two people for what cannot be undone (law 14): one asks, another one approves. They run in the writer's transaction.

Who they are is the operating system's word. One user that acts twice is one person, root too. Once people have
passkeys, two of them sign instead (`signing.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from keten.core.errors import Conflict, Corrupt, Denied, Invalid, NotFound
from keten.core.ids import is_id, new_id
from keten.ledger import bound
from keten.ledger.writing import Writing
from keten.subjects.entries import kinds_of
from keten.subjects.model import Operator, Request, State, What
from keten.subjects.tables import requests
from keten.vault.rules import check_reason

LAPSE_US = 30 * 86_400 * 1_000_000
MAX_BASIS = 200
_STATED = {
    "approved": "is approved already, and being carried out",
    "refused": "was refused",
    "lapsed": "lapsed: nobody approved it within 30 days",
    "done": "was carried out already",
}


def get(connection: Connection, request_id: str) -> Request:
    """A request, checked. Raises `NotFound` ("absent"), `Corrupt` ("register-mismatch")."""
    found = bound.get(connection, requests, Request, request_id) if is_id(request_id) else None
    if found is None:
        raise NotFound("absent", "There is no such request.", request_id[:60])
    return found


def in_state(connection: Connection, state: State) -> list[Request]:
    """The requests in a state, checked, in the order of their last change. Raises `Corrupt`."""
    return bound.find(connection, requests, Request, state=state)


def ask(
    writing: Writing, what: What, kind: str, target: str, operator: Operator, reason: str, basis: str, act: str = ""
) -> Request:
    """Ask for something; what waits for approval already is not asked for again. act: see `Request`.

    Raises `Invalid` ("reason", "basis"), `Corrupt` ("register-mismatch").
    """
    asked = made(writing, what, kind, target, operator, act, reason, basis)
    found = waiting_for(writing, what, target)
    if found is not None:
        return found
    writing.write(requests, None, asked, kinds_of(what)["waiting"], operator.actor, (), asked.refs)
    return asked


def waiting_for(writing: Writing, what: What, target: str) -> Request | None:
    """The request for this that waits already. Raises `Corrupt` ("register-mismatch")."""
    for found in bound.find(writing.connection, requests, Request, target=target):
        if found.what == what and _is_open(found, writing.time_us):
            return found
    return None


def made(
    writing: Writing, what: What, kind: str, target: str, operator: Operator, act: str, reason: str, basis: str
) -> Request:
    """A request as it would be asked now. Raises `Invalid` ("reason", "basis")."""
    reason = check_reason(reason)
    if len(basis) > MAX_BASIS or (basis and not basis.isprintable()):
        raise Invalid("basis", f"A basis is one line of at most {MAX_BASIS} characters.")
    request_id = new_id()
    return Request(
        id=request_id,
        name=request_id,
        what=what,
        kind=kind,
        target=target,
        reason=reason,
        basis=basis.strip(),
        asked_by=operator.name,
        asked_uid=operator.uid,
        asked_us=writing.time_us,
        lapses_us=writing.time_us + LAPSE_US,
        act=act,
    )


def require_approvable(
    request: Request, operator: Operator, approvers: int, named: Container[int], now_us: int
) -> None:
    """That this person may approve this request now. named: the numbers of the users whom the settings name.

    1. It waits, and has not lapsed.
    2. Whoever approves is another user than whoever asked, unless one person is enough here.
    3. And one who is named: root and the keeper's own user are whoever can become them, so no second person.

    Raises `Conflict` ("request-over"), `Denied` ("second-person").
    """
    require_open(request, now_us)  # 1
    if approvers > 1 and operator.uid == request.asked_uid:  # 2
        raise Denied(
            "second-person",
            f"{request.asked_by} asked for this; another person has to approve it, under a user of their own.",
            f"uid {operator.uid} asked and would approve",
        )
    if approvers > 1 and operator.uid not in named:  # 3
        raise Denied(
            "second-person",
            f"{operator.name} is not named in [keeper] operator_users: a person who is has to approve it, under a user "
            "of their own.",
            f"uid {operator.uid} is not named",
        )


def require_open(request: Request, now_us: int) -> None:
    """That it waits, and has not lapsed. Raises `Conflict` ("request-over")."""
    if not _is_open(request, now_us):
        state = "lapsed" if request.state == "waiting" else request.state
        raise Conflict("request-over", f"This request {_STATED[state]}.", request.id)


def approve(writing: Writing, request_id: str, operator: Operator, approvers: int, named: Container[int]) -> Request:
    """Approve a request; from here on it is carried out, whatever happens. Raises as `require_approvable` and `get`."""
    request = get(writing.connection, request_id)
    require_approvable(request, operator, approvers, named, writing.time_us)
    return _decided(writing, request, "approved", operator, approvers=approvers)


def refuse(writing: Writing, request_id: str, operator: Operator, remark: str) -> Request:
    """Refuse a request, or take back one's own. Raises `Invalid` ("reason"), `Conflict` ("request-over"), as `get`."""
    remark = check_reason(remark)
    request = get(writing.connection, request_id)
    require_open(request, writing.time_us)
    return _decided(writing, request, "refused", operator, remark=remark)


def lapse(writing: Writing) -> int:
    """Record which requests lapsed; returns how many."""
    over = [one for one in in_state(writing.connection, "waiting") if one.lapses_us <= writing.time_us]
    for request in over:
        after = msgspec.structs.replace(request, state="lapsed", decided_us=writing.time_us)
        writing.write(requests, request, after, kinds_of(request.what)["lapsed"], "keeper", (), request.refs)
    return len(over)


def abandon(writing: Writing, operator: Operator, remark: str, wrong: Callable[[Corrupt], None]) -> int:
    """Refuse all that waits: for an instance that cannot know what was refused since. How many that were.

    wrong: told of a request whose row does not hold; nobody can approve that one.
    """
    chosen = select(requests.c.id).where(requests.c.state == "waiting").order_by(requests.c.id)
    found = 0
    for request_id in writing.connection.execute(chosen).scalars().all():
        try:
            request = get(writing.connection, str(request_id))
        except Corrupt as error:
            wrong(error)
            continue
        _decided(writing, request, "refused", operator, remark=remark)
        found += 1
    return found


def done(writing: Writing, request: Request, details: dict[str, Any] | None = None) -> Request:
    """What was asked for is done, all of it. The entry names who asked and who approved."""
    after = msgspec.structs.replace(request, state="done")
    said = {"asked_by": request.asked_by, "approved_by": request.decided_by, "approvers": request.approvers}
    said |= {"basis": request.basis, "signed_by": [f"person:{one.person}" for one in request.signatures]}
    said |= details or {}
    writing.write(requests, request, after, kinds_of(request.what)["done"], "keeper", (), request.refs, said)
    return after


def _is_open(request: Request, now_us: int) -> bool:
    return request.state == "waiting" and now_us < request.lapses_us


def _decided(
    writing: Writing, request: Request, state: State, operator: Operator, *, approvers: int = 2, remark: str = ""
) -> Request:
    after = msgspec.structs.replace(
        request,
        state=state,
        approvers=approvers,
        decided_by=operator.name,
        decided_uid=operator.uid,
        decided_us=writing.time_us,
        remark=remark,
    )
    writing.write(requests, request, after, kinds_of(request.what)[state], operator.actor, (), request.refs)
    return after
