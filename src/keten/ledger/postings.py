"""Posting lists: which entries concern an id, or are of a kind. Derived from the entries, and can be rebuilt.

A row holds which of `SPAN` consecutive entries belong in a list, one byte for each, so that an id which nearly every
entry concerns costs about a byte an entry. Only whole spans are posted, once and for all: the keeper's writer gathers
them from what it seals anyway and writes them behind the newest entries, and `keten.ledger.query` reads the entries
that are not posted yet themselves, so answers are always complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from keten.core.db import insert_many
from keten.ledger.cursors import load_cursor, store_cursor
from keten.ledger.model import Draft, Payload
from keten.ledger.reading import UNREADABLE, raw, size
from keten.ledger.tables import entries, postings

CURSOR = "postings"
SPAN = 256  # entries in a row of a list: their places fit one byte each
MOST = 2048  # entries in one call: about the work of one group commit, so that no caller waits long for it
_KEPT = 256  # spans in memory
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


class Lists:
    """Lists in memory: id → span → the places in it. Entries are added in rising order."""

    def __init__(self) -> None:
        self.by_ref: dict[str, dict[int, bytearray]] = {}

    def add(self, refs: Iterable[str], index: int) -> None:
        """One entry and the lists that it belongs in."""
        span, place = divmod(index, SPAN)
        by_ref = self.by_ref
        for ref in refs:
            spans = by_ref.get(ref)
            if spans is None:
                by_ref[ref] = {span: bytearray((place,))}
            elif (places := spans.get(span)) is None:
                spans[span] = bytearray((place,))
            else:
                places.append(place)

    def rows(self) -> list[tuple[str, int, bytes]]:
        """As rows of the table, in the order of its key."""
        return [
            (ref, span, bytes(places)) for ref, spans in sorted(self.by_ref.items()) for span, places in spans.items()
        ]


class Newest:
    """The lists of the entries since the start, gathered as they are sealed: whole spans are written from memory."""

    def __init__(self, size: int) -> None:
        self._first = self._next = -(-size // SPAN) * SPAN
        self._spans: dict[int, Lists] = {}

    def add(self, first: int, drafts: Sequence[Draft]) -> None:
        """Facts that were sealed, from index `first`; those of a span that was begun before the start are not kept."""
        for index, draft in enumerate(drafts, first):
            if index < self._first:
                continue
            span = index // SPAN
            lists = self._spans.get(span)
            if lists is None:
                if len(self._spans) >= _KEPT:  # they cannot be written at present: read them from the entries then
                    self._spans.clear()
                    self._first = span * SPAN
                lists = self._spans[span] = Lists()
            lists.add(concerns(draft.kind.name, draft.actor, draft.subjects, draft.refs), index)
            self._next = index + 1

    def write(self, connection: Connection, most: int = MOST) -> int:
        """Post as `extend` would, from memory where that has what comes next. The caller commits, then `forget`s."""
        start = posted(connection)
        if start != self._first:
            return extend(connection, self._first if start < self._first else self._next, most)
        spans = list(islice(self._spans, max(1, most // SPAN)))
        whole = [span for span in spans if (span + 1) * SPAN <= self._next]
        if not whole:
            return start
        _insert(connection, sorted(row for span in whole for row in self._spans[span].rows()))
        store_cursor(connection, CURSOR, end := (whole[-1] + 1) * SPAN)
        return end

    def erased(self, indexes: Sequence[int]) -> None:
        """Payloads were destroyed: what memory holds of their spans is read from the entries instead."""
        if indexes and (end := max(indexes) // SPAN * SPAN + SPAN) > self._first:
            self._first = end
            self._next = max(self._next, end)
            self._spans = {span: lists for span, lists in self._spans.items() if span * SPAN >= end}

    def forget(self, posted: int) -> None:
        """Everything before `posted` is durable in the lists."""
        if posted > self._first:
            self._first = posted
            self._next = max(self._next, posted)
            for span in [span for span in self._spans if (span + 1) * SPAN <= posted]:
                del self._spans[span]


def posted(connection: Connection) -> int:
    """The index of the first entry that is not in the lists yet."""
    return load_cursor(connection, CURSOR)


def whole(index: int) -> int:
    """How many of the first `index` entries are in whole spans, and so can be posted."""
    return index // SPAN * SPAN


def extend(connection: Connection, upto: int, most: int = MOST) -> int:
    """Post the next whole spans, of entries before `upto`, of about `most` entries; returns the first one not posted.

    Doing it twice, or again after the cursor was lost, changes nothing. An entry that is missing or cannot be read
    is passed over: `keten ledger verify` names it. The caller commits.
    """
    before = posted(connection)
    start = whole(before)
    end = min(whole(min(upto, size(connection))), start + max(SPAN, whole(most)))
    if end <= before:
        return before
    chosen = (
        select(entries.c.idx, raw(entries.c.kind), raw(entries.c.payload))
        .where(entries.c.idx >= start, entries.c.idx < end)
        .order_by(entries.c.idx)
    )
    lists = Lists()
    for row in connection.execute(chosen):
        lists.add(_refs_of(row.kind, row.payload), row.idx)
    _insert(connection, lists.rows())
    store_cursor(connection, CURSOR, end)
    return end


def withdraw(connection: Connection, erased: Iterable[tuple[int, str, Payload]]) -> None:
    """Take entries out of every list but that of their kind, for their payload is about to go. The caller commits."""
    end = posted(connection)
    lists = Lists()
    for index, kind, what in erased:
        if index < end:
            refs = concerns(kind, what.actor, what.subjects, what.refs)
            lists.add(refs - {kind_ref(kind)}, index)
    for ref, spans in lists.by_ref.items():
        for span, places in spans.items():
            here = (postings.c.ref == ref) & (postings.c.span == span)
            held = connection.execute(select(raw(postings.c.places)).where(here)).scalar()
            _leave(connection, ref, span, held, places)


def withdraw_unread(connection: Connection, indexes: Iterable[int]) -> None:
    """As `withdraw`, of entries whose payload is gone already: every list of their spans is looked through."""
    gone: dict[int, set[int]] = {}
    for index in indexes:
        gone.setdefault(index // SPAN, set()).add(index % SPAN)
    spans = sorted(gone)
    for at in range(0, len(spans), _CHECKED_AT_ONCE):
        some = spans[at : at + _CHECKED_AT_ONCE]
        chosen = select(postings.c.ref, postings.c.span, raw(postings.c.places)).where(postings.c.span.in_(some))
        for ref, span, held in connection.execute(chosen).all():
            if not ref.startswith(_KIND) and gone[span].intersection(held if isinstance(held, bytes) else b""):
                _leave(connection, ref, span, held, gone[span])


def _leave(connection: Connection, ref: str, span: int, held: Any, places: Collection[int]) -> None:
    """Take these places out of a row of a list; an empty one goes."""
    here = (postings.c.ref == ref) & (postings.c.span == span)
    left = bytes(each for each in held if each not in places) if isinstance(held, bytes) else b""
    if left:
        connection.execute(update(postings).where(here).values(places=left))
    else:
        connection.execute(delete(postings).where(here))


def indexes(span: int, places: Any) -> list[int] | None:
    """The entries that a row names, in rising order; None for a row that nobody here wrote."""
    if not isinstance(places, bytes) or not places:
        return None
    if any(one >= other for one, other in pairwise(places)):
        return None
    start = span * SPAN
    return [start + place for place in places]


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


def _insert(connection: Connection, rows: list[tuple[str, int, bytes]]) -> None:
    """Insert rows; when some are there already, replace those."""
    try:
        with connection.begin_nested():
            insert_many(connection, postings, rows)
    except IntegrityError:
        for at in range(0, len(rows), _CHECKED_AT_ONCE):
            some = rows[at : at + _CHECKED_AT_ONCE]
            place = tuple_(postings.c.ref, postings.c.span)
            connection.execute(delete(postings).where(place.in_([row[:2] for row in some])))
            insert_many(connection, postings, some)
