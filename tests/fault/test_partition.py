"""The network between a keeper and its database is cut, in every way in which one can be: somebody else takes over.

The keeper stops within ten seconds, and whoever stands by serves within twenty (the manual says so; this only waits
for it). Two never write: what each acknowledged is in one log, the first one's last before the second one's first.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.core import postgres, pulse
from keten.core.db import take, writing_engine
from keten.core.errors import FsyncFailed
from keten.core.places import Server
from keten.drills.reader import Reader
from keten.drills.supplier import SupplierSystem
from tests.cluster import Cluster, own
from tests.fault.partition import Cut, Network
from tests.fault.test_server import Load, Second, nothing_lost, second_home, wait_for
from tests.town import CARRIER, SETTINGS, Town

LOG = "keten/test"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own(port=free_port()) as made:
        yield made


@pytest.fixture
def network(cluster: Cluster) -> Iterator[Network]:
    with Network(cluster.port) as made:
        yield made


def through(network: Network, name: str) -> str:
    return f"postgresql://keten_keeper@127.0.0.1:{network.port}/{name}"


class CutOff(Town):
    """A town whose keeper reaches its database over a network, and a second keeper that has the server beside it."""

    def __init__(self, folder: Path, cluster: Cluster, network: Network) -> None:
        name = cluster.fresh()
        super().__init__(folder, database=through(network, name))
        self.near = cluster.url(name)
        self.path = ""

    def standing_by(self) -> Second:
        """The second keeper's home."""
        made = Second(self.keten, second_home(self))
        made.database = self.near
        made.configure(SETTINGS)
        return made

    def at(self, keten: Second) -> SupplierSystem:
        """The care transport's system, at the second keeper's gateway; not signed in."""
        client = self.keten.ids["client"][CARRIER]
        return SupplierSystem(keten.ready["gateway"], keten.paths.ca, client, self.carrier_key.private)


def kinds_of(keten: Second) -> list[tuple[str, str]]:
    shown = keten.command("ledger", "show", "--json").stdout.splitlines()
    return [(entry["id"], entry["kind"]) for entry in map(json.loads, shown)]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "how", [pytest.param(one, marks=pytest.mark.slow) for one in ("reset", "silent", "client", "server")]
)
def test_another_one_takes_over(tmp_path: Path, cluster: Cluster, network: Network, how: Cut) -> None:
    town = CutOff(tmp_path, cluster, network)
    with town.keten:
        town.start()
        second = town.standing_by()
        with second:
            second.up()
            there = town.at(second)
            assert there.sign_in().status == 503
            carrier = town.carrier()
            path = f"/v1/objects/{carrier.shares()[0]['objects'][0]['id']}"
            slow = Reader(carrier, path, bytes_per_second=64 * 1024)
            slow.start()
            assert slow.began.wait(30)
            load = Load(carrier, path)
            load.served(20)
            before = town.keten.pid("keeper")

            network.cut(how)
            wait_for(lambda: town.keten.pid("keeper") != before or not Path(f"/proc/{before}").exists())
            slow.join(60)
            assert slow.reset_at, "what was under way is cut, also when nobody asks for anything"
            assert slow.received < len(town.care.read_bytes())
            wait_for(lambda: there.sign_in().status == 200)
            assert there.get(path).body == town.care.read_bytes()
            second_load = Load(there, path)
            second_load.served(20)

            network.heal()
            wait_for(town.keten.paths.standby.exists)  # it is back, and waits for its turn
            first, later = load.stop(), second_load.stop()
            nothing_lost(second, first + later)
            kinds = kinds_of(second)
            began = max(at for at, (_id, kind) in enumerate(kinds) if kind == "keeper.process.started")
            where = {entry: at for at, (entry, _kind) in enumerate(kinds)}
            assert max(where[entry] for entry in first) < began < min(where[entry] for entry in later)
            assert second.down() == 0
        wait_for(lambda: town.system(CARRIER, town.carrier_key).sign_in().status == 200)


# ---- the short form: the parts, with less patience ---------------------------------------------------


def test_a_server_that_is_silent_is_noticed(
    cluster: Cluster, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing ends the connection, and nothing answers: an idle keeper stops."""
    monkeypatch.setattr(pulse, "PULSE_SECONDS", 0.1)
    monkeypatch.setattr(pulse, "SILENT_SECONDS", 1.0)
    place = Server(through(network, cluster.fresh()))
    engine = writing_engine(place)
    assert take(engine, LOG)
    failed: list[FsyncFailed] = []
    told = threading.Event()

    def fail(error: FsyncFailed) -> None:
        failed.append(error)
        told.set()

    session = postgres.keep_log(engine, place, fail)
    assert not told.wait(3), "while it answers, nothing happens"
    network.cut("silent")
    assert told.wait(60)
    assert failed[0].code == "database-lost"
    assert "not answered" in failed[0].public
    session.close()
    network.heal()
    engine.dispose()


def test_a_lock_that_another_one_got_is_noticed(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the end of the session never arrives here."""
    monkeypatch.setattr(pulse, "PULSE_SECONDS", 0.1)
    told = threading.Event()
    place = Server(cluster.url(cluster.fresh()))
    made = pulse.Pulse(lambda name: postgres._pulse(place, name), 1, lambda _error: told.set())
    assert told.wait(60)
    made.close()


def test_only_a_session_that_nobody_asks_for_is_ended(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """1. Its keeper asks: it stays. 2. There is no pulse: it stays. 3. Its keeper asked long ago: it is ended."""
    monkeypatch.setattr(pulse, "GONE_SECONDS", 1)
    place = Server(cluster.url(cluster.fresh()))
    holder, other = writing_engine(place), writing_engine(place)
    assert take(holder, LOG)
    monkeypatch.setattr(pulse, "PULSE_SECONDS", 0.1)
    session = postgres.keep_log(holder, place, lambda _error: None)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:  # 1
        assert not take(other, LOG)
    session.close()
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:  # 2
        assert not take(other, LOG)
    with holder.connect() as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with postgres._pulse(place, f"keten pulse {pid}") as asking:  # 3
        asking.execute("SELECT 1")
        wait_for(lambda: take(other, LOG))
    for engine in (holder, other):
        engine.dispose()
