"""On a database server: its sessions are ended, it stops, it is killed; two keepers share one database."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from keten.core.db import writing_engine
from keten.core.errors import Invalid, Unavailable
from keten.core.files import EXIT_DISK_FAILED
from keten.core.places import place_of
from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Throwaway
from keten.ledger.model import Draft
from tests.cluster import Cluster, own
from tests.fault.small_disk import small_disk
from tests.made_ledger import MadeLedger
from tests.town import CARRIER, Town
from tests.unit.keeper.writers import FACT

T = TypeVar("T")
WAIT_SECONDS = 60.0


class ServedTown(Town):
    """A town whose state is on a server of its own."""

    def __init__(self, folder: Path, cluster: Cluster, tablespace: str = "pg_default") -> None:
        self.cluster = cluster
        self.name = cluster.fresh(tablespace=tablespace)
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


@pytest.mark.slow
def test_sessions_that_the_server_ends(served: ServedTown) -> None:
    """The keeper leaves, also in the middle of a transaction, and starts again from what is durable."""
    load = loaded(served)
    for _time in range(3):
        load.served(20)
        assert served.cluster.end_session(served.name)
    load.served(20)
    nothing_lost(served.keten, load.stop())
    assert served.kinds().count("keeper.process.started") >= 4


@pytest.mark.parametrize(
    "how", [pytest.param(one, marks=pytest.mark.slow) for one in ("fast", "immediate", "kill")]
)
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


def second_home(town: Town) -> Path:
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


@pytest.mark.timeout(400)
def test_a_second_keeper_stands_by_and_takes_over(served: ServedTown) -> None:
    second = Second(served.keten, second_home(served))
    ready = second.up()
    refused = second.command("apply", str(served.keten.folder / "estate.yaml"))
    assert (refused.returncode, "stands by" in refused.stderr) == (3, True), refused.stderr + served.keten.log()
    assert "standing-by" in {one["code"] for one in second.run("doctor")["findings"]}
    client = served.keten.ids["client"][CARRIER]
    there = SupplierSystem(ready["gateway"], served.keten.paths.ca, client, served.carrier_key.private)
    assert there.sign_in().status == 503
    load = loaded(served)
    load.served(20)
    served.keten.die()
    deadline = time.monotonic() + WAIT_SECONDS
    while there.sign_in().status == 503:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    path = f"/v1/objects/{there.shares()[0]['objects'][0]['id']}"
    assert there.get(path).body == served.care.read_bytes()
    nothing_lost(second, load.stop())
    assert second.down() == 0


COMMITS = """
import asyncio, sys
from pathlib import Path
from tests.unit.keeper.writers import Running, fact

async def main():
    made = Running(Path(sys.argv[1]))
    await made.writer.run(fact("first"))
    print("first", flush=True)
    sys.stdin.readline()
    await made.writer.run(fact("second"))
    print("second", flush=True)

asyncio.run(main())
"""

IN_COMMIT = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND state = 'active' AND query ILIKE 'commit%%'"


@pytest.mark.parametrize("durable", [False, True])
def test_a_commit_without_an_answer_stops_the_keeper(tmp_path: Path, cluster: Cluster, durable: bool) -> None:
    """Whether it happened can't be known: the keeper leaves without an answer, and the next reads what is there."""
    name = cluster.fresh()
    (tmp_path / "database.url").write_text(cluster.url(name))
    with subprocess.Popen(
        [sys.executable, "-c", COMMITS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        if durable:  # it is committed, and waits for a replica that never confirms it
            cluster.configure("synchronous_standby_names = 'nobody'")
        else:  # it is about to be committed
            cluster.execute(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$",
                name,
            )
            cluster.execute(
                "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION slow()",
                name,
            )
        try:
            process.stdin.write("go on\n")
            process.stdin.flush()
            (pid,) = wait_for(lambda: cluster.execute(IN_COMMIT, "postgres", name))[0]
            cluster.execute("SELECT pg_terminate_backend(%s)", "postgres", pid)
            assert process.stdout.read() == ""
            assert process.wait(WAIT_SECONDS) == EXIT_DISK_FAILED
        finally:
            cluster.configure("synchronous_standby_names = ''")
    if not durable:
        cluster.execute("DROP FUNCTION slow() CASCADE", name)
    made = MadeLedger(tmp_path)
    assert made.head().size == (2 if durable else 1)
    made.record(Draft(FACT, "test"))  # the log goes on from there
    made.close()


def wait_for(found: Callable[[], T]) -> T:
    """What is found, once it is."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


@pytest.mark.slow
def test_a_full_disk(tmp_path: Path, cluster: Cluster) -> None:
    """Nothing is served while nothing can be recorded; afterwards it goes on by itself, and nothing was lost."""
    with small_disk(cluster.folder / "small", 64) as disk:
        cluster.give(disk.path)
        cluster.execute(f"CREATE TABLESPACE small LOCATION '{disk.path}'")
        town = ServedTown(tmp_path, cluster, tablespace="small")
        with town.keten:
            town.start()
            load = loaded(town)
            load.served(5)
            disk.fill(0)
            refused = town.system(CARRIER, town.carrier_key)
            wait_for(lambda: refused.sign_in().status == 503)
            failed = town.keten.command("apply", str(town.keten.folder / "estate.yaml"))
            assert failed.returncode in (0, 3), "nothing to change needs no room"
            disk.free()
            load.served(5)
            nothing_lost(town.keten, load.stop())
        cluster.execute(f"DROP DATABASE {town.name}")
        cluster.execute("DROP TABLESPACE small")


def test_a_server_that_may_lose_is_refused() -> None:
    with own("fsync=off", "synchronous_commit=off") as weak:
        url = weak.url(weak.fresh())
        with pytest.raises(Unavailable) as refused, writing_engine(place_of(url)).connect():
            pass
        assert (refused.value.code, refused.value.reason) == ("database-not-durable", "fsync = off")
        engine = writing_engine(place_of(url, risky=True))
        with engine.connect() as connection:
            shown = connection.exec_driver_sql("SHOW synchronous_commit").scalar()
            assert shown == "on", "set for this session, where the server's default is weaker"
        engine.dispose()


def test_an_order_of_text_that_may_change_is_refused(cluster: Cluster) -> None:
    name = cluster.fresh(collate="C.UTF-8")
    with pytest.raises(Invalid) as refused, writing_engine(place_of(cluster.url(name))).connect():
        pass
    assert refused.value.code == "database-collation"
