"""Reading entries back, each checked against its own leaf, and the form in which commands show them.

Whether a leaf is the one that was sealed is what `keten.ledger.verify` looks at; here an entry whose payload is not
what its leaf commits to, or that is not there at all, is never shown as if it were fine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Column, Connection, Row, Select, func, select, type_coerce
from sqlalchemy.types import NullType

from keten.core.clock import rfc3339
from keten.core.errors import Corrupt
from keten.ledger.model import Entry, Outline, Payload
from keten.ledger.sealing import commitment, leaf_bytes
from keten.ledger.tables import entries, head

CHUNK = 512
P = TypeVar("P", Payload, Outline)
# What a damaged value can raise: a wrong type, what is no JSON or no UTF-8 (msgspec's errors are ValueErrors), JSON
# nested too deeply, a time that no calendar has.
UNREADABLE = (AttributeError, TypeError, ValueError, RecursionError, OverflowError, OSError)
_decode = msgspec.json.Decoder(Payload).decode
_outline = msgspec.json.Decoder(Outline).decode
_SHOWN_REFS = ("dataset", "object", "supplier", "contract", "grant", "client")
_SHOWN_DETAILS = ("outcome", "reasons", "bytes")


def size(connection: Connection) -> int:
    """How many entries the newest head covers; 0 in a database without one."""
    return int(connection.execute(select(head.c.size)).scalar() or 0)


def read_range(connection: Connection, start: int, stop: int) -> Iterator[Entry]:
    """The entries from index `start` up to, not including, `stop`, oldest first; never beyond the newest head.

    They are fetched in chunks, so memory stays bounded however many there are. Raises `Corrupt` ("entry-missing",
    "entry-damaged"), naming the index.
    """
    return map(entry_from_row, _rows(connection, start, stop))


def read_outlines(connection: Connection, start: int, stop: int) -> Iterator[tuple[Row[Any], Outline | None]]:
    """As `read_range`: rows (`idx`, `id`, `time_us`, `kind`), each with its payload's outline; None once erased."""
    return ((row, _checked(row, _outline)) for row in _rows(connection, start, stop))


def _rows(connection: Connection, start: int, stop: int) -> Iterator[Row[Any]]:
    start = max(start, 0)
    stop = min(stop, size(connection))
    while start < stop:
        end = min(start + CHUNK, stop)
        chosen = _entries().where(entries.c.idx >= start, entries.c.idx < end)
        expected = start
        for row in connection.execute(chosen):
            if row.idx != expected:
                raise missing(expected)
            expected += 1
            yield row
        if expected != end:
            raise missing(expected)
        start = end


def read_indexes(connection: Connection, indexes: Iterable[int]) -> Iterator[Entry]:
    """The entries at these indexes, in the order given, which must not name one twice within `CHUNK`.

    Raises `Corrupt` ("entry-missing", "entry-damaged"), naming the index.
    """
    each = iter(indexes)
    while some := list(islice(each, CHUNK)):
        found = {row.idx: row for row in connection.execute(_entries().where(entries.c.idx.in_(some)))}
        for index in some:
            if index not in found:
                raise missing(index)
            yield entry_from_row(found.pop(index))


def read_entries(connection: Connection, which: range | Iterable[int]) -> Iterator[Entry]:
    """`read_range` for a range of step 1, `read_indexes` for any other collection of indexes."""
    if isinstance(which, range) and which.step == 1:
        return read_range(connection, which.start, which.stop)
    return read_indexes(connection, which)


def index_at(connection: Connection, time_us: int, *, stop: int) -> int:
    """The index of the first entry before `stop` whose time is not before `time_us`; `stop` when there is none.

    A binary search: the times of entries never fall.
    """
    low, high = 0, stop
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(select(entries.c.time_us).where(entries.c.idx == middle)).scalar()
        if found is None:
            raise missing(middle)
        if found < time_us:
            low = middle + 1
        else:
            high = middle
    return low


def last_time(connection: Connection) -> int:
    """The time of the newest entry in microseconds; 0 without entries."""
    return int(connection.execute(select(func.max(head.c.time_us))).scalar() or 0)


def entry_from_row(row: Row[Any]) -> Entry:
    """A row of `entries` as an entry.

    1. Its payload is what its leaf commits to (an erased entry has neither payload nor salt).
    2. Its time and kind, by which it is found, are those of the payload.

    Raises `Corrupt` ("entry-damaged").
    """
    return Entry(row.idx, row.id, row.time_us, row.kind, _checked(row, _decode))


def _checked(row: Row[Any], decode: Callable[[bytes], P]) -> P | None:
    """Steps 1 and 2 of `entry_from_row`."""
    if row.payload is None and row.salt is None:
        return None
    try:
        holds = leaf_bytes(row.id, commitment(row.salt, row.id, row.payload)) == row.leaf  # 1
        payload = decode(row.payload)
        same_time = payload.time == rfc3339(row.time_us)
    except UNREADABLE as error:
        raise _damaged(row.idx, str(error)) from error
    if not holds:
        raise _damaged(row.idx, "its payload is not what its leaf commits to")
    if payload.kind != row.kind or not same_time:  # 2
        raise _damaged(row.idx, "its time or kind is not that of its payload")
    return payload


def flatten(entry: Entry) -> dict[str, Any]:
    """An entry in the outer contract's form, for `show --json` and `custody --json`; what is absent is left out.

    `outcome`, `reasons` and `bytes` come out of the details; what else the details and references hold stands under
    `details` and `refs`. An erased entry has `"state": "erased"` instead of its payload.
    """
    shown: dict[str, Any] = {
        "id": entry.id,
        "index": entry.index,
        "time": rfc3339(entry.time_us),
        "kind": entry.kind,
    }
    payload = entry.payload
    if payload is None:
        return shown | {"state": "erased"}
    shown["actor"] = payload.actor
    if payload.subjects:
        shown["subjects"] = list(payload.subjects)
    refs, details = dict(payload.refs), dict(payload.details)
    shown |= {name: refs.pop(name) for name in _SHOWN_REFS if name in refs}
    shown |= {name: details.pop(name) for name in _SHOWN_DETAILS if name in details}
    rest = {"refs": refs, "details": details, "personal": payload.personal}
    return shown | {name: value for name, value in rest.items() if value}


def missing(index: int) -> Corrupt:
    """The error for an entry that must be there and is not."""
    return Corrupt("entry-missing", f"Entry {index} of the ledger is missing.", "run 'keten ledger verify'")


def _damaged(index: int, what: str) -> Corrupt:
    return Corrupt("entry-damaged", f"Entry {index} of the ledger is damaged.", what)


def _entries() -> Select[Any]:
    return select(*(raw(column) for column in entries.columns)).order_by(entries.c.idx)


def raw(column: Column[Any]) -> Any:
    """A column as the database has it: a damaged row can hold values that a conversion would fail on."""
    return type_coerce(column, NullType()).label(column.name)
