"""What screens read: only rows that hold, page by page, by indices, and never more of the ledger than was said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import msgspec
import pytest
from sqlalchemy import event, text

from keten.console.readings import alerts, budgets, datasets, ending, ledger, people, supplier, suppliers
from keten.console.readings.desk import Desk, Reading
from keten.console.readings.ledger import Asked
from keten.core.errors import NotFound
from keten.core.ids import new_id
from keten.ledger.writing import Writing
from keten.watch import tables
from keten.watch.alerts import said
from keten.watch.entries import ALERT_RAISED
from keten.watch.row import Alert
from tests.unit.console.house import CLIENT, DATASET, GRANT, SUPPLIER, House

T = TypeVar("T")


@pytest.fixture
def desk(house: House) -> Desk:
    house.declare()
    house.fetched(house.put())
    return Desk(house.settings, house.reader, house.history)


def read(house: House, desk: Desk, take: Callable[[Reading], T]) -> T:
    """One reading, with the ledger read to its end."""
    house.history.advance(100_000)
    return desk.read(take, folded=True)


def test_a_list_of_suppliers_is_searched_and_paged(house: House, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(house, desk, lambda reading: suppliers.read(reading, "", 1))
    assert [one.title for one in found.lines] == ["Drukwerk BV", "Zorgvervoer Zuid"]
    first = found.lines[0]
    assert (first.running, first.clients, first.ended) == (1, 1, None)
    assert first.received_us > 0
    for wanted in ("drukwerk", "DRUKWERK b"):
        found = read(house, desk, partial(suppliers.read, wanted=wanted, page=1))
        assert [one.name for one in found.lines] == [SUPPLIER]
    assert not read(house, desk, lambda reading: suppliers.read(reading, "%", 1)).lines
    monkeypatch.setattr(suppliers, "PAGE", 1)
    pages = [read(house, desk, partial(suppliers.read, wanted="", page=at)) for at in (1, 2, 99, -5)]
    assert [(one.page, one.pages, one.lines[0].name) for one in pages] == [
        (1, 2, SUPPLIER),
        (2, 2, "vervoer"),
        (2, 2, "vervoer"),
        (1, 2, SUPPLIER),
    ]


def test_a_row_that_does_not_hold_is_counted_and_not_shown(house: House, desk: Desk) -> None:
    row = house.id("supplier", SUPPLIER)
    client = house.id("client", CLIENT)
    change = "UPDATE {} SET body = CAST(replace(CAST(body AS TEXT), '{}', '{}') AS BLOB)"
    assert house.tamper(change.format("clients", "ssh-", "xsh-") + " WHERE name = :name", name=CLIENT)
    found = read(house, desk, lambda reading: supplier.read(reading, row))
    assert found.broken == 1
    assert not found.clients
    with pytest.raises(NotFound):
        read(house, desk, lambda reading: ending.read(reading, "client", client))
    assert house.tamper(change.format("suppliers", '"NL"', '"BE"') + " WHERE name = :name", name=SUPPLIER)
    listed = read(house, desk, lambda reading: suppliers.read(reading, "", 1))
    assert ([one.name for one in listed.lines], listed.broken) == (["vervoer"], 1)
    with pytest.raises(NotFound):
        read(house, desk, lambda reading: supplier.read(reading, row))


def test_ending_counts_what_it_ends(house: House, desk: Desk) -> None:
    file = house.put("more.csv")
    house.opened(file)
    whole = read(house, desk, lambda reading: ending.read(reading, "supplier", house.id("supplier", SUPPLIER)))
    assert (whole.clients, whole.people, whole.contracts, whole.open, whole.transfers) == (1, 1, 1, 1, 1)
    assert whole.held is not None
    assert whole.held.most == 100
    client = read(house, desk, lambda reading: ending.read(reading, "client", house.id("client", CLIENT)))
    assert (client.transfers, client.held, client.supplier_title) == (1, None, "Drukwerk BV")
    other = read(house, desk, lambda reading: ending.read(reading, "supplier", house.id("supplier", "vervoer")))
    assert (other.open, other.transfers, other.clients) == (0, 0, 1)
    with pytest.raises(NotFound):
        read(house, desk, lambda reading: ending.read(reading, "dataset", house.id("dataset", DATASET)))


def test_a_page_of_the_ledger_looks_at_so_much_and_goes_on(
    house: House, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PAGE", 3)
    monkeypatch.setattr(ledger, "LOOKED", 4)
    for _each in range(5):
        house.refused("no-grant", refs={"supplier": house.id("supplier", SUPPLIER)})
        house.fetched(house.put(f"f{_each}.csv"))
    for asked in (
        Asked(),
        Asked(outcome="deny"),
        Asked(kind="exchange", outcome="allow"),
        Asked(name=SUPPLIER, kind="exchange"),
        Asked(name=CLIENT, outcome="deny"),
    ):
        everything = [line.index for line in _all(house, desk, asked)]
        assert everything == sorted(set(everything), reverse=True)
        monkeypatch.setattr(ledger, "PAGE", 1000)
        monkeypatch.setattr(ledger, "LOOKED", 1000)
        assert everything == [one.index for one in _all(house, desk, asked)]
        assert everything
        monkeypatch.setattr(ledger, "PAGE", 3)
        monkeypatch.setattr(ledger, "LOOKED", 4)


def _all(house: House, desk: Desk, asked: Asked) -> Iterator[Any]:
    while True:
        page = read(house, desk, partial(ledger.read, asked=asked))
        assert len(page.lines) <= ledger.PAGE
        yield from page.lines
        if page.older is None:
            return
        asked = msgspec.structs.replace(asked, before=page.older)


def test_who_had_it_says_what_goes_on_and_how_the_rest_ended(house: House, desk: Desk) -> None:
    file = house.put("more.csv")
    going_on = house.opened(file)
    cut = house.opened(file)
    house.delivered(file, cut, end="cut", bytes=10, reason="revoked")
    for name in (DATASET, SUPPLIER, CLIENT, "more.csv", house.id("supplier", SUPPLIER)):
        found = read(house, desk, partial(ledger.custody, word="", name=name, before=None))
        assert [(one.end, one.index) for one in found.accesses][:2] == [("", going_on), ("cut", cut)]
        assert all(one.who == CLIENT for one in found.accesses)
    assert read(house, desk, lambda reading: ledger.custody(reading, "", "nobody", None)).unknown


def test_everything_is_found_by_an_index(house: House, desk: Desk) -> None:
    """The plans of all statements: no table is walked through but those of names, for the lists."""
    if house.reader.dialect.name != "sqlite":
        pytest.skip("plans of SQLite")
    asked: list[tuple[str, Any]] = []
    row, dataset = house.id("supplier", SUPPLIER), house.id("dataset", DATASET)

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: Any) -> None:
        asked.append((statement, parameters))

    event.listen(house.reader, "before_cursor_execute", note)
    takes: tuple[Callable[[Reading], object], ...] = (
        lambda reading: supplier.read(reading, row),
        lambda reading: ending.read(reading, "supplier", row),
        lambda reading: datasets.one(reading, dataset),
        lambda reading: people.one(reading, house.id("person", "dpo")),
        lambda reading: ledger.read(reading, Asked(name=SUPPLIER)),
        lambda reading: ledger.custody(reading, "", SUPPLIER, None),
        lambda reading: ledger.one(reading, 3),
        lambda reading: alerts.read(reading, "open", 0, "nl"),
        alerts.requests,
        lambda reading: alerts.read(reading, "closed", 0, "nl", house.id("person", "dpo")),
        lambda reading: alerts.requests(reading, house.id("person", "dpo")),
    )
    for take in takes:
        read(house, desk, take)
    event.remove(house.reader, "before_cursor_execute", note)
    assert len(asked) > 50
    small = {"head", "cursors", "organisation"}
    with house.reader.connect() as connection:
        for statement, parameters in asked:
            if not statement.lstrip().upper().startswith("SELECT"):
                continue
            raw: Any = connection.connection.cursor()
            plan = [line[3] for line in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()]
            walked = [line for line in plan if line.startswith("SCAN") and "USING" not in line]
            tables = {line.split()[1] for line in walked if "CONSTANT" not in line and "(subquery" not in line}
            assert tables <= small, (statement, plan)


def test_an_owner_finds_its_own_alerts_among_very_many(
    house: House, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within what one page looks at; where that is not enough it says from where to go on, and nothing is left out."""
    owner, dataset = house.id("person", "dpo"), house.id("dataset", DATASET)
    monkeypatch.setattr(alerts, "PAGE", 10)
    monkeypatch.setattr(alerts, "MOST_LOOKED", 40)

    def run(writing: Writing) -> list[str]:
        made = []
        for at in range(200):
            row = Alert(
                id=(row_id := new_id()),
                name=row_id,
                topic=row_id,
                detector="volume",
                severity="low",
                dataset=dataset if at % 30 == 0 else new_id(),
                made_us=writing.time_us + at,
                last_us=writing.time_us + at,
            )
            writing.write(tables.alerts, None, row, ALERT_RAISED, "keeper", (), row.refs, said(row))
            if row.dataset == dataset:
                made.append(row_id)
        return made

    wanted = house.write(run)
    found: list[str] = []
    before, pages = 0, 0
    while True:
        page = read(house, desk, partial(alerts.read, chosen="open", before_us=before, language="nl", owner=owner))
        assert page.count is None
        found += [line.row.id for line in page.lines]
        pages += 1
        if not page.older_us:
            break
        before = page.older_us
    assert found == wanted[::-1]
    assert pages == 5
    everybodys = read(house, desk, lambda reading: alerts.read(reading, "open", 0, "nl"))
    assert (everybodys.count, len(everybodys.lines)) == (200, 10)
    nobodys = read(house, desk, lambda reading: alerts.read(reading, "open", 0, "nl", new_id()))
    assert not nobodys.lines
    line = wanted[0]
    read(house, desk, lambda reading: alerts.one(reading, line, "nl", owner))
    with pytest.raises(NotFound):
        read(house, desk, lambda reading: alerts.one(reading, line, "nl", new_id()))


