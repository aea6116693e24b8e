"""The machine's clock is moved while an instance serves, or before it starts: nothing is served until somebody looked.

libfaketime moves the wall clock of every process of the instance, and leaves the monotonic clock alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keten.drills.reader import Reader
from keten.drills.supplier import SupplierSystem
from tests.town import Town

LIBRARIES = [
    path
    for folder in ("/usr/lib", "/usr/local/lib")
    for path in sorted(Path(folder).glob("**/faketime/libfaketimeMT.so.1"))
]
HOUR, DAY = 3600, 86_400


class Moved(Town):
    """A town whose clock can be moved. Commands of the operator live at the moved time, too."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if not LIBRARIES:
            pytest.skip("libfaketime is not installed")
        self._offset = folder / "offset"
        self._patch = monkeypatch
        self.set(0)
        super().__init__(folder)

    def set(self, seconds: int) -> None:
        """Move the wall clock of everything that runs below `faked`, to so many seconds from the true time."""
        new = self._offset.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._offset)

    def faked(self) -> None:
        """From here on, processes see the moved clock."""
        for name, value in {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }.items():
            self._patch.setenv(name, value)

    def true(self) -> None:
        """From here on, processes that are started see the true clock."""
        self._patch.delenv("LD_PRELOAD", raising=False)

    def entries(self, *words: str) -> list[dict[str, Any]]:
        done = self.keten.command("ledger", "show", "--json", *words)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moved]:
    made = Moved(tmp_path, monkeypatch)
    with made.keten:
        yield made


def _times_hold(town: Moved) -> list[str]:
    """The kinds of all entries, whose times never decrease."""
    found = town.entries()
    times = [entry["time"] for entry in found]
    assert times == sorted(times)
    assert town.keten.command("ledger", "verify").returncode == 0
    return [entry["kind"] for entry in found]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_moved_while_serving(town: Moved) -> None:
    town.faked()
    town.start()
    carrier = town.carrier()
    path = f"/v1/objects/{carrier.shares()[0]['objects'][0]['id']}"
    for seconds in (DAY, -HOUR):
        assert carrier.get(path).status == 200
        reader = Reader(carrier, path, bytes_per_second=200_000)
        reader.start()
        assert reader.began.wait(30)
        town.set(seconds)
        reader.join(60)
        assert reader.reset_at, "the transfer was cut"
        assert reader.received < town.care.stat().st_size
        assert carrier.get(path).status == 503
        assert carrier.sign_in().status == 503
        _until_health(carrier, 503)
        assert town.keten.run("status")["keeper"]["clock"], "it is told what was seen"
        if seconds < 0:  # accepted as it is: time stands still until the clock has caught up with the newest entry
            _accept(town)
            before = town.entries("--newest", "--limit", "1")[0]["time"]
            assert carrier.sign_in().status in (200, 401)
            assert town.entries("--newest", "--limit", "1")[0]["time"] == before
        town.set(0)
        assert carrier.get(path).status == 503, "right again, but it has jumped: somebody must look"
        _accept(town)
        assert carrier.sign_in().status == 200
        assert carrier.get(path).status == 200
        _until_health(carrier, 200)
    kinds = _times_hold(town)
    assert kinds.count("keeper.clock.jumped") >= 2
    assert kinds.count("keeper.clock.accepted") == 3
    # The day that was never there has left no trace in the times of entries.
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1))
    assert town.entries("--newest", "--limit", "1")[0]["time"] <= now
    ends = {entry["details"]["end"] for entry in town.entries("--kind", "exchange.object.delivered")}
    assert "cut" in ends, ends


def _until_health(system: SupplierSystem, status: int) -> None:
    """What was said of the keeper's health is said for a second, of its illness as well."""
    deadline = time.monotonic() + 30
    while system.ask("GET", "/healthz").status != status:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _accept(town: Moved) -> None:
    assert town.keten.command("doctor", "--accept-clock").returncode == 0
    assert town.keten.run("status")["keeper"]["clock"] == ""


@pytest.mark.slow
def test_a_clock_that_was_ahead_and_is_right_again(town: Moved) -> None:
    """Entries are of tomorrow: they go on being of tomorrow, and suppliers, whose clocks are right, are served."""
    town.set(DAY)
    town.faked()
    town.start()
    carrier = town.system("zorgvervoer-batch", town.carrier_key)
    assert carrier.sign_in().status == 401, "its clock is right, and Keten's is not"
    town.set(0)
    _told(town, "jumped by -86400")
    assert carrier.sign_in().status == 503
    _accept(town)
    tomorrow = town.entries("--newest", "--limit", "1")[0]["time"]
    assert carrier.sign_in().status == 200
    path = f"/v1/objects/{carrier.shares()[0]['objects'][0]['id']}"
    assert carrier.get(path).body == town.care.read_bytes()
    assert town.entries("--newest", "--limit", "1")[0]["time"] == tomorrow
    findings = json.loads(town.keten.command("doctor", "--json").stdout)["findings"]
    (behind,) = [one for one in findings if one["code"] == "clock-behind"]
    assert tomorrow[:16].replace("T", " ") in behind["what"]
    # Each start asks again, until the clock has caught up.
    os.kill(town.keten.pid("keeper"), 9)
    _told(town, "before the newest entry")
    assert carrier.get(path).status == 503
    _accept(town)
    assert carrier.sign_in().status == 200
    assert carrier.get(path).status == 200
    kinds = _times_hold(town)
    assert kinds.count("keeper.clock.accepted") == 2


def test_before_the_newest_entry_at_the_start(town: Moved) -> None:
    town.start()
    path = f"/v1/objects/{town.carrier().shares()[0]['objects'][0]['id']}"
    assert town.keten.down() == 0
    town.set(-DAY)
    town.faked()
    town.keten.up()
    carrier = town.system("zorgvervoer-batch", town.carrier_key)
    assert carrier.sign_in().status == 503
    assert "before the newest entry" in town.keten.run("status")["keeper"]["clock"]
    os.kill(town.keten.pid("keeper"), 9)
    _told(town, "before the newest entry")
    _accept(town)
    town.set(0)
    assert carrier.sign_in().status == 503
    _accept(town)
    assert carrier.sign_in().status == 200
    assert carrier.get(path).body == town.care.read_bytes()
    kinds = _times_hold(town)
    assert kinds.count("keeper.process.started") >= 3
    assert "keeper.clock.accepted" in kinds


def _told(town: Moved, what: str) -> None:
    """Wait until the keeper, or the next one where it was killed, says this of the clock."""
    deadline = time.monotonic() + 60
    while True:
        done = town.keten.command("status", "--json")
        if done.returncode == 0 and what in json.loads(done.stdout)["keeper"]["clock"]:
            return
        assert time.monotonic() < deadline, done.stdout + done.stderr
        time.sleep(0.1)
