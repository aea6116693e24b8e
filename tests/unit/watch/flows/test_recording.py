"""From flows to entries: summed up, bounded, each report once, and no address in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keten.core.errors import Corrupt, Invalid
from keten.core.files import Files
from keten.core.ids import new_id
from keten.core.settings import Watch
from keten.identity.networks import Networks
from keten.ledger.cursors import load_cursor
from keten.ledger.model import Payload
from keten.watch.flows.memory import Memory, load, save
from keten.watch.flows.model import UNSIZED, DayOf, Flow, LinkOf, Recorded, Report
from keten.watch.flows.recording import CURSOR, NEWEST, record
from keten.watch.flows.summing import DAY_US, MOST_SUMS, REMEMBERED, REST, Sums
from keten.watch.model import MOST_LINKS
from keten.watch.reading import event_of
from tests.unit.watch.house import House

NETWORKS = Networks(b"k" * 32)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def flow(number: int, sent: int = 10, **said: Any) -> Flow:
    fields: dict[str, Any] = {
        "supplier": "s",
        "target": "net port 443",
        "outside": "203.0.113.7",
        "inside": "10.1.2.3",
        "time_us": 5 * DAY_US,
    }
    return Flow(**(fields | said), sent=sent, uid=number.to_bytes(8))


def day_of(house: House, amount: int = 1000, **said: Any) -> DayOf:
    link = LinkOf("203.0.113.0/24 port 443", "203.0.113.0/24", "10.1.2.0/24", amount, 2, 0)
    supplier = house.ids["supplier"]["drukwerk"]
    fields: dict[str, Any] = {"supplier": supplier, "day": house.now_us // DAY_US, "links": (link,)}
    return DayOf(**(fields | said))


def say(house: House, report: Report) -> Recorded:
    return house.write(lambda writing: record(writing, report, NETWORKS.pseudonym))


# ---- summing up --------------------------------------------------------------------------------------------------


def test_flows_are_summed_by_supplier_day_and_link_and_counted_once() -> None:
    sums = Sums()
    other = (flow(4, inside="10.9.9.9"), flow(5, time_us=6 * DAY_US))
    for one in (flow(1), flow(2, 30), flow(1), flow(3, UNSIZED), *other):
        sums.add(one, 9 * DAY_US)
    assert (sums.doubled, sums.newest_us, sums.most()) == (1, 6 * DAY_US, 50)
    first, second = sums.taken()
    assert first.links[0] == LinkOf("net port 443", "203.0.113.0/24", "10.1.2.0/24", 40, 3, 1)
    assert (first.links[1].inside, second.day) == ("10.9.9.0/24", 6)
    assert sums.taken() == ()
    sums.add(flow(1), 9 * DAY_US)
    assert sums.taken() == ()  # it is known again after the report too


def test_what_is_ahead_counts_for_today_and_what_was_reported_before_not_at_all() -> None:
    sums = Sums(up_to_us=3 * DAY_US)
    sums.add(flow(1, time_us=4 * DAY_US + 5), 4 * DAY_US)
    sums.add(flow(2, time_us=3 * DAY_US), 4 * DAY_US)
    (only,) = sums.taken()
    assert (only.day, only.links[0].flows, sums.newest_us) == (4, 1, 4 * DAY_US)


def test_sums_are_bounded() -> None:
    sums = Sums()
    for number in range(2 * REMEMBERED + 50):
        sums.add(flow(number, number, inside=f"10.{number % 250}.{number // 250 % 250}.1"), 9 * DAY_US)
    assert len(sums.recent) <= 2 * REMEMBERED
    (only,) = sums.taken()
    assert len(only.links) == MOST_LINKS
    assert only.links[-1].target == REST
    assert sum(one.bytes for one in only.links) == sum(range(2 * REMEMBERED + 50))
    for number in range(MOST_SUMS):
        sums.add(flow(10**7 + number, supplier=str(number)), 9 * DAY_US)
    assert sums.is_full


def test_what_is_remembered_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "flows.state"
    assert load(path) is None
    memory = Memory(number=7, sending=[Report(6, 5, (DayOf("s", 1, (LinkOf("t", "", "", 1, 1, 0),)),))])
    memory.sums.add(flow(1), 9 * DAY_US)
    save(path, memory, Files())
    assert load(path) == memory
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:10], b"", whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]):
        path.write_bytes(damaged)
        with pytest.raises(Corrupt):
            load(path)


# ---- entries -----------------------------------------------------------------------------------------------------


def test_a_report_becomes_entries_once(house: House) -> None:
    report = Report(0, house.now_us, (day_of(house), day_of(house, supplier=new_id())))
    assert say(house, report) == Recorded(entries=1, unknown=1)
    assert say(house, report) == Recorded(before=True)
    (entry,) = house.entries("watch.flows.seen")
    assert entry["refs"] == {"supplier": house.ids["supplier"]["drukwerk"]}
    assert "10.1.2" not in json.dumps(entry)
    (link,) = entry["details"]["links"]
    assert link["inside"] == NETWORKS.pseudonym("10.1.2.0/24")
    assert link["outside"] == NETWORKS.place("203.0.113.77")["network"]  # as a caller's from there
    with house.instance.reader.connect() as reading:
        assert (load_cursor(reading, CURSOR), load_cursor(reading, NEWEST)) == (1, report.newest_us)


def test_the_watch_reads_what_was_recorded(house: House) -> None:
    say(house, Report(3, 0, (day_of(house, 10**12),)))
    entry = house.entries("watch.flows.seen")[0]
    payload = msgspec.convert(entry, type=Payload)
    event = event_of(1, new_id(), house.now_us, "watch.flows.seen", payload)
    assert event is not None
    assert (event.what, event.bytes, event.count, event.day) == ("flow", 10**12, 2, house.now_us // DAY_US)
    assert event.links[0].bytes == 10**12


@pytest.mark.parametrize(
    "wrong",
    [
        {"supplier": "drukwerk"},
        {"day": -1},
        {"day": 10**6},
        {"links": ()},
        {"links": (LinkOf("t", "", "", -1, 1, 0),)},
        {"links": (LinkOf("t", "", "", 2**60, 1, 0),)},
        {"links": (LinkOf("t" * 1000, "", "", 1, 1, 0),)},
        {"links": (LinkOf("t", "", "", 1, 1, 0),) * (MOST_LINKS + 1)},
    ],
)
def test_whoever_reports_is_not_believed(house: House, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        say(house, Report(0, 0, (day_of(house), day_of(house, **wrong))))
    assert house.entries("watch.flows.seen") == []


def test_two_suppliers_alerts_are_two_and_none_is_stopped_by_a_default_rung(house: House) -> None:
    house.follow(Watch(ladder={"default": {"high": "freeze"}}))
    suppliers = house.ids["supplier"]
    signals = [
        house.signal("bypass", principal="", dataset="", supplier=suppliers[name]) for name in ("drukwerk", "vervoer")
    ]
    raised = house.raise_(*signals, signals[0])
    assert (len(raised.new), raised.counted, raised.taken) == (2, 1, ())
    assert {one.response for one in house.alerts()} == {"alert"}
