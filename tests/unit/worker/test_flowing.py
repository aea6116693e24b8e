"""The worker's duty for flow logs: nothing is lost and nothing counts twice, whatever fails in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from keten.core.errors import Unavailable
from keten.core.settings import Settings, Watch
from keten.identity.networks import Networks
from keten.keeper.client import KeeperClient
from keten.keeper.watch_protocol import AskPlaces, SupplierPlaces
from keten.ledger.cursors import load_cursor
from keten.watch.flows.model import PlacesOf, Report
from keten.watch.flows.recording import CURSOR, NEWEST, record
from keten.watch.standing import flows as flow_standing
from keten.worker.flowing import PLACES_SECONDS, TELL_SECONDS, Flowing
from tests.unit.watch.house import House


class Keeper:
    """The keeper's side of the socket, over a register and ledger of its own. lost: answers that never arrive."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.networks = Networks(b"k" * 32)
        self.known = True
        self.fails = self.lost = 0
        self.said: list[Report] = []

    def call(self, verb: str, body: Any, _kind: type) -> Any:
        """Answer one verb."""
        if isinstance(body, AskPlaces):
            supplier = self.house.ids["supplier"]["drukwerk"]
            places = (PlacesOf(supplier, "drukwerk", ("203.0.113.0/24",), ()),) if self.known else ()
            with self.house.instance.reader.connect() as reading:
                return SupplierPlaces(places, "", 0, load_cursor(reading, CURSOR), load_cursor(reading, NEWEST))
        assert verb == "watch.flows"
        if self.fails:
            self.fails -= 1
            raise Unavailable("unreachable", "The keeper is not there.")
        self.said.append(body)
        done = self.house.write(lambda writing: record(writing, body, self.networks.pseudonym))
        if self.lost:
            self.lost -= 1
            raise Unavailable("unreachable", "The answer never came.")
        return done

    @property
    def recorded(self) -> int:
        """Bytes in the ledger."""
        return sum(int(one["details"]["bytes"]) for one in self.house.entries("watch.flows.seen"))


class Worker:
    """A duty over a log, and its clock."""

    def __init__(self, folder: Path, house: House) -> None:
        self.folder, self.keeper = folder, Keeper(house)
        self.log = folder / "flows.json"
        self.settings = Settings(home=str(folder), watch=Watch(flows=("flows.json",)))
        self.seconds = 0.0
        self._number = 0
        self.start()

    def start(self) -> None:
        """As after a kill: only what is on the disk is known."""
        self.duty = Flowing(self.settings, lambda: self.seconds, lambda: self.keeper.house.now_us)

    def write(self, sent: int, **said: Any) -> None:
        """A flow in the log."""
        self._number += 1
        at = (self.keeper.house.now_us - 10**9) / 10**6 + self._number
        line = {"ts": at, "uid": f"C{self._number}", "id.orig_h": "10.1.2.3", "id.resp_h": "203.0.113.7"}
        with self.log.open("a") as file:
            file.write(json.dumps(line | {"orig_bytes": sent, "id.resp_p": 443} | said) + "\n")

    def round(self, seconds: float = 0.0) -> float:
        """One round, some time later."""
        self.seconds += seconds
        return self.duty.run(cast("KeeperClient", self.keeper))


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    (tmp_path / "house").mkdir()
    house = House(tmp_path / "house")
    yield Worker(tmp_path, house)
    house.close()


def test_the_first_is_reported_at_once_then_now_and_then_and_much_at_once(worker: Worker) -> None:
    worker.write(100)
    assert worker.round() == 0.0
    assert worker.keeper.recorded == 100
    worker.write(10)
    worker.round(1)
    assert worker.round(1) > 0
    assert worker.keeper.recorded == 100
    worker.write(10**9)
    worker.round(1)
    assert worker.keeper.recorded == 10**9 + 110
    worker.write(5)
    worker.round(1)
    worker.round(TELL_SECONDS)
    assert worker.keeper.recorded == 10**9 + 115


def test_nothing_is_lost_and_nothing_counts_twice(worker: Worker) -> None:
    keeper = worker.keeper
    worker.write(100)
    keeper.lost = 1  # it was recorded, and the answer never came
    with pytest.raises(Unavailable):
        worker.round()
    worker.start()
    worker.write(1000)
    worker.round()
    assert keeper.said[0] == keeper.said[1]
    assert keeper.recorded == 1100
    keeper.fails = 1  # it was not recorded, and the worker is killed
    worker.write(10**9)
    with pytest.raises(Unavailable):
        worker.round(1)
    worker.start()
    worker.round()
    assert keeper.recorded == 10**9 + 1100
    worker.write(20_000)  # read, summed up, not reported, not saved
    worker.round(1)
    worker.start()
    worker.round()
    assert keeper.recorded == 10**9 + 21_100


def test_a_memory_that_is_lost_counts_nothing_again(worker: Worker) -> None:
    worker.write(100)
    worker.round()
    for damage in (None, b"rubbish"):
        if damage is None:
            worker.settings.paths.flows.unlink()
        else:
            worker.settings.paths.flows.write_bytes(damage)
        worker.start()
        worker.round()
        worker.round(TELL_SECONDS)
        assert worker.keeper.recorded == 100
    worker.write(7)
    worker.round(TELL_SECONDS)
    assert worker.keeper.recorded == 107


def test_a_disk_that_is_full_holds_the_report_back(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    from keten.core.files import Files

    def full(_self: Files, _path: Path, _content: bytes, _mode: int = 0) -> None:
        raise Unavailable("disk-full", "The disk is full.")

    worker.write(100)
    with monkeypatch.context() as patched:
        patched.setattr(Files, "write", full)
        for _ in range(2):
            with pytest.raises(Unavailable):
                worker.round(1)
        assert worker.keeper.recorded == 0  # its number is not on the disk: it might mean something else next time
    worker.round(1)
    assert worker.keeper.recorded == 100


def test_without_any_suppliers_place_nothing_is_read(worker: Worker) -> None:
    worker.keeper.known = False
    worker.write(100)
    worker.round()
    worker.round(1)
    assert worker.keeper.said == []
    worker.keeper.known = True
    worker.round(PLACES_SECONDS)
    assert worker.keeper.recorded == 100


def test_how_it_stands_is_said_for_doctor_and_status(worker: Worker) -> None:
    worker.write(100)
    worker.write(5, **{"id.resp_h": "198.51.100.1"})
    worker.write(9, **{"id.resp_h": "nowhere"})
    worker.round()
    said = flow_standing(worker.settings.paths.flow_standing)
    assert said is not None
    assert (said.files, said.suppliers, said.counts.lines, said.counts.about) == (1, 1, 3, 1)
    assert said.counts.wrong == {"an address is none": 1}
    assert said.trouble == {}
