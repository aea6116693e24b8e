"""The campaign: kill, wait until somebody is served again, kill again; then hold the ledger against what was given."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.fault.campaigns.keeping import Asked, Case
from tests.fault.kills.load import Fetcher, Given
from tests.town import CARRIER, Town

TARGETS = {"keeper": 5, "gateway": 4, "keeper and gateway": 1, "console": 1, "supervisor": 1, "put": 2, "apply": 2}
"""What is killed, and how often."""
FETCHERS = 4
PAUSE_SECONDS = 0.03  # between two requests of a supplier: at full speed they, not the kills, would fill the machine
EPOCH = 200  # kills between two looks at everything; a campaign goes on from the last one
BACK_SECONDS = 300.0
SETTLE_SECONDS = 16.0  # longer than a keeper waits for a gateway's report of an access of before


class Run:
    """A town under load, of which processes are killed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.town = Town(folder, console=True)
        self._seed = seed
        self._fetchers: list[Fetcher] = []
        self._given: list[Given] = []
        self._wrong: list[str] = []
        self._content = self.town.care.read_bytes()
        self._put = folder / "put.bin"
        self._estate = folder / "changed.yaml"
        self.entries: list[str] = []

    def load(self, number: int) -> None:
        """Suppliers fetch from now on, where the gateway listens now."""
        self._fetchers = [
            Fetcher(system, self._content, self._seed + number * FETCHERS + one, PAUSE_SECONDS)
            for one, system in enumerate(self.town.system(CARRIER, self.town.carrier_key) for _ in range(FETCHERS))
        ]
        for fetcher in self._fetchers:
            fetcher.start()

    def rest(self) -> None:
        """They stop; what they were given is remembered."""
        for fetcher in self._fetchers:
            fetcher.stop.set()
        for fetcher in self._fetchers:
            fetcher.join(90)
            self._given += fetcher.given
            self._wrong += fetcher.wrong
        self._fetchers = []

    def served_again(self) -> None:
        """Wait until all have got something again. Raises `AssertionError` when nobody has within minutes."""
        before = sum(len(fetcher.given) for fetcher in self._fetchers)
        deadline = time.monotonic() + BACK_SECONDS
        while sum(len(fetcher.given) for fetcher in self._fetchers) < before + FETCHERS:
            assert time.monotonic() < deadline, f"nobody was served again\n{self.town.keten.log()[-3000:]}"
            time.sleep(0.02)

    def case(self, number: int) -> Case:
        """One kill."""
        choice = random.Random(f"{self._seed}/{number}")
        (target,) = choice.choices(list(TARGETS), list(TARGETS.values()))
        self.served_again()
        if target in ("put", "apply"):
            faults = self._command(target, choice)
        elif target == "supervisor":
            faults = self._supervisor(number)
        else:
            time.sleep(choice.uniform(0.0, 0.4))
            faults = []
            for name in target.split(" and "):
                self._kill(name)
        return Case(str(number), target, tuple(faults))

    def _kill(self, name: str) -> None:
        with suppress(ProcessLookupError, FileNotFoundError, ValueError):  # it is just being started again
            os.kill(self.town.keten.pid(name), signal.SIGKILL)

    def _supervisor(self, number: int) -> list[str]:
        """Its processes end with it; a new one finds everything as it was."""
        self.rest()
        keten = self.town.keten
        process, keten._up = keten._up, None
        assert process is not None
        assert process.stdout is not None
        process.kill()
        process.wait()
        process.stdout.close()
        keten.up()
        self.load(number)
        return []

    def _command(self, what: str, choice: random.Random) -> list[str]:
        """A command that is killed somewhere on its way; done again, it is done."""
        if what == "put":
            self._put.write_bytes(choice.randbytes(choice.choice((1, 100_000, 3_000_000))))
            words = ["put", "voters", str(self._put), "--replace"]
        else:
            text = (self.town.keten.folder / "estate.yaml").read_text(encoding="utf-8")
            days = f"retention_days: {choice.randrange(40, 89)}"
            self._estate.write_text(text.replace("retention_days: 90", days), encoding="utf-8")
            words = ["apply", str(self._estate)]
        line = [sys.executable, "-m", "keten", *words, "--home", str(self.town.keten.home), "--json"]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        time.sleep(choice.uniform(0.1, 1.0))
        process.kill()
        out, _ = process.communicate()
        if process.returncode == 0:
            self.entries += [one["entry"] for one in json.loads(out).get("objects", []) if "entry" in one]
        again = self.town.keten.command(*words, "--json")
        return [] if again.returncode == 0 else [f"{what} again: {again.returncode}: {again.stdout}{again.stderr}"]

    def judged(self, number: int) -> Case:
        """Everything that was given since the start, held against the ledger."""
        self.served_again()
        self.rest()
        gc.collect()
        time.sleep(SETTLE_SECONDS)
        verified = self.town.keten.command("ledger", "verify")
        faults = [] if verified.returncode == 0 else [verified.stdout + verified.stderr]
        done = self.town.keten.command("ledger", "show", "--json")
        assert done.returncode == 0, done.stderr
        recorded: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
        faults += judged(self._given, recorded) + self._wrong
        known = {entry["id"] for entry in recorded}
        faults += [f"entry {entry} of a command is lost" for entry in self.entries if entry not in known]
        counts = {"given": len(self._given), "entries": len(recorded)}
        return Case(f"judged {number}", "everything", tuple(faults), counts)


def judged(given: list[Given], recorded: list[dict[str, Any]]) -> list[str]:
    """What was given and is not recorded as such, and accesses that do not have exactly one end."""
    opened = {entry["id"]: entry for entry in recorded if entry["kind"] == "exchange.object.opened"}
    ends = Counter(entry["details"]["opening"] for entry in recorded if entry["kind"] == "exchange.object.delivered")
    lost = [
        one.entry
        for one in given
        if one.entry not in opened
        or opened[one.entry]["index"] != one.index
        or opened[one.entry]["object"] != one.object
        or opened[one.entry]["details"]["length"] < one.count
    ]
    faults = [f"access {entry} is lost, or another" for entry in lost]
    return faults + [f"access {entry} has {ends[entry]} ends" for entry in opened if ends[entry] != 1]


def cases(asked: Asked) -> Iterator[Case]:
    """`asked.count` kills, with a look at everything after every two hundred on an instance of their own.

    A kill counts once that look was taken: whoever stops a campaign before it does those again.
    """
    numbers = list(asked.numbers())
    for first in range(0, len(numbers), EPOCH):
        some = numbers[first : first + EPOCH]
        folder = Path(tempfile.mkdtemp(prefix="kk-"))
        try:
            run = Run(folder, asked.seed)
            with run.town.keten:
                run.town.start()
                run.load(some[0])
                killed = [run.case(number) for number in some]
                judged = run.judged(some[-1])
            yield from (*killed, judged)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
