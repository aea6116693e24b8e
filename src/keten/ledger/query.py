"""Which entries: by who, about whom, what it concerns, kind, time and outcome; oldest first, streaming.

Posting lists only narrow the search: every entry is compared with the filter itself before it is answered, and the
entries that are not posted yet are read one by one. Memory stays bounded however long the ledger is.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec
from sqlalchemy import Connection, func, select

from keten.core.errors import Corrupt
from keten.ledger import postings
from keten.ledger.model import Entry, Payload
from keten.ledger.postings import SPAN, indexes, kind_matches, kind_ref, kinds_below, posting_ref
from keten.ledger.reading import index_at, raw, read_indexes, read_range, size
from keten.ledger.tables import postings as lists

_FIRST_BATCH = 32  # small, for callers with a small limit; doubled up to the next number
_LARGEST_BATCH = 512
_FIRST_ROWS = 2  # of a list: up to 256 entries each
_MOST_ROWS = 32
_COUNTED = 1024  # rows of a list: lists are compared by length up to here
_TAIL_STEP = 512


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What entries must have to be answered; what is empty is not asked for.

    principal: id of a person or client (or "operator:<name>") that acted or that the entry is about.
    subject: id of a person or client that the entry is about.
    dataset, supplier, contract, object, grant: random ids of what it concerns.
    kind: a kind, or its beginning up to a dot. outcome: "allow" or "deny".
    since_us (included), until_us (excluded): microseconds since 1970 UTC.
    limit: at most so many; 0 for all.
    after: only entries beyond this index, to go on where an earlier answer stopped.
    newest_first: the other way round; `after` then means the entries before that index.
    """

    principal: str = ""
    subject: str = ""
    dataset: str = ""
    supplier: str = ""
    contract: str = ""
    object: str = ""
    grant: str = ""
    kind: str = ""
    since_us: int | None = None
    until_us: int | None = None
    outcome: str = ""
    limit: int = 0
    after: int | None = None
    newest_first: bool = False

    def matches(self, entry: Entry) -> bool:
        """Whether an entry has all that is asked for, but for limit and place.

        An erased entry is answered only when no more than kind and time is asked for: the rest is not known of it.
        """
        if self.kind and not kind_matches(entry.kind, self.kind):
            return False
        if self.since_us is not None and entry.time_us < self.since_us:
            return False
        if self.until_us is not None and entry.time_us >= self.until_us:
            return False
        payload = entry.payload
        if payload is None:
            return not (self.ids or self.outcome)
        return self._concerned(payload) and (
            not self.outcome or payload.details.get("outcome") == self.outcome
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids asked for, each of which has its posting list."""
        asked = (self.principal, self.subject, *self._refs.values())
        return tuple(dict.fromkeys(value for value in asked if value))

    @property
    def _refs(self) -> dict[str, str]:
        names = ("dataset", "supplier", "contract", "object", "grant")
        return {name: value for name in names if (value := getattr(self, name))}

    def _concerned(self, payload: Payload) -> bool:
        refs = payload.refs
        if any(refs.get(name) != value for name, value in self._refs.items()):
            return False
        if self.subject and self.subject not in payload.subjects:
            return False
        return not self.principal or self.principal in (
            payload.actor,
            *payload.subjects,
            refs.get("client"),
            refs.get("person"),
        )


def find(connection: Connection, wanted: Filter) -> Iterator[Entry]:
    """The entries that match, oldest first unless asked otherwise, in bounded memory.

    An answer is as of one moment when `connection` stays in one transaction while it is read.
    Raises `Corrupt` ("entry-missing", "entry-damaged") when it comes across an entry that is not what it must be.
    """
    low, high = _window(connection, wanted)
    first_unposted = min(max(postings.posted(connection), low), high)
    parts = [
        _listed(connection, wanted, low, first_unposted),
        _scanned(connection, wanted, first_unposted, high),
    ]
    if wanted.newest_first:
        parts.reverse()
    matching = (entry for part in parts for entry in part if wanted.matches(entry))
    return islice(matching, wanted.limit) if wanted.limit else matching


def _window(connection: Connection, wanted: Filter) -> tuple[int, int]:
    """The indexes that can match by time and place."""
    low, high = 0, size(connection)
    if wanted.since_us is not None:
        low = index_at(connection, wanted.since_us, stop=high)
    if wanted.until_us is not None:
        high = index_at(connection, wanted.until_us, stop=high)
    if wanted.after is not None and wanted.newest_first:
        high = min(high, wanted.after)
    elif wanted.after is not None:
        low = max(low, wanted.after + 1)
    return low, max(low, high)


def _scanned(connection: Connection, wanted: Filter, low: int, high: int) -> Iterator[Entry]:
    """Every entry of a range, in the order that is asked for."""
    if not wanted.newest_first:
        yield from read_range(connection, low, high)
        return
    while low < high:
        start = max(low, high - _TAIL_STEP)
        yield from reversed(list(read_range(connection, start, high)))
        high = start


def _listed(connection: Connection, wanted: Filter, low: int, high: int) -> Iterator[Entry]:
    """The entries of a range that are in every list asked for.

    1. Take the shortest list (lists are only compared up to `_COUNTED` rows).
    2. Keep of each batch of it what the other lists have too.
    3. Read those entries.
    """
    terms = [[posting_ref(value)] for value in wanted.ids]
    if wanted.kind:
        terms.append([kind_ref(kind) for kind in kinds_below(connection, wanted.kind)])
    if not terms:
        yield from _scanned(connection, wanted, low, high)
        return
    if low >= high or not all(terms):
        return
    terms.sort(key=lambda refs: _length(connection, refs, low, high))  # 1
    shortest, *others = terms
    streams = [_indexes(connection, ref, low, high, newest_first=wanted.newest_first) for ref in shortest]
    merged = heapq.merge(*streams, reverse=wanted.newest_first)
    batch = _FIRST_BATCH
    while candidates := list(islice(merged, batch)):
        for refs in others:  # 2
            candidates = _kept(connection, refs, candidates)
        yield from read_indexes(connection, candidates)  # 3
        batch = min(batch * 2, _LARGEST_BATCH)


def _indexes(
    connection: Connection, ref: str, low: int, high: int, *, newest_first: bool
) -> Iterator[int]:
    """One list within a range, in steps, so that no cursor stays open between them."""
    first, end = low // SPAN, -(-high // SPAN)
    step = _FIRST_ROWS
    order = lists.c.span.desc() if newest_first else lists.c.span
    while first < end:
        chosen = select(lists.c.span, raw(lists.c.places)).where(
            lists.c.ref == ref, lists.c.span >= first, lists.c.span < end
        )
        rows = connection.execute(chosen.order_by(order).limit(step)).all()
        for span, places in rows:
            found = _named(ref, span, places)
            if newest_first:
                found.reverse()
            yield from (index for index in found if low <= index < high)
        if len(rows) < step:
            return
        if newest_first:
            end = rows[-1].span
        else:
            first = rows[-1].span + 1
        step = min(step * 2, _MOST_ROWS)


def _named(ref: str, span: int, places: object) -> list[int]:
    found = indexes(span, places)
    if found is None:
        raise Corrupt(
            "list-damaged", f"The ledger's list of {ref} is damaged; run 'keten ledger verify'.", f"span {span}"
        )
    return found


def _kept(connection: Connection, refs: Sequence[str], candidates: list[int]) -> list[int]:
    """Those of `candidates` that are in one of the lists."""
    if not candidates:
        return candidates
    spans = {index // SPAN for index in candidates}
    chosen = select(raw(lists.c.ref), lists.c.span, raw(lists.c.places)).where(
        lists.c.ref.in_(refs), lists.c.span.in_(spans)
    )
    found = {index for row in connection.execute(chosen) for index in _named(*row)}
    return [index for index in candidates if index in found]


def _length(connection: Connection, refs: Sequence[str], low: int, high: int) -> int:
    """How many entries of a range are about in these lists, counted over `_COUNTED` rows of each at most."""
    total = 0
    for ref in refs:
        chosen = select(func.length(lists.c.places).label("places")).where(
            lists.c.ref == ref, lists.c.span >= low // SPAN, lists.c.span < -(-high // SPAN)
        )
        total += int(connection.execute(select(func.sum(chosen.limit(_COUNTED).subquery().c.places))).scalar() or 0)
    return total
