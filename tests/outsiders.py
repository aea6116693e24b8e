"""Outsiders for tests: a witness's process of its own, and an instance that it is to witness."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from keten.witness.folder import WitnessFolder

START_SECONDS = 60.0
KETEN = (sys.executable, "-m", "keten")


def until(holds: Callable[[], bool], seconds: float = START_SECONDS) -> bool:
    """Wait until something holds; whether it does. The time is only a bound."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return False


class WitnessProcess:
    """A witness with `keten witness run`, in a folder of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self._opened = WitnessFolder(folder)
        self.key = self._opened.create(f"witness.example/{name}").key.verifier_key()
        self._listen = "127.0.0.1:0"
        self.url = ""
        self.process: subprocess.Popen[str] | None = None

    def add(self, *log_keys: str) -> None:
        """Watch logs."""
        for key in log_keys:
            self._opened.add(key)

    def start(self) -> None:
        """Run; at the same address as before."""
        command = [*KETEN, "witness", "run", str(self.folder), "--listen", self._listen, "--json"]
        with (self.folder.parent / f"{self.folder.name}.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        assert ready["ready"]
        self.url = ready["witness"]
        self._listen = self.url.removeprefix("http://")

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM; in good order."""
        if self.process is not None:
            assert self._end(signal.SIGTERM) == 0

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        assert process is not None
        process.send_signal(number)
        code = process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
        return code

    def evidence(self) -> list[Path]:
        """What it keeps against logs."""
        return sorted((self.folder / "evidence").glob("*.json"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process is not None:
            self._end(signal.SIGKILL)


def policy(log_key: str, witnesses: list[WitnessProcess], quorum: str = "all") -> str:
    """A policy of these witnesses."""
    lines = [f"log {log_key}", *(f"witness {one.name} {one.key} {one.url}" for one in witnesses)]
    names = " ".join(one.name for one in witnesses)
    return "\n".join([*lines, f"group everyone {quorum} {names}", "quorum everyone", ""])


def size_of(note: Path) -> int:
    """The size that a published note states; 0 when there is none."""
    return int(note.read_text().split("\n")[1]) if note.exists() else 0
