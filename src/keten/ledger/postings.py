"""Posting lists: which entries concern an id, or are of a kind. Derived from the entries, and can be rebuilt.

The keeper's writer fills them in batches behind the newest entries, so that recording an access costs one append
only; `keten.ledger.query` reads the entries that are not posted yet themselves, so answers are always complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, tuple_
from sqlalchemy.exc import IntegrityError

from keten.ledger.cursors import load_cursor, store_cursor
from keten.ledger.reading import UNREADABLE, raw, size
from keten.ledger.tables import entries, postings

CURSOR = "postings"
MOST = 512  # entries in one call: about the work of one group commit, so that no caller waits long for it
_LONGEST = 86  # the column's width: a prefix of six characters and a kind's name
_CHECKED_AT_ONCE = 200
_KIND = "kind:"
_AFTER_KINDS = "kind;"  # the semicolon follows the colon


class _Concerns(msgspec.Struct, frozen=True, gc=False):
    """The part of a payload that posting lists are made of."""

    actor: str
    subjects: tuple[str, ...] = ()
    refs: dict[str, str] = {}


_decode = msgspec.json.Decoder(_Concerns).decode


def posting_ref(value: str) -> str:
    """What stands in the lists for an id or a name of an actor: itself, or its hash when it is too long for that."""
    return value if len(value) <= _LONGEST else "long:" + hashlib.sha256(value.encode()).hexdigest()


def kind_ref(kind: str) -> str:
    """What stands in the lists for a kind of entry."""
    return _KIND + kind


def concerns(kind: str, actor: str, subjects: tuple[str, ...], refs: dict[str, str]) -> set[str]:
    """The lists that an entry belongs in."""
    found = {actor, *subjects, *refs.values()}
    if max(map(len, found)) > _LONGEST:
        found = set(map(posting_ref, found))
    found.add(_KIND + kind)
    found.discard("")
    return found


def posted(connection: Connection) -> int:
    """The index of the first entry that is not in the lists yet."""
    return load_cursor(connection, CURSOR)


def extend(connection: Connection, upto: int, most: int = MOST) -> int:
    """Post the next `most` entries at most, those before `upto`; returns the index of the first one not posted yet.

    Doing it twice, or again after the cursor was lost, changes nothing. An entry that is missing or cannot be read
    is passed over: `keten ledger verify` names it. The caller commits.
    """
    start = posted(connection)
    end = min(upto, size(connection), start + most)
    if end <= start:
        return start
    chosen = select(entries.c.idx, raw(entries.c.kind), raw(entries.c.payload)).where(
        entries.c.idx >= start, entries.c.idx < end
    )
    rows = sorted(
        (ref, row.idx) for row in connection.execute(chosen) for ref in _refs_of(row.kind, row.payload)
    )
    _insert(connection, rows)
    store_cursor(connection, CURSOR, end)
    return end


def clear(connection: Connection) -> None:
    """Empty the lists, to be filled anew by `extend`. The caller commits."""
    connection.execute(delete(postings))
    store_cursor(connection, CURSOR, 0)


def kinds_below(connection: Connection, prefix: str) -> list[str]:
    """The kinds in the lists that are `prefix` or begin with it and a dot ("exchange" → "exchange.object.opened")."""
    found: list[str] = []
    at = _KIND
    while True:  # one step of the index for each kind there is, however many entries it has
        above = select(postings.c.ref).where(postings.c.ref > at, postings.c.ref < _AFTER_KINDS)
        ref = connection.execute(above.order_by(postings.c.ref).limit(1)).scalar()
        if ref is None:
            return found
        at = str(ref)
        kind = at.removeprefix(_KIND)
        if kind_matches(kind, prefix):
            found.append(kind)


def kind_matches(kind: str, prefix: str) -> bool:
    """Whether a kind is `prefix` or below it."""
    return kind == prefix or kind.startswith(prefix + ".")


def _refs_of(kind: Any, payload: Any) -> Iterator[str]:
    if not isinstance(kind, str):
        return
    if payload is None:  # erased: only its kind is left
        yield kind_ref(kind)
        return
    try:
        what = _decode(payload)
    except UNREADABLE:
        return
    yield from concerns(kind, what.actor, what.subjects, what.refs)


def _insert(connection: Connection, rows: list[tuple[str, int]]) -> None:
    """Insert sorted rows; when some are there already, only those that are not."""
    if not rows:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(postings), [{"ref": ref, "idx": index} for ref, index in rows])
    except IntegrityError:
        for at in range(0, len(rows), _CHECKED_AT_ONCE):
            some = rows[at : at + _CHECKED_AT_ONCE]
            place = tuple_(postings.c.ref, postings.c.idx)
            there = connection.execute(select(postings.c.ref, postings.c.idx).where(place.in_(some)))
            new = set(some) - {(row.ref, row.idx) for row in there}
            if new:
                connection.execute(
                    insert(postings), [{"ref": ref, "idx": index} for ref, index in sorted(new)]
                )
