"""What the watch saw and what was done about it, and who asks for more than a budget."""

from __future__ import annotations

from typing import Literal

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
    """Alerts, the newest first. unread: entries that the watch has yet to look at. requests: how many are open."""

    at_us: int
    lines: tuple[AlertLine, ...]
    count: int
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


def read(reading: Reading, chosen: str, before_us: int, language: str) -> AlertLines:
    """A page of alerts in these states, the newest first. before_us: only those made before; 0 for all."""
    states = STATES[chosen]
    found = reading.rows.newest(Alert, "made_us", states, before_us, PAGE + 1)
    ids = [row_id for row_id, _made in found[:PAGE]]
    rows = {one.id: one for one in reading.rows.some(Alert, ids)}
    lines = tuple(_line(reading, rows[one], language) for one in ids if one in rows)
    return AlertLines(
        at_us=reading.at_us,
        lines=lines,
        count=reading.rows.count(Alert, states),
        broken=len(ids) - len(lines),
        older_us=found[PAGE - 1][1] if len(found) > PAGE else 0,
        unread=max(size(reading.connection) - load_cursor(reading.connection, CURSOR), 0),
        requests=reading.rows.count(More, ("open",), "asked_us", reading.now_us - LAPSES_US),
    )


def one(reading: Reading, alert_id: str, language: str) -> AlertPage:
    """The alert with this id. Raises `NotFound` where there is none, or its row does not hold."""
    row = reading.rows.one(Alert, alert_id)
    if row is None:
        raise NotFound("not-found", "There is no such page.")
    return AlertPage(reading.at_us, _line(reading, row, language))


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


def requests(reading: Reading) -> RequestLines:
    """The newest requests, open ones first."""
    chosen = (reading.rows.newest(More, "asked_us", states, most=PAGE) for states in (("open",), ()))
    ids = [row_id for some in chosen for row_id, _asked in some]
    ids = list(dict.fromkeys(ids))
    rows = {one.id: one for one in reading.rows.some(More, ids)}
    lines = [request_line(reading, rows[one]) for one in ids if one in rows]
    lines.sort(key=lambda line: (line.state != "open", -line.row.asked_us))
    return RequestLines(reading.at_us, tuple(lines), len(ids) - len(lines))


def request(reading: Reading, request_id: str) -> RequestLine:
    """One request. Raises `NotFound`."""
    row = reading.rows.one(More, request_id)
    if row is None:
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
