"""Freezing a supplier and releasing it: nobody of it gets access until a moment. In the writer's transaction."""

from __future__ import annotations

import msgspec

from keten.core.errors import Invalid, NotFound
from keten.identity.restraints import MAX_REASON
from keten.ledger.writing import Writing
from keten.suppliers.entries import SUPPLIER_FROZEN, SUPPLIER_RELEASED
from keten.suppliers.model import Frozen, Supplier
from keten.suppliers.rows import suppliers


def freeze(writing: Writing, supplier_id: str, until_us: int, reason: str, actor: str) -> int | None:
    """No access for anybody of this supplier until a moment (microseconds UTC); the entry's index, None: it has ended.

    One that lasts longer stays as it is. Raises `NotFound` ("absent"), `Invalid` ("until", "reason"), `Corrupt`.
    """
    if until_us <= writing.time_us:
        raise Invalid("until", "It ends in the future, or it is not begun.")
    row = _current(writing, supplier_id)
    if row.ended is not None:
        return None
    until = max(until_us, row.frozen.until_us if row.frozen else 0)
    after = msgspec.structs.replace(row, frozen=Frozen(until, _checked(reason), actor))
    return suppliers.change(writing, row, after, actor, SUPPLIER_FROZEN)


def release(writing: Writing, supplier_id: str, reason: str, actor: str, *, until_us: int = 0) -> int | None:
    """Frozen until this moment only (0: not at all); as `freeze`. None: it was not frozen for longer."""
    row = _current(writing, supplier_id)
    if row.frozen is None or row.frozen.until_us <= until_us or row.ended is not None:
        return None
    after = msgspec.structs.replace(row, frozen=Frozen(until_us, _checked(reason), actor) if until_us else None)
    return suppliers.change(writing, row, after, actor, SUPPLIER_RELEASED)


def _current(writing: Writing, supplier_id: str) -> Supplier:
    row = suppliers.current(writing, supplier_id)
    if row is None:
        raise NotFound("absent", "There is no such supplier.", supplier_id[:60])
    return row


def _checked(reason: str) -> str:
    if not reason.strip() or len(reason) > MAX_REASON or not reason.isprintable():
        raise Invalid("reason", f"A reason is one line of at most {MAX_REASON} characters.")
    return reason
