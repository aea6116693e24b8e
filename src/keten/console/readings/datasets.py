"""Datasets: what there is, whose, what is in each, and who may have it."""

from __future__ import annotations

import msgspec

from keten.console.model import Share
from keten.console.readings.desk import Reading
from keten.console.readings.lines import Lines, lines
from keten.console.readings.paging import chosen
from keten.core.errors import NotFound
from keten.datasets.model import Dataset
from keten.identity.model import Person
from keten.ledger.query import Filter
from keten.systems.model import System
from keten.vault.model import Object

PAGE = 50
MOST = 20_000
FILES = 25
MOST_OBJECTS = 5000
"""Objects that are looked through for the newest, on the page of one dataset."""
NEWEST = 25


class DatasetLine(msgspec.Struct, frozen=True):
    """A dataset. owner: a name, "" where the row is gone."""

    row: Dataset
    owner: str


class DatasetLines(msgspec.Struct, frozen=True):
    """A page of them; as of `readings.suppliers`."""

    at_us: int
    lines: tuple[DatasetLine, ...]
    count: int
    all: int
    page: int
    pages: int
    broken: int


class DatasetPage(msgspec.Struct, frozen=True):
    """One dataset. files: its newest content.

    records: of all present content, None where a row does not hold, or there is too much of it to count here.
    source: name of the system that its records stay in, "" for the vault.
    """

    at_us: int
    line: DatasetLine
    source: str
    files: tuple[Object, ...]
    present: int
    records: int | None
    shares: tuple[Share, ...]
    timeline: Lines
    more: bool
    broken: int
    complete: bool


def read(reading: Reading, wanted: str, page: int) -> DatasetLines:
    """One page, by name."""
    called = ((name.casefold(), row_id) for row_id, name, _body in reading.rows.called(Dataset, MOST, "id"))
    on = chosen(called, wanted, page, PAGE)
    found = {one.id: one for one in reading.rows.some(Dataset, on.ids)}
    made = tuple(_line(reading, found[one]) for one in on.ids if one in found)
    return DatasetLines(reading.at_us, made, on.count, on.all, on.page, on.pages, len(on.ids) - len(made))


def one(reading: Reading, dataset_id: str) -> DatasetPage:
    """The dataset with this id. Raises `NotFound` where there is none, or its row does not hold."""
    rows, now = reading.rows, reading.now_us
    row = rows.one(Dataset, dataset_id)
    if row is None:
        raise NotFound("not-found", "There is no such page.", dataset_id)
    failures = rows.failures
    objects: list[Object] = []
    cut = False
    for found in rows.all(Object, dataset=row.id):
        if len(objects) == MOST_OBJECTS:
            cut = True
            break
        objects.append(found)
    present = [one for one in objects if one.state == "present" and not 0 < one.expires_us <= now]
    known = not cut and rows.failures == failures
    shared = reading.sharing.of_dataset(rows, reading.connection, reading.history, row, now)
    newest = sorted(objects, key=lambda one: (one.state != "present", -one.put_us))[:FILES]
    history = reading.history
    return DatasetPage(
        at_us=reading.at_us,
        line=_line(reading, row),
        source=reading.names.of(System, row.source.system) if row.source is not None else "",
        files=tuple(newest),
        present=len(present),
        records=sum(one.records for one in present) if known else None,
        shares=shared.shares,
        timeline=lines(reading.connection, reading.names, Filter(dataset=row.id, limit=NEWEST, newest_first=True)),
        more=cut or shared.cut or len(objects) > FILES,
        broken=len(rows.mismatches),
        complete=history.read >= history.entries,
    )


def _line(reading: Reading, row: Dataset) -> DatasetLine:
    return DatasetLine(row=row, owner=reading.names.of(Person, row.owner))
