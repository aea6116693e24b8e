"""Who had it: every access to content with what was really delivered, and what else happened to the content.

Opening and delivery are two entries; here each is shown with the other, so that a line of the answer says all there
is to know of one access. The kinds are other rooms' (docs/formats/entries.md); the ledger knows their names only.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

import msgspec
from sqlalchemy import Connection

from keten.core.clock import rfc3339
from keten.ledger.model import Entry
from keten.ledger.postings import kind_matches
from keten.ledger.query import Filter, find
from keten.ledger.reading import flatten, read_indexes

OPENED = "exchange.object.opened"
DELIVERED = "exchange.object.delivered"
KINDS = (  # what may say who had something, since and until when
    "exchange.object",
    "exchange.lookup",
    "vault",
    "datasets",
    "suppliers",
    "systems",
    "identity.client.ended",
    "identity.person.ended",
)
COLUMNS = (
    "time",
    "kind",
    "outcome",
    "reasons",
    "actor",
    "country",
    "supplier",
    "contract",
    "grant",
    "dataset",
    "object",
    "bytes",
    "at_least",
    "at_most",
    "end",
    "ended",
    "id",
    "index",
    "actor_name",
    "supplier_name",
    "contract_name",
    "grant_name",
    "dataset_name",
    "object_name",
)
_NAMED = tuple(column.removesuffix("_name") for column in COLUMNS if column.endswith("_name"))
_HELD = 10_000  # entries kept back at most, while the delivery of an older one is awaited
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class _Shown:
    """One line of the answer on its way: `done` once nothing can be added to it."""

    __slots__ = ("done", "entry", "folded", "line")

    def __init__(self, entry: Entry, line: dict[str, Any], *, done: bool) -> None:
        self.entry = entry
        self.line = line
        self.done = done
        self.folded = False  # its content stands in another line as well


def custody(connection: Connection, wanted: Filter) -> dict[str, Any]:
    """The outer contract's `{"entries": […]}`, oldest first; see `custody_lines`."""
    return {"entries": list(custody_lines(connection, wanted))}


def custody_lines(connection: Connection, wanted: Filter) -> Iterator[dict[str, Any]]:
    """The entries that say who had what `wanted` is about, in the form of `flatten`, oldest first, streaming.

    An opening has `delivered` (id, index, time, end, and bytes, or at_least and at_most where a process was killed)
    once that is known; a delivery has `opened` (id, index, time). `outcome` asks for what was decided, and so finds
    deliveries with "allow".
    """
    return (shown.line for shown in _lines(connection, wanted))


def write_csv(
    connection: Connection, wanted: Filter, stream: TextIO, name: Callable[[str, str], str] = lambda _word, found: found
) -> int:
    """Write the answer as CSV (RFC 4180), a line for each access or event; returns how many lines.

    `name` gives the organisation's own name of an id, by what it is of: "actor", "supplier", "object", …
    A delivery whose opening is in the answer is in that line and has none of its own. Cells that a spreadsheet would
    run as a formula are written after an apostrophe.
    """
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    count = 0
    for shown in _lines(connection, wanted):
        if not shown.folded:
            writer.writerow([neutral(value) for value in _cells(shown.line, name)])
            count += 1
    return count


