"""Custody: openings and deliveries joined, both ways, in order, streaming; and the CSV form."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keten.ledger import custody as module
from keten.ledger.custody import COLUMNS, custody, custody_lines, neutral, write_csv
from keten.ledger.model import Draft, Sealed
from keten.ledger.query import Filter
from tests.made_ledger import LISTED, OPENED, PUT, REFUSED, STARTED, MadeLedger


class Told:
    """A ledger with a short story in it."""

    def __init__(self, home: Path) -> None:
        self.made = made = MadeLedger.create(home, seed=5)
        self.client = made.declare("drukwerk-batch")
        self.other = made.declare("zorgvervoer")
        self.dataset, self.object = made.id(), made.id()
        self.put = self._record(PUT, "operator:anna", refs={"dataset": self.dataset, "object": self.object})
        self.refused = self._record(
            REFUSED,
            self.other.id,
            {"dataset": self.dataset, "object": self.object, "supplier": self.other.supplier},
            {"outcome": "deny", "reasons": ["no-grant", "country-not-allowed"]},
        )
        self.listed = self._record(LISTED, self.client.id, {"supplier": self.client.supplier}, {"outcome": "allow"})
        self.first = made.open(self.client, self.dataset, self.object)
        self.second = made.open(self.client, self.dataset, self.object)
        self.second_end = made.deliver(self.second, self.client, self.dataset, self.object, bytes=17, end="cut")
        self.first_end = made.deliver(self.first, self.client, self.dataset, self.object)
        self.running = made.open(self.client, self.dataset, self.object)
        self.killed = made.open(self.other, self.dataset, self.object)
        self.killed_end = made.deliver(
            self.killed, self.other, self.dataset, self.object, bytes=None, at_least=5, at_most=9, end="unknown"
        )
        self._record(STARTED, "keeper", {})

    def _record(self, kind: Any, actor: str, refs: dict[str, str], details: dict[str, Any] | None = None) -> Sealed:
        return self.made.record(Draft(kind, actor, (), refs, details or {})).sealed[0]

    def lines(self, **asked: Any) -> list[dict[str, Any]]:
        """Custody's answer."""
        with self.made.reading() as connection:
            answer: list[dict[str, Any]] = custody(connection, Filter(**asked))["entries"]
            return answer

    def rows(self, **asked: Any) -> list[dict[str, str]]:
        """Custody's answer as CSV, read back."""
        stream = io.StringIO(newline="")
        with self.made.reading() as connection:
            count = write_csv(connection, Filter(**asked), stream)
        stream.seek(0)
        rows = list(csv.DictReader(stream))
        assert len(rows) == count
        return rows


@pytest.fixture(params=["posted", "unposted"])
def told(tmp_path: Path, request: pytest.FixtureRequest) -> Told:
    story = Told(tmp_path / "told")
    if request.param == "posted":
        story.made.post()
    return story


def _indexes(lines: list[dict[str, Any]]) -> list[int]:
    return [line["index"] for line in lines]


def test_each_line_says_all_there_is_of_an_access(told: Told) -> None:
    lines = {line["index"]: line for line in told.lines(dataset=told.dataset)}
    first = lines[told.first.index]
    assert first["outcome"] == "allow"
    assert first["delivered"] == {
        "id": told.first_end.id,
        "index": told.first_end.index,
        "time": lines[told.first_end.index]["time"],
        "bytes": 1000,
        "end": "complete",
    }
    second = lines[told.second.index]["delivered"]
    assert (second["bytes"], second["end"], second["id"]) == (17, "cut", told.second_end.id)
    assert "delivered" not in lines[told.running.index]
    killed = lines[told.killed.index]["delivered"]
    assert (killed["at_least"], killed["at_most"]) == (5, 9)
    assert "bytes" not in killed
    opened = lines[told.first_end.index]["opened"]
    assert (opened["id"], opened["index"], opened["time"]) == (told.first.id, told.first.index, first["time"])
    assert lines[told.refused.index]["reasons"] == ["no-grant", "country-not-allowed"]


