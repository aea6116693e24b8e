"""Starting Keten's processes from a command: their first line on stdout says that they are ready, or why not."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from keten.core.errors import Invalid, KetenError, Unavailable, rebuild

KILL_SECONDS = 5.0  # what SIGKILL may take before we give up waiting
_MOST_READY = 64 * 1024


class Child:
    """One process of an instance, started as `keten _NAME`. It ends when this process does (PR_SET_PDEATHSIG)."""

    def __init__(self, name: str, home: Path, *options: str) -> None:
        self.name = name
        self.started = time.monotonic()
        # -P: a folder named "keten" where the operator happens to stand is never taken for the program.
        command = [sys.executable, "-P", "-m", "keten", f"_{name}", "--home", str(home), "--parent", str(os.getpid())]
        self.process = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # A group of its own: Ctrl-C reaches this process only, which then stops the others in order.
            process_group=0,
        )
        if self.process.stdout is None:
            raise AssertionError("a pipe was asked for")
        self.stdout = self.process.stdout
        os.set_blocking(self.stdout.fileno(), False)
        self._said = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code (negative: the signal that ended it), None while it runs."""
        return self.process.poll()

    def read(self) -> dict[str, Any] | None:
        """Its ready line, once it has said one. Raises the error it ended with (a `KetenError` of its category)."""
        ended = self.exit_code is not None  # asked first: what it said before its end is then all there
        try:
            while part := os.read(self.stdout.fileno(), 65536):
                self._said = (self._said + part)[:_MOST_READY]
        except BlockingIOError:
            pass
        line, newline, _rest = self._said.partition(b"\n")
        if newline:
            return self._ready(line)
        if ended:
            raise Unavailable(
                f"{self.name}-failed", f"The {self.name} did not start; what it said is above.", how(self.exit_code)
            )
        return None

    def _ready(self, line: bytes) -> dict[str, Any]:
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise Unavailable(f"{self.name}-failed", f"The {self.name} did not say that it is ready.", repr(line[:200]))
        if said.get("ready") is False:
            raise refused(self.name, said)
        return said

    def wait_ready(self, seconds: float) -> dict[str, Any]:
        """Wait for the ready line. Raises as `read`, and `Unavailable` when it takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.stdout, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                selector.select(min(left, 0.5))
                said = self.read()
                if said is not None:
                    return said
        raise Unavailable(f"{self.name}-slow", f"The {self.name} was not ready within {seconds:.0f} s.")

    def terminate(self) -> None:
        """Ask it to stop; fine when it has ended."""
        if self.exit_code is None:
            self.process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float) -> bool:
        """Ask it to stop, and kill it when it has not within `seconds`; whether it stopped by itself."""
        self.terminate()
        try:
            self.process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(KILL_SECONDS)
            return False
        finally:
            self.stdout.close()


def refused(name: str, said: dict[str, Any]) -> KetenError:
    """The error that a process said it can't start for."""
    code, text = str(said.get("code", "")), str(said.get("error", ""))
    return rebuild(str(said.get("category", "unavailable")), code, f"The {name} did not start: {text}")


def how(exit_code: int | None) -> str:
    """How a process ended, in words."""
    if exit_code is not None and exit_code < 0:
        try:
            return f"signal {signal.Signals(-exit_code).name}"
        except ValueError:
            return f"signal {-exit_code}"
    return f"exit code {exit_code}"


def refuse_other_user(home: Path) -> None:
    """Refuse to write into an instance as anyone but its owner, who could not read or remove what was written.

    Raises `Invalid` ("other-user").
    """
    owner = (home / "db").stat().st_uid
    if owner != os.geteuid():
        raise Invalid(
            "other-user",
            f"The instance belongs to user {user_name(owner)}; run this as that user (sudo -u {user_name(owner)} …).",
        )


def user_name(uid: int) -> str:
    """A user's name, or its number where it has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
