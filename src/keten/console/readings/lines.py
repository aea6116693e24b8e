"""Entries of the ledger as lines of a page: when, what, who, and what it was about, by the organisation's names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection

from keten.console.accesses import Names
from keten.core.errors import Corrupt
from keten.core.ids import is_id
from keten.datasets.model import Dataset
from keten.identity.model import Client, Person
from keten.ledger.bound import BoundRow
from keten.ledger.model import Entry
from keten.ledger.query import Filter, find
from keten.suppliers.model import Contract, Grant, Supplier
from keten.systems.model import System
from keten.vault.model import Object

REFERRED: dict[str, type[BoundRow]] = {
    "supplier": Supplier,
    "contract": Contract,
    "grant": Grant,
    "dataset": Dataset,
    "object": Object,
    "client": Client,
    "person": Person,
    "system": System,
}
"""Word of an entry's `refs` → the row it names."""


class About(msgspec.Struct, frozen=True):
    """Something that an entry concerns. word: as in `REFERRED`; name: "" where its row is gone or does not hold."""

    word: str
    id: str
    name: str


class Line(msgspec.Struct, frozen=True):
    """An entry. who: as `who_of` says it. reasons: codes, of a refusal. erased: nothing but kind and time is known."""

    index: int
    id: str
    time_us: int
    kind: str
    who: str
    about: tuple[About, ...]
    outcome: str = ""
    reasons: tuple[str, ...] = ()
    erased: bool = False


class Lines(msgspec.Struct, frozen=True):
    """Lines in the order that was asked for. damaged: an entry could not be read, so that there are no more of them."""

    lines: tuple[Line, ...]
    damaged: bool = False


def who_of(names: Names, actor: str) -> str:
    """Who acted: a name of the register, else as the entry says it."""
    row = actor.removeprefix("person:")
    return (names.who(row)[0] or row) if is_id(row) else actor


def line_of(entry: Entry, names: Names) -> Line:
    """One entry."""
    payload = entry.payload
    if payload is None:
        return Line(entry.index, entry.id, entry.time_us, entry.kind, "", (), erased=True)
    reasons = payload.details.get("reasons", ())
    outcome = payload.details.get("outcome", "")
    return Line(
        entry.index,
        entry.id,
        entry.time_us,
        entry.kind,
        who_of(names, payload.actor),
        abouts(payload.refs, names),
        outcome if isinstance(outcome, str) else "",
        tuple(one for one in reasons if isinstance(one, str)) if isinstance(reasons, list) else (),
    )


def abouts(refs: dict[str, str], names: Names) -> tuple[About, ...]:
    """What an entry concerns, by name, in a fixed order; what has no row of the register is left out."""
    found = ((word, refs.get(word, "")) for word in REFERRED)
    return tuple(About(word, row, names.of(REFERRED[word], row)) for word, row in found if is_id(row))


def lines(connection: Connection, names: Names, wanted: Filter) -> Lines:
    """The entries that match, as far as they can be read."""
    return gathered(find(connection, wanted), names)


def gathered(entries: Iterable[Entry], names: Names) -> Lines:
    """Entries as lines, up to the first that is damaged."""
    read: list[Entry] = []
    damaged = False
    try:
        for entry in entries:
            read.append(entry)  # noqa: PERF402 - what was read before a damaged one is kept
    except Corrupt as error:
        if not error.code.startswith(("entry-", "list-")):
            raise
        damaged = True
    return Lines(lines_of(read, names), damaged)


def lines_of(entries: Sequence[Entry], names: Names) -> tuple[Line, ...]:
    """Entries as lines; the names in them are read together."""
    payloads = [entry.payload for entry in entries if entry.payload is not None]
    for word, kind in REFERRED.items():
        names.load(kind, (payload.refs.get(word, "") for payload in payloads))
    names.load_who(payload.actor.removeprefix("person:") for payload in payloads)
    return tuple(line_of(entry, names) for entry in entries)