def test_everything_about_the_dataset_is_there_in_order(told: Told) -> None:
    indexes = _indexes(told.lines(dataset=told.dataset))
    wanted = [
        *(told.put, told.refused, told.first, told.second, told.second_end),
        *(told.first_end, told.running, told.killed, told.killed_end),
    ]
    assert indexes == [sealed.index for sealed in wanted]


def test_custody_is_asked_for_by_supplier_principal_and_subject(told: Told) -> None:
    mine = [told.first, told.second, told.second_end, told.first_end, told.running]
    indexes = [sealed.index for sealed in mine]
    assert _indexes(told.lines(principal=told.client.id)) == indexes
    assert _indexes(told.lines(subject=told.client.id)) == indexes
    assert _indexes(told.lines(supplier=told.client.supplier)) == indexes  # a listing says nothing of content
    assert _indexes(told.lines(dataset=told.made.id())) == []


def test_outcome_counts_deliveries_as_allowed(told: Told) -> None:
    assert _indexes(told.lines(dataset=told.dataset, outcome="deny")) == [told.refused.index]
    allowed = _indexes(told.lines(dataset=told.dataset, outcome="allow"))
    assert told.first.index in allowed
    assert told.first_end.index in allowed
    assert told.put.index not in allowed


def test_a_limit_does_not_hide_what_was_delivered(told: Told) -> None:
    lines = told.lines(dataset=told.dataset, limit=4)
    assert _indexes(lines) == [told.put.index, told.refused.index, told.first.index, told.second.index]
    assert [line.get("delivered", {}).get("bytes") for line in lines] == [None, None, 1000, 17]


def test_a_period_does_not_hide_what_was_delivered_after_or_opened_before_it(told: Told) -> None:
    with told.made.reading() as connection:
        times = {line["index"]: line for line in custody_lines(connection, Filter(dataset=told.dataset))}
    assert told.first_end.time_us > told.second.time_us
    until = told.lines(dataset=told.dataset, until_us=told.second_end.time_us)
    assert until[-1]["delivered"]["bytes"] == 17
    assert until[-2]["delivered"]["bytes"] == 1000
    since = told.lines(dataset=told.dataset, since_us=told.second_end.time_us)
    assert since[0]["index"] == told.second_end.index
    assert since[0]["opened"]["time"] == times[told.second.index]["time"]
    opened = told.lines(dataset=told.dataset, kind="exchange.object.opened")
    ends = {line["index"]: line["delivered"]["end"] for line in opened if "delivered" in line}
    assert ends == {told.first.index: "complete", told.second.index: "cut", told.killed.index: "unknown"}


def test_little_is_held_back_for_what_is_still_running(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = told.lines(dataset=told.dataset)
    monkeypatch.setattr(module, "_HELD", 1)
    held_less = told.lines(dataset=told.dataset)
    assert _indexes(held_less) == _indexes(whole)
    assert [line.get("delivered") for line in held_less] == [line.get("delivered") for line in whole]


def test_csv_has_a_line_for_each_access(told: Told) -> None:
    rows = told.rows(dataset=told.dataset)
    assert tuple(rows[0]) == COLUMNS
    assert [row["kind"].rpartition(".")[2] for row in rows] == ["put", "refused", *["opened"] * 4]
    first, second, running, killed = rows[2:]
    assert (first["bytes"], first["end"], first["country"]) == ("1000", "complete", "NL")
    assert (second["bytes"], second["end"]) == ("17", "cut")
    assert (running["bytes"], running["end"], running["ended"]) == ("", "", "")
    assert (killed["bytes"], killed["at_least"], killed["at_most"], killed["end"]) == ("", "5", "9", "unknown")
    assert rows[1]["reasons"] == "no-grant country-not-allowed"


def test_csv_holds_names_beside_ids(told: Told) -> None:
    stream = io.StringIO()
    with told.made.reading() as connection:
        write_csv(connection, Filter(dataset=told.dataset), stream, lambda word, found: f"{word} {found}")
    stream.seek(0)
    for row in csv.DictReader(stream):
        assert row["dataset_name"] == f"dataset {told.dataset}"
        assert row["actor_name"] == f"actor {row['actor']}"
        assert row["grant_name"] == (f"grant {row['grant']}" if row["grant"] else "")


def test_csv_keeps_a_delivery_whose_opening_is_not_asked_for(told: Told) -> None:
    rows = told.rows(dataset=told.dataset, since_us=told.second_end.time_us, until_us=told.first_end.time_us)
    assert [(row["kind"], row["bytes"], row["end"]) for row in rows] == [("exchange.object.delivered", "17", "cut")]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+31", "'+31"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),
        ("a=1", "a=1"),
        ("", ""),
        (-5, -5),
        (None, None),
    ],
)
def test_no_cell_is_a_formula(value: object, cell: object) -> None:
    assert neutral(value) == cell


