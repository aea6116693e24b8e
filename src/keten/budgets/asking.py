"""Asking for more than a budget, and the owner's answer. Each in the writer's transaction, which it has to itself.

An answer counts for one client, under one grant, in the window that runs when it is given; it ends by itself, lifts no
other budget than the client's own, and no ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from keten.budgets import entries
from keten.budgets.errors import Limited
from keten.budgets.extras import extra_of, extras
from keten.budgets.model import Budgeted, Limit, State
from keten.budgets.row import LAPSES_US, More
from keten.budgets.rules import window, zone
from keten.budgets.service import left
from keten.budgets.tables import budget_requests
from keten.core.clock import SECOND, rfc3339
from keten.core.errors import Conflict, Corrupt, Invalid, NotFound
from keten.core.ids import is_id, new_id
from keten.ledger import bound
from keten.ledger.kinds import Kind
from keten.ledger.writing import Writing

MOST_RECORDS = 10**9
MAX_WHY = 500
MAX_CASE = 200
MOST_A_DAY = 5
"""Requests of one client under one grant within 24 hours."""
DAY_US = 86_400 * SECOND


class Wish(msgspec.Struct, frozen=True):
    """What a client asks for. sealed: why, and for which case, under its own key."""

    client: str
    supplier: str
    dataset: str
    records: int
    sealed: str


def checked(records: int, why: str, case: str) -> None:
    """Raises `Invalid` (more-records, more-why, more-case) for what cannot be asked."""
    if not 1 <= records <= MOST_RECORDS:
        raise Invalid("more-records", f"Ask for 1 to {MOST_RECORDS} records.")
    if not why.strip() or len(why) > MAX_WHY or not why.isprintable():
        raise Invalid("more-why", f"Say why, in one line of 1 to {MAX_WHY} printable characters.")
    if len(case) > MAX_CASE or (case and not case.isprintable()):
        raise Invalid("more-case", f"A case is named in at most {MAX_CASE} printable characters.")


def ask(writing: Writing, grant: Budgeted, wish: Wish, tz: str, details: dict[str, Any]) -> tuple[More, int]:
    """Note a request, with its entry, about the window with the least left; the row, and the entry's index.

    Raises `Conflict` ("no-budget", "request-open"), `Busy` ("asked-often").
    """
    now_us = writing.time_us
    windows = left(writing.connection, grant, wish.client, now_us, tz)
    if not windows:
        raise Conflict("no-budget", "There is no budget here that could be raised.")
    table = budget_requests.c
    mine = select(func.count(), func.min(table.asked_us)).where(table.grant == grant.id, table.client == wish.client)
    waiting = mine.where(table.state == "open", table.asked_us > now_us - LAPSES_US)
    if writing.connection.execute(waiting).scalar():
        raise Conflict("request-open", "You have asked already; the owner of the data has not answered yet.")
    count, first_us = writing.connection.execute(mine.where(table.asked_us > now_us - DAY_US)).one()
    if count >= MOST_A_DAY:
        data = {"until": rfc3339(int(first_us) + DAY_US)}
        raise Limited("asked-often", f"More was asked for {MOST_A_DAY} times within a day.", data)
    tightest = min(windows, key=lambda one: (one.left, -one.resets_us))
    made = More(
        id=(request_id := new_id()),
        name=request_id,
        grant=grant.id,
        client=wish.client,
        supplier=wish.supplier,
        dataset=wish.dataset,
        per=tightest.per,
        records=wish.records,
        asked_us=now_us,
        sealed=wish.sealed,
    )
    said = {"records": made.records, "per": made.per} | details
    subjects = (wish.client,)
    index = writing.write(budget_requests, None, made, entries.MORE_ASKED, wish.client, subjects, made.refs, said)
    return made, index


# ---- the owner's answer --------------------------------------------------------------------------------------------


def allow(
    writing: Writing, request: More, grant: Budgeted, records: int, until_us: int, tz: str, actor: str
) -> tuple[More, int]:
    """Allow more in the window that runs now; the row, and the entry's index.

    1. An open request, whose window is still one of the grant's.
    2. Not past the ceiling that the estate sets.
    3. Until the end of that window, or sooner.

    records: 0 for as many as were asked for. until_us: 0 for the end of the window. Raises `Conflict`
    ("request-closed", "budget-changed"), `Invalid` ("more-records", "past-ceiling", "until").
    """
    now_us = writing.time_us
    state = request.state_at(now_us)
    limit = next((one for one in grant.limits if one.per == request.per), None)
    if state != "open":  # 1
        raise Conflict("request-closed", f"This request is {state}; nothing was changed.", request.id)
    if limit is None:
        raise Conflict("budget-changed", f"The grant has no budget per {request.per} any more.", request.id)
    more = records or request.records
    if not 1 <= more <= MOST_RECORDS:
        raise Invalid("more-records", f"Allow 1 to {MOST_RECORDS} records.")
    running = window(now_us, request.per, zone(tz))
    already = extra_of(extras(writing.connection, request.grant, request.client), request.per, running.start_us, now_us)
    _require_below(limit, already + more)  # 2
    ends_us = until_us or running.end_us
    if not now_us < ends_us <= running.end_us:  # 3
        public = f"It lasts until the window ends at the latest, {rfc3339(running.end_us)}, and ends in the future."
        raise Invalid("until", f"{public} To give more in every window, raise the budget in the estate.")
    after = msgspec.structs.replace(
        request, state="allowed", extra=more, window_us=running.start_us, until_us=ends_us, by=actor, decided_us=now_us
    )
    details = {"records": more, "until": rfc3339(ends_us)}
    return after, _write(writing, request, after, entries.MORE_ALLOWED, actor, details)


def _require_below(limit: Limit, extra: int) -> None:
    if limit.beyond is not None and limit.records + extra > limit.beyond.most:
        room = max(0, limit.beyond.most - limit.records)
        public = f"The estate's ceiling for this budget is {limit.beyond.most}: at most {room} can be allowed in all."
        raise Invalid("past-ceiling", public)


def refuse(writing: Writing, request: More, why: str, actor: str) -> tuple[More, int]:
    """Refuse an open request; the client is told why. Raises `Conflict` ("request-closed"), `Invalid` ("more-why")."""
    state = request.state_at(writing.time_us)
    if not why.strip() or len(why) > MAX_WHY or not why.isprintable():
        raise Invalid("more-why", f"Say why, in one line of at most {MAX_WHY} characters; the client is told.")
    if state != "open":
        raise Conflict("request-closed", f"This request is {state}; nothing was changed.", request.id)
    after = msgspec.structs.replace(request, state="refused", why=why.strip(), by=actor, decided_us=writing.time_us)
    return after, _write(writing, request, after, entries.MORE_REFUSED, actor, {"records": request.records})


def withdraw(writing: Writing, request: More, actor: str, why: str = "") -> tuple[More, int]:
    """End what was allowed before its time. What was received stays charged. Raises `Conflict` ("request-closed")."""
    state = request.state_at(writing.time_us)
    if state != "allowed":
        raise Conflict("request-closed", f"This request is {state}; there is nothing to withdraw.", request.id)
    after = msgspec.structs.replace(request, state="withdrawn", by=actor, decided_us=writing.time_us)
    details: dict[str, Any] = {"records": request.extra} | ({"why": why} if why else {})
    return after, _write(writing, request, after, entries.MORE_WITHDRAWN, actor, details)


def withdraw_all(writing: Writing, actor: str, why: str) -> int:
    """End all that is allowed: for an instance that cannot know what was withdrawn since. How many that were."""
    statement = select(budget_requests.c.id).where(budget_requests.c.state == "allowed")
    found = 0
    for row_id in writing.connection.execute(statement).scalars().all():
        try:
            request = get(writing.connection, str(row_id))
        except Corrupt:
            continue  # it allows nothing as it is
        if request.state_at(writing.time_us) == "allowed":
            withdraw(writing, request, actor, why)
            found += 1
    return found


def _write(writing: Writing, before: More, after: More, kind: Kind, actor: str, details: dict[str, Any]) -> int:
    said = {"per": after.per} | details
    return writing.write(budget_requests, before, after, kind, actor, (after.client,), after.refs, said)


# ---- reading -------------------------------------------------------------------------------------------------------


def get(connection: Connection, request_id: str) -> More:
    """A request, checked. Raises `NotFound` ("absent"), `Corrupt` ("register-mismatch")."""
    found = bound.get(connection, budget_requests, More, request_id) if is_id(request_id) else None
    if found is None:
        raise NotFound("absent", "There is no such request.", request_id[:60])
    return found


def newest(connection: Connection, grant: str, client: str) -> More | None:
    """A client's newest request under a grant, checked; None when it never asked. Raises `Corrupt`."""
    table = budget_requests.c
    statement = select(table.id).where(table.grant == grant, table.client == client)
    last = statement.order_by(table.asked_us.desc(), table.entry.desc()).limit(1)
    row_id = connection.execute(last).scalar()
    return None if row_id is None else get(connection, str(row_id))


def listed(connection: Connection, states: Sequence[State], since_us: int, most: int) -> list[More]:
    """Requests in these states that were made since a moment, the newest first, at most so many. Raises `Corrupt`."""
    table = budget_requests.c
    chosen = select(table.id).where(table.state.in_(states), table.asked_us > since_us)
    ids = connection.execute(chosen.order_by(table.asked_us.desc()).limit(most)).scalars().all()
    return [get(connection, str(one)) for one in ids]
