"""Verification of the posting lists: no entry is missing from a list that it belongs in, and none stands in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, func, select

from keten.ledger.derived import Compared, RefsOf
from keten.ledger.faults import Fault
from keten.ledger.postings import SPAN, Lists, indexes
from keten.ledger.reading import raw
from keten.ledger.tables import entries, postings

_REFS_AT_ONCE = 500
_ROWS_AT_ONCE = 2000
MISSING = "the list lacks this entry"
TOO_MANY = "the list holds this entry, which does not belong in it"
MALFORMED = "the places of the list are not rising numbers of a byte each"


def compare_lists(connection: Connection, expected: Lists, first: int, end: int) -> Compared:
    """Whether the lists have what is expected of the entries from `first` (start of a span) up to `end`.

    `Compared.there`: rows that were looked at here; what rows there are beyond those is for `surplus_lists`.
    """
    compared = Compared()
    refs = iter(expected.by_ref)
    while some := list(islice(refs, _REFS_AT_ONCE)):
        chosen = select(raw(postings.c.ref), raw(postings.c.span), raw(postings.c.places)).where(
            postings.c.ref.in_(some), postings.c.span >= first // SPAN, postings.c.span < -(-end // SPAN)
        )
        found: dict[str, dict[Any, Any]] = {}
        for ref, span, places in connection.execute(chosen):
            found.setdefault(ref, {})[span] = places
        for ref in some:
            there = found.get(ref, {})
            for span, wanted in expected.by_ref[ref].items():
                if span not in there:
                    compared.faults += [_fault(MISSING, ref, span * SPAN + place) for place in wanted]
                    continue
                compared.there += 1
                if there[span] != wanted:
                    compared.faults += _differences(ref, span, wanted, there[span])
    return compared


def surplus_lists(connection: Connection, there: int, end: int, refs_of: RefsOf) -> Iterator[Fault]:
    """The rows beyond the `there` that were compared: no entry before `end` belongs in them.

    `refs_of(kind, payload)` says which ids an entry has. Takes long only when there is something to be found.
    """
    count = int(connection.execute(select(func.count()).select_from(postings)).scalar() or 0)
    left = count - there
    if left <= 0:
        return
    columns = (raw(postings.c.ref), raw(postings.c.span), raw(postings.c.places))
    for rows in connection.execute(select(*columns).execution_options(yield_per=_ROWS_AT_ONCE)).partitions():
        known = _refs(connection, {span for _, span, _ in rows}, end, refs_of)
        for ref, span, places in rows:
            if ref not in known.get(span, ()):
                yield from _surplus(ref, span, places)
                left -= 1
        if left <= 0:
            return


def _differences(ref: str, span: int, wanted: bytearray, places: Any) -> Iterator[Fault]:
    """A row that is there, and is not as it must be."""
    named = indexes(span, places)
    must = [span * SPAN + place for place in wanted]
    if named is None:
        yield from (_fault(MALFORMED, ref, index) for index in must)
        return
    yield from (_fault(MISSING, ref, index) for index in must if index not in named)
    yield from (_fault(TOO_MANY, ref, index) for index in named if index not in must)


def _surplus(ref: Any, span: Any, places: Any) -> Iterator[Fault]:
    """A row that must not be there at all."""
    row = ref if isinstance(ref, str) else f"{ref!r:.90}"
    named = indexes(span, places) if isinstance(span, int) else None
    if named is None:
        yield Fault("postings", f"a row for no entry at all: {span!r:.40}", table="postings", row=row)
    else:
        yield from (_fault(TOO_MANY, row, index) for index in named)


def _refs(connection: Connection, spans: Iterable[Any], end: int, refs_of: RefsOf) -> dict[Any, set[str]]:
    """The ids that the entries of each span have."""
    known: dict[Any, set[str]] = {}
    for span in sorted(span for span in spans if isinstance(span, int) and 0 <= span * SPAN < end):
        chosen = select(raw(entries.c.kind), raw(entries.c.payload)).where(
            entries.c.idx >= span * SPAN, entries.c.idx < min((span + 1) * SPAN, end)
        )
        known[span] = {ref for row in connection.execute(chosen) for ref in refs_of(row[0], row[1])}
    return known


def _fault(what: str, ref: str, index: int) -> Fault:
    return Fault("postings", what, index=index, table="postings", row=ref)
