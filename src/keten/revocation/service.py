"""Ending access of a supplier, contract, person, client or grant. What is ended stays ended (law 6)."""

from __future__ import annotations

import msgspec

from keten.core.errors import Invalid, NotFound
from keten.identity.model import EndableRow
from keten.ledger.writing import Writing
from keten.suppliers import service as suppliers
from keten.suppliers.register import Register

KINDS = ("supplier", "contract", "person", "client", "grant")
MAX_REASON = 500


class Ending(msgspec.Struct, frozen=True):
    """What a revocation found: the row, and whether it had ended already."""

    row: EndableRow
    already: bool


def target(register: Register, kind: str, name_or_id: str, reason: str) -> Ending:
    """The row that is to end. Raises `Invalid` (kind, reason), `NotFound`."""
    if kind not in KINDS:
        raise Invalid("kind", f"Access can be ended for: {', '.join(KINDS)}; not for {kind!r}.")
    if not reason.strip() or len(reason) > MAX_REASON or not reason.isprintable():
        raise Invalid("reason", f"Say why, in at most {MAX_REASON} printable characters (--reason TEXT).")
    row = register.named(kind, name_or_id)
    if row is None:
        raise NotFound("unknown", f"There is no {kind} {name_or_id!r} in the register.")
    if not isinstance(row, EndableRow):
        raise Invalid("kind", f"A {kind} cannot be ended.")
    return Ending(row, row.ended is not None)


def end(writing: Writing, kind: str, row: EndableRow, reason: str, actor: str) -> int:
    """End access through this row, now and for good; returns the index of the entry."""
    return suppliers.end(writing, kind, row, reason.strip(), actor)