def test_budgets_are_those_of_whoever_may_act(house: House, desk: Desk) -> None:
    found = read(house, desk, lambda reading: budgets.read(reading, "", 1))
    (line,) = found.lines
    assert (line.row.name, line.supplier, line.dataset, found.broken) == (GRANT, "Drukwerk BV", DATASET, 0)
    assert [one.who for one in line.spent] == ["drukwerk-batch"]
    owner = house.id("person", "dpo")
    assert read(house, desk, lambda reading: budgets.read(reading, "", 1, owner)).count == 1
    assert read(house, desk, lambda reading: budgets.read(reading, "", 1, new_id())).all == 0
    assert read(house, desk, lambda reading: budgets.read(reading, "no such", 1)).count == 0
    house.end("client", house.id("client", CLIENT))
    assert not read(house, desk, lambda reading: budgets.read(reading, "", 1)).lines[0].spent
    change = "UPDATE grants SET body = CAST(replace(CAST(body AS TEXT), '250000', '250001') AS BLOB) WHERE name = :name"
    assert house.tamper(change, name=GRANT)
    broken = read(house, desk, lambda reading: budgets.read(reading, "", 1))
    assert (broken.lines, broken.broken) == ((), 1)


def test_nothing_is_written(desk: Desk) -> None:
    with pytest.raises(Exception, match=r"readonly|read-only"):
        desk.read(lambda reading: reading.connection.execute(text("DELETE FROM suppliers")))
