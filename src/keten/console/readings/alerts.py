"""What the watch saw and what was done about it, and who asks for more than a budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

import msgspec

from keten.budgets.model import Shown
from keten.budgets.row import LAPSES_US, More
from keten.console.readings.desk import Reading
from keten.console.readings.lines import who_of
from keten.core.errors import NotFound
from keten.datasets.model import Dataset
from keten.identity.model import Client, Person
from keten.ledger.cursors import load_cursor
from keten.ledger.reading import size
from keten.suppliers.model import Grant, Supplier
from keten.watch.alerts import CURSOR, count_of
from keten.watch.explaining import Explanation, explain
from keten.watch.row import Alert

PAGE = 50
MOST_LOOKED = 1500
T = TypeVar("T", Alert, More)
Chosen = Literal["open", "closed"]
STATES: dict[str, tuple[str, ...]] = {"open": ("open", "acknowledged"), "closed": ("closed", "noted")}


class AlertLine(msgspec.Struct, frozen=True):
    """An alert. told: in words. principal, supplier, dataset: names, "" for none. count: of signals by now.

    in_force: its response holds now. by: who said something about it last.
    """

    row: Alert
    told: Explanation
    principal: str
    supplier: str
    dataset: str
    count: int
    last_us: int
    in_force: bool
    by: str


class AlertLines(msgspec.Struct, frozen=True):
    """Alerts, the newest first. count: of all such; None where that is not known. requests: how many are open.

    unread: entries that the watch has yet to look at.
    """

    at_us: int
    lines: tuple[AlertLine, ...]
    count: int | None
    broken: int
    older_us: int
    unread: int
    requests: int


class AlertPage(msgspec.Struct, frozen=True):
    """One alert."""

    at_us: int
    line: AlertLine


class RequestLine(msgspec.Struct, frozen=True):
    """A request for more; names, "" where a row is gone. Why it was made is not here: only the keeper opens that."""

    row: More
    state: Shown
    client: str
    supplier: str
    dataset: str
    grant: str
    by: str


class RequestLines(msgspec.Struct, frozen=True):
    """Requests, the newest first."""

    at_us: int
    lines: tuple[RequestLine, ...]
    broken: int


def read(reading: Reading, chosen: str, before_us: int, language: str, owner: str = "") -> AlertLines:
    """A page of alerts in these states, the newest first. before_us: only those made before; 0 for all.

    owner: only of datasets of this person; "": of all.
    """
    states = STATES[chosen]
    found = _newest(reading, Alert, "made_us", states, before_us, owner)
    lines = tuple(_line(reading, one, language) for one in found.rows)
    return AlertLines(
        at_us=reading.at_us,
        lines=lines,
        count=None if owner else reading.rows.count(Alert, states),
        broken=found.broken,
        older_us=found.older_us,
        unread=max(size(reading.connection) - load_cursor(reading.connection, CURSOR), 0),
        requests=_waiting(reading, owner),
    )


def one(reading: Reading, alert_id: str, language: str, owner: str = "") -> AlertPage:
    """The alert with this id. Raises `NotFound` where there is none that holds, and for another owner's."""
    row = reading.rows.one(Alert, alert_id)
    if row is None or not _owned(reading, [row], owner):
        raise NotFound("not-found", "There is no such page.")
    return AlertPage(reading.at_us, _line(reading, row, language))


class _Newest(msgspec.Struct, Generic[T], frozen=True):
    """Rows, the newest first. broken: how many did not hold. older_us: from where to go on; 0: there are no more."""

    rows: tuple[T, ...]
    broken: int
    older_us: int


def _newest(
    reading: Reading, kind: type[T], by: str, states: Sequence[str], before_us: int, owner: str
) -> _Newest[T]:
    """A page of rows. Those of one owner are looked for among so many, and the page says from where to go on."""
    some: list[T] = []
    broken, looked, last = 0, 0, before_us
    while looked < (MOST_LOOKED if owner else 1):
        found = reading.rows.newest(kind, by, states, last, PAGE + 1)
        ids = [row_id for row_id, _when in found[:PAGE]]
        rows = {row.id: row for row in reading.rows.some(kind, ids)}
        broken += len(ids) - len(rows)
        some.extend(_owned(reading, [rows[one] for one in ids if one in rows], owner))
        looked += len(ids)
        last = found[PAGE - 1][1] if len(found) > PAGE else 0
        if not last or len(some) >= PAGE:
            break
    return _Newest(tuple(some), 0 if owner else broken, last)


def _owned(reading: Reading, rows: Sequence[T], owner: str) -> list[T]:
    """Those of a dataset that this person owns now; "": all."""
    if not owner:
        return list(rows)
    wanted = {row.dataset for row in rows if row.dataset}
    own = {one.id for one in reading.rows.some(Dataset, sorted(wanted)) if one.owner == owner}
    return [row for row in rows if row.dataset in own]


def _waiting(reading: Reading, owner: str) -> int:
    """How many requests are open."""
    since = reading.now_us - LAPSES_US
    if not owner:
        return reading.rows.count(More, ("open",), "asked_us", since)
    found = _newest(reading, More, "asked_us", ("open",), 0, owner)
    return sum(one.asked_us > since for one in found.rows)


def _line(reading: Reading, row: Alert, language: str) -> AlertLine:
    names = reading.names
    found = {
        row.principal: names.who(row.principal)[0] if row.principal else "",
        row.supplier: names.of(Supplier, row.supplier) if row.supplier else "",
        row.dataset: names.of(Dataset, row.dataset) if row.dataset else "",
    }
    known = {key: value for key, value in found.items() if key and value}
    count, last_us = count_of(reading.connection, row)
    told = {name: value for name, value in row.told.items() if name != "until"}  # the page says it in its own way
    return AlertLine(
        row=row,
        told=explain(row.detector, told, known, language),
        principal=known.get(row.principal, ""),
        supplier=known.get(row.supplier, ""),
        dataset=known.get(row.dataset, ""),
        count=count,
        last_us=last_us,
        in_force=row.holds_at(reading.now_us),
        by=who_of(names, row.by) if row.by else "",
    )


# ---- requests for more ---------------------------------------------------------------------------------------------


def requests(reading: Reading, owner: str = "") -> RequestLines:
    """The newest requests, open ones first. owner: only of datasets of this person; "": of all."""
    waiting, newest = (_newest(reading, More, "asked_us", states, 0, owner) for states in (("open",), ()))
    found = {one.id: one for one in (*waiting.rows, *newest.rows)}
    lines = [request_line(reading, one) for one in found.values()]
    lines.sort(key=lambda line: (line.state != "open", -line.row.asked_us))
    return RequestLines(reading.at_us, tuple(lines), newest.broken)


def request(reading: Reading, request_id: str, owner: str = "") -> RequestLine:
    """One request. Raises `NotFound`, for one of another owner's dataset as well."""
    row = reading.rows.one(More, request_id)
    if row is None or not _owned(reading, [row], owner):
        raise NotFound("not-found", "There is no such page.")
    return request_line(reading, row)


def request_line(reading: Reading, row: More) -> RequestLine:
    """A request with its names."""
    names = reading.names
    return RequestLine(
        row=row,
        state=row.state_at(reading.now_us),
        client=names.of(Client, row.client) or names.of(Person, row.client),
        supplier=names.of(Supplier, row.supplier),
        dataset=names.of(Dataset, row.dataset),
        grant=names.of(Grant, row.grant),
        by=who_of(names, row.by) if row.by else "",
    )
