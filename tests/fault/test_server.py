"""On a database server: its sessions are ended, it stops, it is killed; two keepers share one database."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Throwaway
from tests.cluster import Cluster, own
from tests.town import CARRIER, Town

WAIT_SECONDS = 60.0


class ServedTown(Town):
    """A town whose state is on a server of its own."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.cluster = cluster
        self.name = cluster.fresh()
        super().__init__(folder, database=cluster.url(self.name))

    def sound(self) -> None:
        """Everything verifies."""
        done = self.keten.command("ledger", "verify")
        assert done.returncode == 0, done.stdout + done.stderr

    def kinds(self) -> list[str]:
        return [
            json.loads(line)["kind"] for line in self.keten.command("ledger", "show", "--json").stdout.splitlines()
        ]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own() as made:
        yield made


@pytest.fixture
def served(tmp_path: Path, cluster: Cluster) -> Iterator[ServedTown]:
    made = ServedTown(tmp_path, cluster)
    with made.keten:
        made.start()
        yield made


class Load:
    """Suppliers that fetch until told to stop; `opened`: the entry of everything that was served."""

    def __init__(self, system: SupplierSystem, path: str) -> None:
        self.opened: list[str] = []
        self._system, self._path = system, path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._system.get(self._path, {"Range": "bytes=0-99"})
            except OSError:
                time.sleep(0.05)
                continue
            if answer.status == 206:
                self.opened.append(answer.headers["keten-entry"])
            elif answer.status in (401, 503):
                time.sleep(0.05)
                self._signed_in()

    def _signed_in(self) -> None:
        try:
            self._system.sign_in()
        except OSError:
            time.sleep(0.05)

    def served(self, more: int) -> None:
        """Wait until so many more were served."""
        until, deadline = len(self.opened) + more, time.monotonic() + WAIT_SECONDS
        while len(self.opened) < until:
            assert time.monotonic() < deadline, f"{len(self.opened)} served, {until} wanted"
            time.sleep(0.01)

    def stop(self) -> list[str]:
        self._stop.set()
        self._thread.join(WAIT_SECONDS)
        return self.opened


def loaded(town: ServedTown) -> Load:
    carrier = town.carrier()
    return Load(carrier, f"/v1/objects/{carrier.shares()[0]['objects'][0]['id']}")


def nothing_lost(keten: Throwaway, opened: list[str]) -> None:
    """Every access that was served is in the ledger."""
    shown = keten.command("ledger", "show", "--json", "--kind", "exchange.object.opened").stdout.splitlines()
    assert set(opened) <= {json.loads(line)["id"] for line in shown}
    verified = keten.command("ledger", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_sessions_that_the_server_ends(served: ServedTown) -> None:
    """The keeper leaves, also in the middle of a transaction, and starts again from what is durable."""
    load = loaded(served)
    for _time in range(3):
        load.served(20)
        assert served.cluster.end_session(served.name)
    load.served(20)
    nothing_lost(served.keten, load.stop())
    assert served.kinds().count("keeper.process.started") >= 4


@pytest.mark.parametrize("how", ["fast", "immediate", "kill"])
def test_a_server_that_stops(served: ServedTown, how: str) -> None:
    load = loaded(served)
    load.served(20)
    if how == "kill":
        served.cluster.kill()
    else:
        served.cluster.stop(how)
    time.sleep(0.5)
    served.cluster.start()
    load.served(20)
    nothing_lost(served.keten, load.stop())


def second_home(town: ServedTown) -> Path:
    """Another keeper's home on the same database: its own sockets and gateways, the same keys, shared content."""
    home = town.keten.folder / "second"
    own_alone = shutil.ignore_patterns("store", "ledger", "*.sock", "*.lock", "*.pid")
    shutil.copytree(town.keten.home, home, ignore=own_alone)
    for shared in ("store", "ledger"):
        (home / shared).symlink_to(town.keten.home / shared)
    return home


class Second(Throwaway):
    """The instance in a home that is there already."""

    def __init__(self, first: Throwaway, home: Path) -> None:
        vars(self).update(vars(first))
        self.home, self.paths = home, type(first.paths)(home)
        self._up = None


def dies(keten: Throwaway) -> None:
    """All its processes at once, as with their machine."""
    assert keten._up is not None
    for pid in (keten._up.pid, *map(keten.pid, ("keeper", "gateway", "console"))):
        os.kill(pid, signal.SIGKILL)
    keten._up.wait()


def test_a_second_keeper_stands_by_and_takes_over(served: ServedTown) -> None:
    second = Second(served.keten, second_home(served))
    ready = second.up()
    refused = second.command("apply", str(served.keten.folder / "estate.yaml"))
    assert (refused.returncode, "standing-by" in refused.stderr) == (3, True), served.keten.log()
    client = served.keten.ids["client"][CARRIER]
    there = SupplierSystem(ready["gateway"], served.keten.paths.ca, client, served.carrier_key.private)
    assert there.sign_in().status == 503
    load = loaded(served)
    load.served(20)
    dies(served.keten)
    deadline = time.monotonic() + WAIT_SECONDS
    while there.sign_in().status == 503:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    path = f"/v1/objects/{there.shares()[0]['objects'][0]['id']}"
    assert there.get(path).body == served.care.read_bytes()
    nothing_lost(second, load.stop())
    assert second.down() == 0
