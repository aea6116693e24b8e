"""Principals of the register, and how a row of the register ends."""

from __future__ import annotations

import msgspec

from keten.ledger.bound import BoundRow


class Ended(msgspec.Struct, frozen=True, gc=False):
    """Access through this row is over for ever (law 6): since when (microseconds UTC), why, by whom."""

    at_us: int
    reason: str
    by: str


class EndableRow(BoundRow, frozen=True, kw_only=True):
    """A row of the register that can end. Nothing sets `ended` back: only a new id gives access again."""

    ended: Ended | None = None


class Person(EndableRow, frozen=True, kw_only=True):
    """A human of the organisation (`supplier` "") or of a supplier (its random id).

    sealed: base64 of the JSON object {"email"}, sealed under the person's own subject key (law 7).
    erased: once erased, a keyed hash of the name, so that no estate file brings it back; the name is then the id.
    """

    supplier: str
    sealed: str
    roles: tuple[str, ...] = ()
    erased: str = ""


class Client(EndableRow, frozen=True, kw_only=True):
    """A system account of a supplier (its random id).

    keys: OpenSSH public keys without comment, "ssh-ed25519 <base64>"; two while rotating. erased: as of a person.
    """

    supplier: str
    keys: tuple[str, ...]
    erased: str = ""
