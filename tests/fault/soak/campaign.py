"""The soak: 64 clients over HTTPS and SFTP, some slow, some vanishing; revocations; restarts in the first third.

A process that was started again fills its caches for some minutes; memory is judged over the second half.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from keten.core.db import reading_engine
from keten.drills.throwaway import Key
from keten.ledger.reading import read_range, size
from tests.fault.campaigns.keeping import Asked, Case
from tests.fault.kills.load import Fetcher
from tests.fault.soak.clients import SftpFetcher, Vanisher
from tests.fault.soak.flat import MIB, Sampler, growing
from tests.town import CARRIER, Town

HTTPS, SFTP, VANISHING = 44, 12, 8
PROCESSES = ("keeper", "gateway", "console")
FAULT_SECONDS = 10.0
PAUSE_SECONDS = 0.2  # between two requests of a client: an hour at full speed would measure the machine
SETTLE_SECONDS = 16.0


class Run:
    """A town with its 64 clients."""

    def __init__(self, folder: Path, seed: int, minutes: float) -> None:
        self.town = Town(folder, console=True)
        self._choice = random.Random(seed)
        self._seconds = minutes * 60
        self._began = time.monotonic()
        self.restarts = 0
        self.revoked = 0
        self.faults: list[str] = []

    def _clock(self) -> float:
        return time.monotonic() - self._began

    def _pids(self) -> dict[str, int]:
        found = {}
        for name in PROCESSES:
            with suppress(OSError, ValueError):
                found[name] = self.town.keten.pid(name)
        return found

    def soak(self, seed: int) -> Iterator[Case]:
        """Start everything, wait, stop, judge."""
        town, content = self.town, self.town.care.read_bytes()
        client = town.keten.ids["client"][CARRIER]
        fetchers = [
            Fetcher(town.system(CARRIER, town.carrier_key), content, seed + one, PAUSE_SECONDS) for one in range(HTTPS)
        ]
        sessions = [
            SftpFetcher(town.keten.ready["sftp"], client, town.carrier_key, content, seed + one) for one in range(SFTP)
        ]
        vanishing = [Vanisher(town.system(CARRIER, town.carrier_key), seed + one) for one in range(VANISHING)]
        self._began = time.monotonic()
        sampler = Sampler(self._pids, self._clock, min(5.0, self._seconds / 40))
        threads: list[Fetcher | SftpFetcher | Vanisher | Sampler] = [*fetchers, *sessions, *vanishing, sampler]
        for thread in threads:
            thread.start()
        while self._clock() < self._seconds:
            time.sleep(min(FAULT_SECONDS, self._seconds / 8))
            self._fault()
        for thread in threads:
            thread.stop.set()
        for thread in threads:
            thread.join(90)
        for name in PROCESSES:
            samples = sampler.samples.get(name, [])
            counts: dict[str, int] = {}
            for quarter in (2, 3, 4) if samples else ():
                sample = samples[len(samples) * quarter // 4 - 1]
                counts |= {f"mib_at_{quarter}/4": sample.resident // MIB, f"handles_at_{quarter}/4": sample.handles}
            yield Case(f"{name} {time.time_ns()}", f"flat: {name}", tuple(growing(name, samples)), counts)
        wrong = [what for fetcher in fetchers for what in fetcher.wrong]
        wrong += [what for session in sessions for what in session.wrong]
        given = {one.entry for fetcher in fetchers for one in fetcher.given}
        given |= {entry for one in vanishing for entry in one.entries}
        time.sleep(SETTLE_SECONDS)
        counts = {
            "https": sum(len(one.given) for one in fetchers),
            "sftp_reads": sum(one.reads for one in sessions),
            "vanished": sum(len(one.entries) for one in vanishing),
            "restarts": self.restarts,
            "revoked": self.revoked,
        }
        yield Case(
            f"recorded {time.time_ns()}", "recorded", tuple(wrong + self.faults + self._unrecorded(given)), counts
        )

    def _fault(self) -> None:
        """A client that is declared and revoked; or, in the first third, a keeper or gateway that is killed."""
        if self._clock() < self._seconds / 3 and self._choice.random() < 0.5:
            name = self._choice.choice(("keeper", "keeper", "gateway"))
            with suppress(OSError, ValueError):
                os.kill(self.town.keten.pid(name), signal.SIGKILL)
                self.restarts += 1
            return
        key = Key(self.town.keten.folder / f"key-{self.revoked}")
        name = f"passing-{self.revoked}"
        path = self.town.keten.folder / "passing.yaml"
        text = (self.town.keten.folder / "estate.yaml").read_text(encoding="utf-8")
        clients = f'clients: [{{id: {name}, keys: ["{key.line}"]}}, {{id: {CARRIER}'
        path.write_text(text.replace(f"clients: [{{id: {CARRIER}", clients), encoding="utf-8")
        for words in (("apply", str(path)), ("revoke", "client", name, "--reason", "it passed")):
            done = self.town.keten.command(*words)
            if done.returncode != 0:
                self.faults.append(f"{words}: {done.returncode}: {done.stdout}{done.stderr}")
        self.revoked += 1

    def _unrecorded(self, given: set[str]) -> list[str]:
        verified = self.town.keten.command("ledger", "verify")
        faults = [] if verified.returncode == 0 else [verified.stdout + verified.stderr]
        engine = reading_engine(self.town.keten.place)
        opened: set[str] = set()
        ended: list[str] = []
        with engine.connect() as connection:
            for entry in read_range(connection, 0, size(connection)):
                if entry.kind == "exchange.object.opened":
                    opened.add(entry.id)
                elif entry.kind == "exchange.object.delivered" and entry.payload is not None:
                    ended.append(str(entry.payload.details["opening"]))
        engine.dispose()
        faults += [f"access {one} has no entry" for one in given - opened]
        faults += [f"access {one} has no end" for one in opened - set(ended)]
        return faults + (["an access has two ends"] if len(ended) != len(set(ended)) else [])


def cases(asked: Asked) -> Iterator[Case]:
    """One soak of `asked.minutes`."""
    if asked.done:
        return
    folder = Path(tempfile.mkdtemp(prefix="ks-"))
    try:
        run = Run(folder, asked.seed, asked.minutes)
        with run.town.keten:
            run.town.start()
            yield from run.soak(asked.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
