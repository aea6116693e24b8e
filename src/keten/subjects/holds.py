"""Legal holds: what must be kept, however long it takes. What is held is not erased and not destroyed by anyone."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection

from keten.core.clock import rfc3339
from keten.core.errors import Conflict, Invalid, NotFound
from keten.core.ids import is_id, new_id
from keten.ledger import bound
from keten.ledger.writing import Writing
from keten.subjects.entries import HOLD_RELEASED, HOLD_SET
from keten.subjects.model import Hold, Operator, Request
from keten.subjects.requests import done
from keten.subjects.tables import holds
from keten.suppliers.rows import grants
from keten.vault.rules import check_reason

KINDS = ("person", "client", "dataset", "contract")


def get(connection: Connection, hold_id: str) -> Hold:
    """A hold, checked. Raises `NotFound` ("absent"), `Corrupt` ("register-mismatch")."""
    found = bound.get(connection, holds, Hold, hold_id) if is_id(hold_id) else None
    if found is None:
        raise NotFound("absent", "There is no such hold.", hold_id[:60])
    return found


def there(connection: Connection, hold_id: str) -> bool:
    """Whether there is a hold of this id, released or not. Raises `Corrupt` ("register-mismatch")."""
    return bound.get(connection, holds, Hold, hold_id) is not None


def standing(connection: Connection) -> list[Hold]:
    """The holds that nobody has released, those whose time is over too, in the order of their last change."""
    return bound.find(connection, holds, Hold, state="set")


def put(writing: Writing, kind: str, target: str, operator: Operator, reason: str, until_us: int) -> Hold:
    """Set a hold. `until_us` 0: with no end. Raises `Invalid` ("kind", "reason", "until")."""
    if kind not in KINDS:
        raise Invalid("kind", f"A hold is on a {', '.join(KINDS[:-1])} or {KINDS[-1]}; not on {kind!r}.")
    if until_us and until_us <= writing.time_us:
        raise Invalid("until", "A hold ends in the future, or has no end.")
    hold_id = new_id()
    made = Hold(
        id=hold_id,
        name=hold_id,
        kind=kind,
        target=target,
        reason=check_reason(reason),
        set_by=operator.name,
        set_us=writing.time_us,
        until_us=until_us,
    )
    writing.write(holds, None, made, HOLD_SET, operator.actor, (), {kind: target, "hold": hold_id})
    return made


def release(writing: Writing, request: Request) -> Hold:
    """Release a hold that two people agreed to release, and close their request. Again changes nothing of the hold."""
    hold = get(writing.connection, request.target)
    if hold.state == "set":
        after = msgspec.structs.replace(hold, state="released")
        refs = {hold.kind: hold.target, "hold": hold.id}
        writing.write(holds, hold, after, HOLD_RELEASED, request.approver, (), refs)
        hold = after
    done(writing, request)
    return hold


def on_subject(connection: Connection, subject: str, now_us: int) -> list[Hold]:
    """The holds that keep what is known of a person or client."""
    return [one for one in bound.find(connection, holds, Hold, target=subject) if one.holds_at(now_us)]


def held_datasets(connection: Connection, now_us: int) -> dict[str, Hold]:
    """The datasets whose content is held, by themselves or by a contract that they were granted under."""
    found: dict[str, Hold] = {}
    for hold in standing(connection):
        if not hold.holds_at(now_us):
            continue
        if hold.kind == "dataset":
            found.setdefault(hold.target, hold)
        elif hold.kind == "contract":
            for grant in grants.find(connection, contract=hold.target):
                found.setdefault(grant.dataset, hold)
    return found


def on_datasets(connection: Connection, datasets: Iterable[str], now_us: int) -> list[Hold]:
    """The holds that keep content of these datasets, each once."""
    held = held_datasets(connection, now_us)
    return list({hold.id: hold for dataset in datasets if (hold := held.get(dataset)) is not None}.values())


def on_contract(connection: Connection, contract: str, now_us: int) -> list[Hold]:
    """The holds on a contract itself."""
    return [one for one in bound.find(connection, holds, Hold, target=contract) if one.holds_at(now_us)]


def require_none(found: list[Hold]) -> None:
    """Raises `Conflict` ("held"), naming the hold, when there is one."""
    if found:
        raise Conflict("held", f"A legal hold keeps it: {told(found[0])}.", f"{len(found)} holds")


def told(hold: Hold) -> str:
    """A hold in words."""
    until = f"until {rfc3339(hold.until_us)}" if hold.until_us else "until it is released"
    return f"{hold.id}, set by {hold.set_by} {until} ({hold.reason})"
