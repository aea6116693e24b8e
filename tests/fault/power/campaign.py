"""The campaign: load, cut the power, mount again, look at what is there, start, and go on from what is there."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path

from sqlalchemy import select

import keten.suppliers.register
import keten.vault.service  # noqa: F401  # with the one above: every table of the register is known
from keten.budgets.checking import ChargesCheck
from keten.core.db import reading_engine
from keten.drills.supplier import SupplierSystem
from keten.ledger.merkle import Edge, leaf_hashes
from keten.ledger.model import Entry
from keten.ledger.notes import Checkpoint, Verifier, parse_checkpoint
from keten.ledger.reading import read_range, size
from keten.ledger.tables import entries as entries_table
from keten.ledger.verify import verify
from keten.vault.checking import ContentCheck
from tests.fault.campaigns.keeping import Asked, Case
from tests.fault.kills.load import Fetcher, Given
from tests.fault.power.disk import OPTIONS, Disk, disk
from tests.fault.power.work import WORK, Operator
from tests.town import CARRIER, Town

FETCHERS = 4
MEBIBYTES = 512
LONGEST_SECONDS = 1.2
SETTLE_SECONDS = 60.0  # far longer than a keeper waits for a gateway's report of an access of before
ALL_SECONDS = 300.0
START_SECONDS = 300.0


class Watcher(threading.Thread):
    """Somebody outside who keeps every checkpoint that is shown."""

    def __init__(self, system: SupplierSystem) -> None:
        super().__init__(daemon=True)
        self._system = system
        self.stop = threading.Event()
        self.notes: set[bytes] = set()

    def run(self) -> None:
        """Until `stop`."""
        while not self.stop.wait(0.05):
            with suppress(OSError, HTTPException, ValueError):
                answer = self._system.ask("GET", "/ledger/checkpoint")
                if answer.status == 200:
                    self.notes.add(answer.body)


class Run:
    """A town on a disk that loses its power again and again."""

    def __init__(self, folder: Path, disk: Disk, seed: int) -> None:
        (disk.path / "instance").mkdir()
        (folder / "instance").symlink_to(disk.path / "instance")
        self.disk = disk
        self.seed = seed
        self.town = Town(folder)
        self.operator = Operator(self.town, disk.path, random.Random(seed))
        self.given: list[Given] = []
        self.notes: set[bytes] = set()
        self.fetchers: list[Fetcher] = []
        self.watcher: Watcher | None = None

    def start(self) -> None:
        """The first start, with content."""
        keten = self.town.keten
        keten.up("--console", "off", timeout=START_SECONDS)
        self.town.apply()
        keten.run("put", "voters", str(self.town.voters))
        keten.run("put", "clients-in-care", str(self.town.care))

    def load(self, number: int) -> None:
        """Suppliers fetch from now on, and somebody watches; returns when the first was given something."""
        content = self.town.care.read_bytes()
        self.fetchers = [
            Fetcher(self.town.system(CARRIER, self.town.carrier_key), content, self.seed + number * FETCHERS + one)
            for one in range(FETCHERS)
        ]
        self.watcher = Watcher(self.town.system(CARRIER, self.town.carrier_key))
        for thread in (*self.fetchers, self.watcher):
            thread.start()
        deadline = time.monotonic() + ALL_SECONDS
        while not any(fetcher.given for fetcher in self.fetchers):
            assert time.monotonic() < deadline, f"nobody is served\n{self.town.keten.log()[-3000:]}"
            time.sleep(0.01)

    def case(self, number: int) -> Case:
        """One cut. The instance runs before and after it."""
        choice = random.Random(f"{self.seed}/{number}")
        (what,) = choice.choices(list(WORK), list(WORK.values()))
        work = self.operator.work(what)
        self.load(number)
        work.begin()
        time.sleep(choice.uniform(0.0, LONGEST_SECONDS))
        for _ in range(choice.choice((0, 0, 3))):
            self._write_back(choice)
        pids = [self.town.keten.pid(name) for name in ("keeper", "gateway")]
        self.disk.cut()
        work.killed()
        given, wrong = self._off(pids)
        repair = choice.random() < 0.5
        said = self.disk.check(repair=True) if repair else ""
        self.disk.mount(choice.choice(OPTIONS))
        faults = [f"e2fsck: {said}"] if said else []
        faults += wrong + self._kept()
        try:
            self.town.keten.up("--console", "off", timeout=START_SECONDS)
            faults += work.judge()
        except Exception as error:  # whatever it is: the instance did not come back as it should
            faults.append(f"{type(error).__name__}: {error} {getattr(error, 'reason', '')}"[:2000])
            raise
        return Case(str(number), what, tuple(faults), {"given": given})

    def _write_back(self, choice: random.Random) -> None:
        paths = self.town.keten.paths
        path = choice.choice((paths.database, Path(f"{paths.database}-wal")))
        with suppress(OSError):
            length = path.stat().st_size
            self.disk.write_back(path, choice.randrange(max(1, length)) & ~4095, choice.choice((4096, 65536, 1 << 20)))

    def _off(self, pids: list[int]) -> tuple[int, list[str]]:
        """Everything that ran is gone; what was given until then is remembered."""
        keten = self.town.keten
        process, keten._up = keten._up, None
        assert process is not None
        process.kill()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        assert self.watcher is not None
        threads: list[Fetcher | Watcher] = [*self.fetchers, self.watcher]
        for thread in threads:
            thread.stop.set()
        for thread in threads:
            thread.join(90)
        self.disk.release()
        given = [one for fetcher in self.fetchers for one in fetcher.given]
        self.given += given
        self.notes |= self.watcher.notes
        return len(given), [what for fetcher in self.fetchers for what in fetcher.wrong]

    def _kept(self) -> list[str]:
        """What is on the disk, before anything of ours runs on it again: nothing that was given or shown is missing."""
        paths = self.town.keten.paths
        checks = ChargesCheck(), ContentCheck(paths.store)
        report = verify(paths.database, paths.ledger, checks=checks, processes=1)
        faults = [str(fault) for fault in report.faults]
        verifier = Verifier.parse((paths.ledger / "key.pub").read_text(encoding="utf-8").strip())
        shown = [parse_checkpoint(note, verifier) for note in self.notes]
        engine = reading_engine(paths.database)
        try:
            with engine.connect() as connection:
                total = size(connection)
                first = min((one.index for one in self.given), default=total)
                found = {entry.id: entry for entry in read_range(connection, min(first, total), total)}
                leaves = list(connection.execute(select(entries_table.c.leaf).order_by(entries_table.c.idx)).scalars())
        finally:
            engine.dispose()
        faults += lost(self.given, found)
        faults += [f"entry {entry} of a command is lost" for entry in self.operator.entries if entry not in found]
        faults += forked(shown, leaves)
        return faults

    def end(self) -> Case:
        """The last word: real commands on the running instance, and an end for every access."""
        keten = self.town.keten
        deadline = time.monotonic() + SETTLE_SECONDS
        while (faults := self._without_end()) and time.monotonic() < deadline:
            time.sleep(0.5)
        verified = keten.command("ledger", "verify")
        if verified.returncode != 0:
            faults.append(verified.stdout + verified.stderr)
        assert keten.down() == 0
        self.disk.release()
        said = self.disk.check(repair=False)
        faults += [f"e2fsck: {said}"] if said else []
        return Case(
            f"end-{time.time_ns()}",
            "at the end",
            tuple(faults),
            {"given": len(self.given), "shown": len(self.notes)},
        )

    def _without_end(self) -> list[str]:
        """Accesses that do not have exactly one end."""
        engine = reading_engine(self.town.keten.paths.database)
        ends: Counter[str] = Counter()
        opened = []
        with engine.connect() as connection:
            for entry in read_range(connection, 0, size(connection)):
                if entry.kind == "exchange.object.opened":
                    opened.append(entry.id)
                if entry.kind == "exchange.object.delivered" and entry.payload is not None:
                    ends[str(entry.payload.details["opening"])] += 1
        engine.dispose()
        return [f"access {one} has {ends[one]} ends" for one in opened if ends[one] != 1]


def lost(given: list[Given], found: dict[str, Entry]) -> list[str]:
    """Accesses that a supplier was given, and that the ledger does not have at their place."""
    faults = []
    for one in given:
        entry = found.get(one.entry)
        if entry is None or entry.index != one.index:
            faults.append(f"access {one.entry} at {one.index} is lost")
    return faults


def forked(shown: list[Checkpoint], leaves: list[bytes]) -> list[str]:
    """Checkpoints that somebody saw, and that are no prefix of these leaves."""
    faults, edge, at = [], Edge(), 0
    for one in sorted(shown, key=lambda one: one.size):
        if one.size > len(leaves):
            faults.append(f"a checkpoint of {one.size} was shown; there are {len(leaves)} entries")
            continue
        edge, at = edge.append_many(leaf_hashes(leaves[at : one.size])), one.size
        if edge.root() != one.root:
            faults.append(f"the checkpoint of {one.size} that was shown is not of this log")
    return faults


def cases(asked: Asked) -> Iterator[Case]:
    """`asked.count` cuts, and what holds at the end."""
    numbers = list(asked.numbers())
    if not numbers:
        return
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="kp-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        run = Run(folder, stack.enter_context(disk(folder, folder / "disk", MEBIBYTES)), asked.seed)
        with run.town.keten:
            run.start()
            for number in numbers:
                yield run.case(number)
                gc.collect()
            yield run.end()
        print(f"{len(run.given)} answers", file=sys.stderr)
