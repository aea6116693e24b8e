"""Verification of the posting lists: no entry is missing from a list that it belongs in, and none stands in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import Connection, func, select

from keten.core.db import fetched
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
    """The rows that the lists must have of a range of entries: id → span → places. Entries come in rising order."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[int, bytearray]] = {}

    def add(self, refs: Iterable[str], index: int) -> None:
        """One entry, and the ids that it has, each once."""
        span, place = divmod(index, SPAN)
        for ref in refs:
            self._rows.setdefault(ref, {}).setdefault(span, bytearray()).append(place)

    def add_span(self, span: int, lists: Mapping[str, bytearray]) -> None:
        """All entries of a span: the ids that they have → their places."""
        rows = self._rows
        for ref, places in lists.items():
            spans = rows.get(ref)
            if spans is None:
                rows[ref] = {span: places}
            else:
                spans[span] = places

    def rows(self) -> dict[str, dict[int, bytearray]]:
        """The rows, by the ids that stand in the lists."""
        self._rows.pop("", None)
        for ref in [ref for ref in self._rows if posting_ref(ref) != ref]:
            self._rows[posting_ref(ref)] = self._rows.pop(ref)
        return self._rows


def compare_lists(connection: Connection, wanted: Wanted, first: int, end: int) -> Compared:
    """Whether the lists have what is wanted of the entries from `first` (start of a span) up to `end`.

    Nearly always the rows of many ids are, one after the other, those that are wanted. Otherwise each is looked at.
    `Compared.there`: rows that were looked at here; what rows there are beyond those is for `surplus_lists`.
    """
    compared = Compared()
    rows = wanted.rows()
    refs = iter(sorted(rows))
    while some := list(islice(refs, _REFS_AT_ONCE)):
        chosen = (
            select(raw(postings.c.ref), raw(postings.c.span), raw(postings.c.places))
            .where(postings.c.ref.in_(some), postings.c.span >= first // SPAN, postings.c.span < -(-end // SPAN))
            .order_by(postings.c.ref, postings.c.span)
        )
        found = fetched(connection.execute(chosen))
        if found == [(ref, span, places) for ref in some for span, places in rows[ref].items()]:
            compared.there += len(found)
        else:
            _compare(compared, found, {ref: rows[ref] for ref in some})
    return compared


def _compare(compared: Compared, found: Iterable[tuple[Any, ...]], wanted: dict[str, dict[int, bytearray]]) -> None:
    """Row by row."""
    for ref, span, places in found:
        must = wanted[ref].pop(span, None) if ref in wanted else None
        if must is None:
            continue  # too many
        compared.there += 1
        if places != must:
            compared.faults += _differences(ref, span, must, places)
    for ref, spans in wanted.items():  # what was not found
        compared.faults += [
            _fault(MISSING, ref, span * SPAN + place) for span, places in spans.items() for place in places
        ]


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