def test_hostile_names_are_harmless_in_csv(tmp_path: Path) -> None:
    made = MadeLedger.create(tmp_path / "made")
    dataset = made.id()
    actor = 'operator:=cmd|" /C calc"!A0\r\nx,"y'
    made.record(Draft(OPENED, actor, (), {"dataset": dataset, "object": "=2"}, {"outcome": "@x", "reasons": ["=1"]}))
    stream = io.StringIO(newline="")
    with made.reading() as connection:
        write_csv(connection, Filter(dataset=dataset), stream)
    stream.seek(0)
    row = next(iter(csv.DictReader(stream)))
    assert row["actor"] == actor  # begins with a letter: quoted, not changed
    assert (row["object"], row["outcome"], row["reasons"]) == ("'=2", "'@x", "'=1")


def test_deliveries_that_make_no_sense_do_no_harm(tmp_path: Path) -> None:
    made = MadeLedger.create(tmp_path / "made")
    client, dataset, obj = made.declare("c"), made.id(), made.id()
    opened = made.open(client, dataset, obj)
    for opened_at in (-1, 10**9, opened.index + 5, "x", None, [opened.index], True):
        made.deliver(opened, client, dataset, obj, opened_at=opened_at)
    made.deliver(opened, client, dataset, obj, opening=made.id())
    twice = [made.deliver(opened, client, dataset, obj, bytes=number) for number in (1, 2)]
    with made.reading() as connection:
        lines = custody(connection, Filter(dataset=dataset))["entries"]
    assert len(lines) == 11
    assert lines[0]["delivered"]["index"] == twice[0].index  # the first that was recorded of it
    assert lines[-1]["opened"]["index"] == opened.index


@given(data=st.data())
@settings(max_examples=15)
def test_the_join_is_that_of_the_entries(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    made = MadeLedger.create(tmp_path_factory.mktemp("join"))
    clients, dataset, obj = [made.declare("a"), made.declare("b")], made.id(), made.id()
    under_way: list[tuple[Sealed, Any]] = []
    expected: dict[int, int] = {}
    for step in data.draw(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=25)):
        if step[0] or not under_way:
            client = clients[step[1] % 2]
            under_way.append((made.open(client, dataset, obj), client))
        else:
            opened, client = under_way.pop(step[1] % len(under_way))
            expected[opened.index] = made.deliver(opened, client, dataset, obj).index
    made.post(data.draw(st.integers(0, made.head().size)))
    with made.reading() as connection:
        lines = custody(connection, Filter(dataset=dataset))["entries"]
    joined = {line["index"]: line["delivered"]["index"] for line in lines if "delivered" in line}
    assert joined == expected
    assert {line["opened"]["index"]: line["index"] for line in lines if "opened" in line} == expected
    made.close()
