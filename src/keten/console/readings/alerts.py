"""What the watch saw and what was done about it, and who asks for more than a budget."""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import Table, func, select

from keten.budgets.model import Shown
from keten.budgets.row import LAPSES_US, More
from keten.budgets.tables import budget_requests
from keten.console.readings.desk import Reading
from keten.console.readings.lines import who_of
from keten.core.errors import NotFound
from keten.datasets.model import Dataset
from keten.identity.model import Client, Person
from keten.ledger.cursors import load_cursor
from keten.ledger.reading import raw, size
from keten.suppliers.model import Grant, Supplier
from keten.watch.alerts import CURSOR, count_of
from keten.watch.explaining import Explanation, explain
from keten.watch.row import Alert
from keten.watch.tables import alerts

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
    table = alerts
    states = STATES[chosen]
    statement = select(raw(table.c.id), table.c.made_us).where(table.c.state.in_(states))
    if before_us:
        statement = statement.where(table.c.made_us < before_us)
    found = reading.connection.execute(statement.order_by(table.c.made_us.desc()).limit(PAGE + 1)).all()
    ids = [str(one.id) for one in found[:PAGE]]
    rows = {one.id: one for one in reading.rows.some(Alert, ids)}
    lines = tuple(_line(reading, rows[one], language) for one in ids if one in rows)
    return AlertLines(
        at_us=reading.at_us,
        lines=lines,
        count=_count(reading, table, states),
        broken=len(ids) - len(lines),
        older_us=int(found[PAGE - 1].made_us) if len(found) > PAGE else 0,
        unread=max(size(reading.connection) - load_cursor(reading.connection, CURSOR), 0),
        requests=_open_requests(reading),
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


def _count(reading: Reading, table: Table, states: tuple[str, ...]) -> int:
    counted = select(func.count()).select_from(table).where(table.c.state.in_(states))
    return int(reading.connection.execute(counted).scalar_one())


def _open_requests(reading: Reading) -> int:
    table = budget_requests
    asked = reading.now_us - LAPSES_US
    counted = select(func.count()).select_from(table).where(table.c.state == "open", table.c.asked_us > asked)
    return int(reading.connection.execute(counted).scalar_one())


# ---- requests for more ---------------------------------------------------------------------------------------------


def requests(reading: Reading) -> RequestLines:
    """The newest requests, open ones first."""
    table = budget_requests
    opened = select(raw(table.c.id)).where(table.c.state == "open").order_by(table.c.asked_us.desc()).limit(PAGE)
    newest = select(raw(table.c.id)).order_by(table.c.asked_us.desc()).limit(PAGE)
    ids = [str(one) for chosen in (opened, newest) for one in reading.connection.execute(chosen).scalars()]
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
