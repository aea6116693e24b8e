"""Verification of the posting lists: no entry is missing from a list that it belongs in, and none stands in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, func, select

from keten.ledger.derived import Compared, RefsOf
from keten.ledger.faults import Fault
from keten.ledger.postings import SPAN, indexes, posting_ref
from keten.ledger.reading import raw
from keten.ledger.tables import entries, postings

_REFS_AT_ONCE = 500
_ROWS_AT_ONCE = 2000
MISSING = "the list lacks this entry"
TOO_MANY = "the list holds this entry, which does not belong in it"
MALFORMED = "the places of the list are not rising numbers of a byte each"


class Wanted:
    """The rows that the lists must have of a range of entries: span → id → places. Entries come in rising order."""

    def __init__(self) -> None:
        self._spans: dict[int, dict[str, bytearray]] = {}
        self._span = -1
        self._lists: dict[str, bytearray] = {}

    def add(self, refs: Iterable[str], index: int) -> None:
        """One entry, and the ids that it has, each once."""
        span, place = divmod(index, SPAN)
        if span != self._span:
            self._span = span
            self._lists = self._spans[span] = {}
        lists = self._lists
        for ref in refs:
            places = lists.get(ref)
            if places is None:
                lists[ref] = bytearray((place,))
            else:
                places.append(place)

    def spans(self) -> dict[int, dict[str, bytearray]]:
        """The rows, by the ids that stand in the lists."""
        for lists in self._spans.values():
            lists.pop("", None)
            for ref in [ref for ref in lists if posting_ref(ref) != ref]:
                lists[posting_ref(ref)] = lists.pop(ref)
        return self._spans


def compare_lists(connection: Connection, wanted: Wanted, first: int, end: int) -> Compared:
    """Whether the lists have what is wanted of the entries from `first` (start of a span) up to `end`.

    `Compared.there`: rows that were looked at here; what rows there are beyond those is for `surplus_lists`.
    """
    compared = Compared()
    spans = wanted.spans()
    refs = iter(sorted({ref for lists in spans.values() for ref in lists}))
    while some := list(islice(refs, _REFS_AT_ONCE)):
        chosen = select(raw(postings.c.ref), raw(postings.c.span), raw(postings.c.places)).where(
            postings.c.ref.in_(some), postings.c.span >= first // SPAN, postings.c.span < -(-end // SPAN)
        )
        for ref, span, places in connection.execute(chosen).all():
            must = spans[span].pop(ref, None) if span in spans else None
            if must is None:
                continue  # too many
            compared.there += 1
            if places != must:
                compared.faults += _differences(ref, span, must, places)
    for span, lists in spans.items():  # what was not found
        compared.faults += [_fault(MISSING, ref, span * SPAN + place) for ref in lists for place in lists[ref]]
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
