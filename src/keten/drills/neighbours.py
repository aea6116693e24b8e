"""Other institutions, for drills and tests: a witness in a process of its own, and the policy that names it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from keten.core.errors import Unavailable

START_SECONDS = 60.0
STOP_SECONDS = 30.0
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
        self.key: str = _run("init", str(folder), "--name", f"witness.example/{name}")["key"]
        self._listen = "127.0.0.1:0"
        self.url = ""
        self.process: subprocess.Popen[str] | None = None

    def add(self, *log_keys: str) -> None:
        """Watch logs, by their verifier keys."""
        _run("add", str(self.folder), *log_keys)

    def start(self) -> None:
        """Run; at the same address as before. Raises `Unavailable` ("witness-not-ready")."""
        command = [*KETEN, "witness", "run", str(self.folder), "--listen", self._listen, "--json"]
        with (self.folder.parent / f"{self.folder.name}.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline() if self.process.stdout is not None else ""
        if not line:
            raise Unavailable("witness-not-ready", f"The witness {self.name} did not start.")
        self.url = json.loads(line)["witness"]
        self._listen = self.url.removeprefix("http://")

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM; in good order."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Unavailable("witness-not-stopped", f"The witness {self.name} did not stop in time.") from None
        finally:
            if process.stdout is not None:
                process.stdout.close()
        if number == signal.SIGTERM and code != 0:
            raise Unavailable("witness-not-stopped", f"The witness {self.name} ended with {code}.")

    def evidence(self) -> list[Path]:
        """What it keeps against logs."""
        return sorted((self.folder / "evidence").glob("*.json"))

    def cosigned(self, log_key: str) -> int:
        """The size of the newest head that it has cosigned of a log, by its verifier key; 0 for none."""
        kept = [json.loads(path.read_bytes()) for path in (self.folder / "logs").glob("*.json")]
        notes = [one.get("note", "") for one in kept if one["key"] == log_key]
        return max((int(note.split("\n")[1]) for note in notes if note), default=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end(signal.SIGKILL)


def _run(*words: str) -> Any:
    """The result of `keten witness WORDS`. Raises `Unavailable` ("witness")."""
    done = subprocess.run([*KETEN, "witness", *words, "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable("witness", "A witness could not be made.", done.stderr)
    return json.loads(done.stdout)


def policy(log_key: str, witnesses: list[WitnessProcess], quorum: str = "all") -> str:
    """A policy of these witnesses."""
    lines = [f"log {log_key}", *(f"witness {one.name} {one.key} {one.url}" for one in witnesses)]
    names = " ".join(one.name for one in witnesses)
    return "\n".join([*lines, f"group everyone {quorum} {names}", "quorum everyone", ""])


def size_of(note: Path) -> int:
    """The size that a published note states; 0 when there is none."""
    return int(note.read_text().split("\n")[1]) if note.exists() else 0
