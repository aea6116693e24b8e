"""What the ledger is made of."""

from __future__ import annotations

from typing import Any

import msgspec

from keten.ledger.kinds import Kind


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A fact to be recorded. Nothing personal in the clear: what is personal comes sealed, in `personal`.

    actor: a principal's random id, "operator:<user name>" or "keeper".
    subjects: random ids of the people or clients that the fact is about.
    refs: what it concerns, by word: "dataset", "object", "supplier", "contract", "grant", … → random id.
    details: plain data, as the kind documents. personal: subject id → base64 of what its key seals.
    """

    kind: Kind
    actor: str
    subjects: tuple[str, ...] = ()
    refs: dict[str, str] = {}
    details: dict[str, Any] = {}
    personal: dict[str, str] = {}


class Payload(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An entry's payload as stored: JSON, hashed as the bytes it is, never re-encoded."""

    time: str
    kind: str
    actor: str
    subjects: tuple[str, ...] = ()
    refs: dict[str, str] = {}
    details: dict[str, Any] = {}
    personal: dict[str, str] = {}


class Outline(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A payload as it is handed on to followers: without its personal part, and its details as the JSON they are.

    Most of what reading a payload costs is its details, which whoever only passes it on need not look at.
    """

    time: str
    kind: str
    actor: str
    subjects: tuple[str, ...] = ()
    refs: dict[str, str] = {}
    details: msgspec.Raw = msgspec.Raw(b"{}")


class Leaf(msgspec.Struct, frozen=True, gc=False):
    """The immutable part: `{"id", "v", "commitment"}` (law 7)."""

    id: str
    v: int
    commitment: str


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """Where a recorded fact stands: its place in the ledger, its random id and its time in microseconds."""

    index: int
    id: str
    time_us: int


class Entry(msgspec.Struct, frozen=True):
    """One entry, read back. `payload` is None once erased."""

    index: int
    id: str
    time_us: int
    kind: str
    payload: Payload | None
