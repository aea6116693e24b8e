"""Keten's processes as forks of one that has everything imported: a start costs a tenth of a second."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keten import app

SECONDS = 60.0


class Forked:
    """One process. `code`: its exit code once it ended (negative: the signal); `said`: what came on its stderr."""

    def __init__(self, running: Callable[[], int], folder: Path, name: str, first: Callable[[], None]) -> None:
        self._errors = folder / f"{name}.stderr"
        self._out, out = os.pipe()
        self.code: int | None = None
        self.heard = b""
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _child(running, self._errors, out, first)
        os.close(out)

    @property
    def said(self) -> str:
        """What it said on stderr."""
        return self._errors.read_text(encoding="utf-8") if self._errors.exists() else ""

    def ready(self) -> dict[str, Any] | None:
        """Its ready line; None when it ended, or could not start."""
        deadline = time.monotonic() + SECONDS
        while b"\n" not in self.heard:
            if not select.select([self._out], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            part = os.read(self._out, 65536)
            if not part:
                return None
            self.heard += part
        line: dict[str, Any] = json.loads(self.heard.split(b"\n", 1)[0])
        return None if line.get("ready") is False else line

    def wait(self, *, stop: bool = False) -> int | None:
        """Its exit code, after SIGTERM when it is to `stop`; None when it hangs, and is killed."""
        deadline = time.monotonic() + SECONDS
        if stop:
            os.kill(self.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                self._drained()
                return self.code
            time.sleep(0.005)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._drained()
        return None

    def _drained(self) -> None:
        while part := os.read(self._out, 65536):
            self.heard += part
        os.close(self._out)


def _child(running: Callable[[], int], errors: Path, out: int, first: Callable[[], None]) -> None:
    code = 99
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with this one
        os.dup2(out, 1)
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        first()
        code = running()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001  # nothing of the child may run on in the code of its parent
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def keten(words: list[str], folder: Path, name: str, first: Callable[[], None] = lambda: None) -> Forked:
    """`keten WORDS`, or one of its processes."""
    return Forked(lambda: app._main(words), folder, name, first)
