"""Destroying payloads: what an entry said is gone, that it was there stays proven (law 7).

The payloads go in the same transaction in which an entry names them, so that at no moment one is gone without it. A
payload that is gone and that no such entry names is damage, and `keten ledger verify` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from keten.core.errors import Corrupt
from keten.ledger.bound import bound_tables
from keten.ledger.erasure_entries import PAYLOADS_ERASED
from keten.ledger.erasures import Gone
from keten.ledger.model import Draft
from keten.ledger.postings import withdraw, withdraw_unread
from keten.ledger.reading import missing, read_indexes
from keten.ledger.tables import changes, entries
from keten.ledger.writing import Writing

AT_ONCE = 200  # payloads destroyed in one transaction
_IDS_AT_ONCE = 500


def erase(writing: Writing, indexes: Iterable[int], actor: str, refs: dict[str, str], why: str) -> tuple[Gone, ...]:
    """Destroy the payloads of these entries, with one entry that names them; what is gone already is passed over.

    1. Read them, each checked against its leaf: what does not hold is not known to be what is to be destroyed.
    2. What stands in the register now is not taken from under it.
    3. They leave every posting list but that of their kind, and the list of changes.
    4. Payload and salt go.
    5. Record which.

    Must have its transaction to itself (`alone`). Raises `Corrupt` ("entry-missing", "entry-damaged", "entry-needed").
    """
    connection = writing.connection
    found = [entry for entry in read_indexes(connection, sorted(set(indexes))) if entry.payload is not None]  # 1
    if not found:
        return ()
    numbers = [entry.index for entry in found]
    needed = standing(connection, numbers)  # 2
    if needed:
        what = f"entries {sorted(needed)[:10]} are the last of rows of the register"
        raise Corrupt("entry-needed", "An entry that the register stands on is not erased.", what)
    withdraw(connection, [(entry.index, entry.kind, entry.payload) for entry in found if entry.payload])  # 3
    for at in range(0, len(numbers), _IDS_AT_ONCE):
        some = numbers[at : at + _IDS_AT_ONCE]
        connection.execute(delete(changes).where(changes.c.idx.in_(some)))
        gone = update(entries).where(entries.c.idx.in_(some)).values(payload=None, salt=None)  # 4
        if connection.execute(gone).rowcount != len(some):
            raise missing(some[0])
    writing.erased.extend(numbers)
    erased = tuple(Gone(entry.index, entry.kind, entry.time_us) for entry in found)
    said = [[one.index, one.kind, one.time_us] for one in erased]
    writing.record(Draft(PAYLOADS_ERASED, actor, (), refs, {"erased": said, "why": why}))  # 5
    return erased


def acknowledge(writing: Writing, indexes: Sequence[int], actor: str, why: str) -> None:
    """Record, of entries that came back from a backup without their payload, that it was erased meanwhile.

    The lists came back as they were: these entries leave them, as when they are erased (`erase`, step 3).
    """
    withdraw_unread(writing.connection, indexes)
    for at in range(0, len(indexes), AT_ONCE):
        some = list(indexes[at : at + AT_ONCE])
        writing.connection.execute(delete(changes).where(changes.c.idx.in_(some)))
        chosen = select(entries.c.idx, entries.c.kind, entries.c.time_us).where(entries.c.idx.in_(some))
        said = [list(row) for row in writing.connection.execute(chosen.order_by(entries.c.idx))]
        writing.record(Draft(PAYLOADS_ERASED, actor, (), {}, {"erased": said, "why": why}))


def standing(connection: Connection, indexes: Sequence[int]) -> set[int]:
    """Those of these entries that are the last change of some row of the register."""
    found: set[int] = set()
    for table, _kind in bound_tables().values():
        for at in range(0, len(indexes), _IDS_AT_ONCE):
            some = list(indexes[at : at + _IDS_AT_ONCE])
            found |= set(connection.execute(select(table.c.entry).where(table.c.entry.in_(some))).scalars())
    return found


def salts(connection: Connection, indexes: Sequence[int]) -> list[bytes]:
    """The salts of entries that are not erased: random, so that wherever one is found its payload may be too."""
    statement = select(entries.c.salt).where(entries.c.idx == bindparam("idx_"))
    found: list[Any] = [connection.execute(statement, {"idx_": index}).scalar() for index in indexes]
    return [bytes(each) for each in found if each is not None]


def changed(connection: Connection, row_id: str) -> list[int]:
    """The entries that declared or changed a row of the register, oldest first, but for those that were erased."""
    statement = select(changes.c.idx).where(changes.c.ref == row_id).order_by(changes.c.idx)
    return [int(each) for each in connection.execute(statement).scalars()]
