"""Ending access of a supplier, contract, person, client or grant. What is ended stays ended (law 6)."""

from __future__ import annotations

import msgspec

from keten.core.errors import Invalid, NotFound
from keten.identity.model import EndableRow
from keten.ledger.writing import Writing
from keten.suppliers import service as suppliers
from keten.suppliers.register import Register

KINDS = ("supplier", "contract", "person", "client", "grant")


class Ended(msgspec.Struct, frozen=True):
    """How a revocation went. `index`: its entry; None when the row had ended before and nothing was recorded."""

    row: EndableRow
    index: int | None


def target(register: Register, kind: str, name_or_id: str) -> EndableRow:
    """The row that is to end. Raises `Invalid` ("kind"), `NotFound` ("unknown")."""
    if kind not in KINDS:
        raise Invalid("kind", f"Access can be ended for: {', '.join(KINDS)}; not for {kind!r}.")
    row = register.named(kind, name_or_id)
    if row is None:
        raise NotFound("unknown", f"There is no {kind} {name_or_id!r} in the register.")
    return row


def end(writing: Writing, kind: str, row_id: str, reason: str, actor: str) -> Ended:
    """End access through this row, now and for good. Raises `Invalid` ("reason")."""
    done = suppliers.end(writing, kind, row_id, reason.strip(), actor)
    return Ended(done.row, None if done.already else writing.next_index - 1)
