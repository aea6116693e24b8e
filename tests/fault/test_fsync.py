"""A disk that fails: the keeper leaves with code 74, comes back from disk, and nothing that it answered is lost."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.kills.load import Fetcher
from tests.town import Town

FETCHERS = 3
BACK_SECONDS = 90.0
SAID = "The keeper stopped (exit code 74)"

# Python runs this at the start of every process; in a keeper it makes one call fail for each file in a folder.
CUSTOMISE = """
import errno, os, sqlite3, sys
from pathlib import Path

if "_keeper" in sys.orig_argv:
    from sqlalchemy.engine.default import DefaultDialect

    wanted, real_commit, real_fsync = Path(os.environ["FAILURES"]), DefaultDialect.do_commit, os.fsync

    def now(name):
        try:
            (wanted / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def failed(name):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = name
        return error

    def do_commit(self, connection):
        if now("commit-undone"):
            raise failed("SQLITE_IOERR_WRITE")
        real_commit(self, connection)
        if now("commit-done"):
            raise failed("SQLITE_IOERR_FSYNC")

    def what(path):
        if "/store/" in path:
            return "store"
        if "/ledger" not in path or os.path.isdir(path):
            return "ledger-folder" if "/ledger" in path else ""
        begins = Path(path).read_bytes()[:16]
        return "checkpoint" if begins.startswith(b"keten/") else "bundle" if begins[2:7] == b'{"id"' else "tile"

    def fsync(descriptor):
        name = what(os.readlink(f"/proc/self/fd/{descriptor}"))
        if name and now(name):
            raise OSError(errno.EIO, "Input/output error")
        real_fsync(descriptor)

    DefaultDialect.do_commit, os.fsync = do_commit, fsync
"""


class Failing(Town):
    """A town whose keeper's disk can be made to fail, with suppliers that fetch all the time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.failures = folder / "failures"
        self.failures.mkdir()
        self.fetchers: list[Fetcher] = []

    def load(self) -> None:
        content = self.care.read_bytes()
        self.fetchers = [
            Fetcher(self.system("zorgvervoer-batch", self.carrier_key), content, seed) for seed in range(FETCHERS)
        ]
        for fetcher in self.fetchers:
            fetcher.start()

    def served_again(self) -> None:
        before = [len(fetcher.given) for fetcher in self.fetchers]
        deadline = time.monotonic() + BACK_SECONDS
        while any(len(fetcher.given) <= count for fetcher, count in zip(self.fetchers, before, strict=True)):
            assert time.monotonic() < deadline, f"nobody is served again\n{self.keten.log()[-3000:]}"
            time.sleep(0.05)

    def stops(self) -> int:
        """How often the supervisor has said that a keeper ended because its disk failed."""
        return self.keten.log().count(SAID)

    def stopped_again(self, before: int) -> None:
        deadline = time.monotonic() + BACK_SECONDS
        while self.stops() == before:
            assert time.monotonic() < deadline, f"the keeper went on\n{self.keten.log()[-3000:]}"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failing]:
    folder = tmp_path_factory.mktemp("failing")
    (folder / "customised").mkdir()
    (folder / "customised" / "sitecustomize.py").write_text(CUSTOMISE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder / "customised"))
        patch.setenv("FAILURES", str(folder / "failures"))
        made = Failing(folder)
        with made.keten:
            made.start()
            made.load()
            yield made
            for fetcher in made.fetchers:
                fetcher.stop.set()
            for fetcher in made.fetchers:
                fetcher.join(60)


def nothing_is_lost(town: Failing) -> None:
    given = [one for fetcher in town.fetchers for one in list(fetcher.given)]
    done = town.keten.command("ledger", "show", "--json", "--kind", "exchange.object.opened")
    assert done.returncode == 0, done.stderr
    opened = {entry["id"]: entry for entry in map(json.loads, done.stdout.splitlines())}
    assert given
    for one in given:
        assert opened[one.entry]["index"] == one.index
        assert opened[one.entry]["object"] == one.object
    assert [what for fetcher in town.fetchers for what in fetcher.wrong] == []
    verified = town.keten.command("ledger", "verify")
    assert verified.returncode == 0, verified.stdout


FAILURES = ("commit-undone", "commit-done", "bundle", "tile", "checkpoint", "ledger-folder")


@pytest.mark.parametrize(
    "failure",
    [*FAILURES[:3:2], *(pytest.param(one, marks=pytest.mark.slow) for one in (FAILURES[1], *FAILURES[3:]))],
)
def test_the_keeper_leaves_and_comes_back(town: Failing, failure: str) -> None:
    town.served_again()
    before = town.stops()
    (town.failures / failure).touch()
    town.stopped_again(before)
    assert not (town.failures / failure).exists()
    town.served_again()
    nothing_is_lost(town)


@pytest.mark.slow
def test_it_leaves_also_when_it_only_removes(town: Failing) -> None:
    """The folder of a blob whose key is destroyed; what was asked for holds, whatever is said of it."""
    small = town.keten.folder / "small.txt"
    small.write_text("first")
    town.keten.run("put", "voters", str(small))
    small.write_text("second")
    before = town.stops()
    (town.failures / "store").touch()
    done = town.keten.command("put", "voters", str(small), "--replace")
    assert done.returncode == 3, done.stderr
    town.stopped_again(before)
    town.served_again()
    assert town.keten.run("put", "voters", str(small))["objects"][0]["unchanged"]
    nothing_is_lost(town)


def _traced(town: Failing, *inject: str) -> None:
    """Have the kernel fail a system call of the keeper, until the keeper is gone."""
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", *inject]
    traced = subprocess.Popen([*words, "-p", str(town.keten.pid("keeper"))], stderr=subprocess.PIPE, text=True)
    try:
        _, said = traced.communicate(timeout=BACK_SECONDS)
    except subprocess.TimeoutExpired:
        traced.kill()
        traced.communicate()
        raise
    if "Operation not permitted" in said:
        pytest.skip("this machine lets nobody trace a process")


@pytest.mark.needs("strace")
@pytest.mark.parametrize("call", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)])
def test_the_kernel_says_that_an_fsync_failed(town: Failing, call: int) -> None:
    """The same with the real SQLite over a real failing system call."""
    town.served_again()
    before = town.stops()
    _traced(town, "-e", f"inject=fsync,fdatasync:error=EIO:when={call}")
    town.stopped_again(before)
    town.served_again()
    nothing_is_lost(town)


@pytest.mark.needs("strace")
@pytest.mark.parametrize("file", [pytest.param("keten.db", marks=pytest.mark.slow), "keten.db-wal"])
def test_in_the_database_and_in_its_log(town: Failing, file: str) -> None:
    """Also where SQLite would keep it to itself: when the write-ahead log is brought into the database."""
    town.served_again()
    before = town.stops()
    _traced(town, "-P", str(town.keten.paths.database_folder / file), "-e", "inject=fsync,fdatasync:error=EIO:when=1")
    town.stopped_again(before)
    town.served_again()
    nothing_is_lost(town)
