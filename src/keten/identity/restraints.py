"""Suspending a principal, slowing it down, having it sign in anew, and releasing it: each in the writer's transaction.

Who decides on that is for rooms above. A row that has ended is left as it is: there is nothing left to hold back.
"""

from __future__ import annotations

from typing import Any

import msgspec

from keten.core.errors import Invalid, NotFound
from keten.identity.entries import CLIENT_RESTRAINED, PERSON_RESTRAINED
from keten.identity.model import Client, Person, Restraint
from keten.identity.rows import clients, people
from keten.ledger.writing import Writing

MAX_REASON = 500
PER_MINUTE = range(1, 60_001)
SUSPENDED = frozenset({CLIENT_RESTRAINED["suspended"].name, PERSON_RESTRAINED["suspended"].name})
"""The kinds of entry after which a principal's transfers are cut at once."""
SIGNED_OUT = frozenset({CLIENT_RESTRAINED["signed_out"].name, PERSON_RESTRAINED["signed_out"].name})
"""As above, for what it signed in with before."""


def principal(writing: Writing, principal_id: str) -> Client | Person:
    """A client or person as this transaction has it. Raises `NotFound` ("absent"), `Corrupt` ("register-mismatch")."""
    found = clients.current(writing, principal_id) or people.current(writing, principal_id)
    if found is None:
        raise NotFound("absent", "There is no such client or person.", principal_id[:60])
    return found


def suspend(writing: Writing, principal_id: str, until_us: int, reason: str, actor: str) -> int | None:
    """No access for this principal until a moment (microseconds UTC); the entry's index, None when it has ended.

    A suspension that lasts longer stays as it is. Raises as `principal`, and `Invalid` ("until", "reason").
    """
    _require_future(writing, until_us)
    row = principal(writing, principal_id)
    before = row.restraint or Restraint()
    until = max(until_us, before.suspended_until_us)
    return _restrain(writing, row, "suspended", reason, actor, suspended_until_us=until)


def slow(writing: Writing, principal_id: str, until_us: int, per_minute: int, reason: str, actor: str) -> int | None:
    """At most `per_minute` requests a minute until a moment; as `suspend`."""
    _require_future(writing, until_us)
    if per_minute not in PER_MINUTE:
        raise Invalid("per-minute", f"A rate is {PER_MINUTE[0]} to {PER_MINUTE[-1]} requests a minute.")
    row = principal(writing, principal_id)
    before = row.restraint or Restraint()
    until = max(until_us, before.slowed_until_us)
    return _restrain(writing, row, "slowed", reason, actor, slowed_until_us=until, per_minute=per_minute)


def sign_out(writing: Writing, principal_id: str, reason: str, actor: str) -> int | None:
    """What this principal signed in with until now is over; as `suspend`."""
    row = principal(writing, principal_id)
    return _restrain(writing, row, "signed_out", reason, actor, anew_us=writing.time_us)


def release(
    writing: Writing,
    principal_id: str,
    reason: str,
    actor: str,
    *,
    suspended_until_us: int = 0,
    slowed_until_us: int = 0,
) -> int | None:
    """Suspended and slowed down until these moments only (0: not at all); as `suspend`. None: nothing was longer."""
    row = principal(writing, principal_id)
    before = row.restraint or Restraint()
    suspended = min(before.suspended_until_us, suspended_until_us)
    slowed = min(before.slowed_until_us, slowed_until_us)
    if (suspended, slowed) == (before.suspended_until_us, before.slowed_until_us):
        return None
    return _restrain(writing, row, "released", reason, actor, suspended_until_us=suspended, slowed_until_us=slowed)


def _restrain(writing: Writing, row: Client | Person, what: str, reason: str, actor: str, **parts: Any) -> int | None:
    if not reason.strip() or len(reason) > MAX_REASON or not reason.isprintable():
        raise Invalid("reason", f"A reason is one line of at most {MAX_REASON} characters.")
    if row.ended is not None:
        return None
    restraint = msgspec.structs.replace(row.restraint or Restraint(), reason=reason, by=actor, **parts)
    if isinstance(row, Client):
        after = msgspec.structs.replace(row, restraint=restraint)
        return clients.change(writing, row, after, actor, CLIENT_RESTRAINED[what])
    changed = msgspec.structs.replace(row, restraint=restraint)
    return people.change(writing, row, changed, actor, PERSON_RESTRAINED[what])


def _require_future(writing: Writing, until_us: int) -> None:
    if until_us <= writing.time_us:
        raise Invalid("until", "It ends in the future, or it is not begun.")