def neutral(value: Any) -> Any:
    """A cell's value that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return "'" + value
    return value


def _lines(connection: Connection, wanted: Filter) -> Iterator[_Shown]:
    """The lines in order.

    1. Ask without outcome and limit: a delivery has no outcome, and completes a line that is shown already.
    2. Show an opening once its delivery was seen, or when too many wait behind it.
    3. An opening whose delivery lies beyond what was asked for is completed by a search of its own.
    """
    asked = msgspec.structs.replace(wanted, outcome="", limit=0, newest_first=False)  # 1
    pending: dict[int, _Shown] = {}
    held: deque[_Shown] = deque()
    left = wanted.limit or -1
    for entry in find(connection, asked):
        if not any(kind_matches(entry.kind, kind) for kind in KINDS):
            continue
        shown = _shown(connection, entry, pending)
        if not _outcome_is(shown, wanted.outcome) or left == 0:
            continue
        left -= 1
        if not shown.done:
            pending[entry.index] = shown
        held.append(shown)
        while held and (held[0].done or len(held) > _HELD):  # 2
            yield _completed(connection, held.popleft(), pending, search=True)
        if left == 0:
            break
    # Everything that can be asked for was seen, unless something cut the answer short.
    cut_short = left == 0 or wanted.until_us is not None or wanted.kind != ""
    while held:
        yield _completed(connection, held.popleft(), pending, search=cut_short)  # 3


def _shown(connection: Connection, entry: Entry, pending: dict[int, _Shown]) -> _Shown:
    line = flatten(entry)
    if entry.payload is None:
        return _Shown(entry, line, done=True)
    if entry.kind == OPENED:
        return _Shown(entry, line, done=False)
    shown = _Shown(entry, line, done=True)
    opened_at = _opened_at(entry)
    if opened_at is None:
        return shown
    waiting = pending.get(opened_at)
    opening = waiting.entry if waiting else next(read_indexes(connection, (opened_at,)))
    if not _ends(entry, opening):
        return shown
    line["opened"] = _name(opening)
    if waiting is not None:
        del pending[opened_at]
        _complete(waiting, entry)
        shown.folded = True
    return shown


def _opened_at(entry: Entry) -> int | None:
    """Which entry opened what this one ends, as far as it says so."""
    if entry.kind != DELIVERED or entry.payload is None:
        return None
    index = entry.payload.details.get("opened_at")
    if not isinstance(index, int) or isinstance(index, bool):
        return None
    return index if 0 <= index < entry.index else None


def _ends(entry: Entry, opening: Entry) -> bool:
    """Whether a delivery is that of an opening: index and id agree."""
    return (
        entry.payload is not None
        and opening.kind == OPENED
        and entry.payload.details.get("opening") == opening.id
        and _opened_at(entry) == opening.index
    )


def _completed(
    connection: Connection, shown: _Shown, pending: dict[int, _Shown], *, search: bool
) -> _Shown:
    """A line that is to be shown now, with its delivery if there is one."""
    if shown.done:
        return shown
    pending.pop(shown.entry.index, None)
    if search and shown.entry.payload is not None:
        later = Filter(
            principal=shown.entry.payload.actor,
            object=shown.entry.payload.refs.get("object", ""),
            kind=DELIVERED,
            after=shown.entry.index,
        )
        for entry in find(connection, later):
            if _ends(entry, shown.entry):
                _complete(shown, entry)
                break
    return shown


def _complete(opening: _Shown, delivery: Entry) -> None:
    if delivery.payload is not None:
        details = delivery.payload.details
        known = {name: details[name] for name in ("bytes", "at_least", "at_most", "end", "reason") if name in details}
        opening.line["delivered"] = _name(delivery) | known
    opening.done = True


def _outcome_is(shown: _Shown, outcome: str) -> bool:
    if not outcome:
        return True
    implied = "allow" if shown.entry.kind == DELIVERED else ""
    return bool(shown.line.get("outcome", implied) == outcome)


def _name(entry: Entry) -> dict[str, Any]:
    return {"id": entry.id, "index": entry.index, "time": rfc3339(entry.time_us)}


def _cells(line: dict[str, Any], name: Callable[[str, str], str]) -> Iterable[Any]:
    details = line.get("details", {})
    attributes = details.get("attributes", {})
    delivered = line.get("delivered") or {}
    if line["kind"] == DELIVERED:
        delivered = {"bytes": line.get("bytes"), "time": line["time"]} | details
    country = details.get("country") or (attributes.get("country") if isinstance(attributes, dict) else "")
    values = line | {
        "reasons": " ".join(map(str, line.get("reasons", ()))),
        "country": country,
        "bytes": delivered.get("bytes", line.get("bytes")),
        "at_least": delivered.get("at_least"),
        "at_most": delivered.get("at_most"),
        "end": delivered.get("end"),
        "ended": delivered.get("time"),
    }
    names = {f"{word}_name": name(word, values[word]) for word in _NAMED if values.get(word)}
    return ((values | names).get(column, "") for column in COLUMNS)
