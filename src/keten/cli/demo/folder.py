"""The demo's own folder: made anew each time, and never anybody else's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import keten
from keten.cli.locks import Lock, is_up
from keten.cli.output import say
from keten.core.errors import Conflict, Invalid
from keten.core.settings import Paths

NAME = ".keten-demo"
MARK = "keten-demo.json"
_MARKED = {"keten": "demo"}
LONGEST_SOCKET_PATH = 107  # sun_path of unix(7), less the final NUL
STOP_SECONDS = 30.0


class Folder:
    """Where everything of the demo is. Holds a lock as long as the demo runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.instance = path / "instance"
        self.content = path / "content"
        self.estate = path / "estate.yaml"
        self.log = path / "up.log"
        self._mark = path / MARK
        self._lock = Lock(path / "demo.lock")

    def login(self, supplier: str) -> Path:
        """The folder that stands for a supplier's own machine: its key, and its settings in XDG_CONFIG_HOME."""
        return self.path / "suppliers" / supplier

    def begin(self) -> None:
        """Make the folder, empty.

        1. What is there must be nothing, or a demo: never remove what someone else made.
        2. No demo may be running in it; what a killed one left running is stopped.
        3. Remove the earlier demo, and say so.

        Raises `Conflict` ("not-a-demo", "demo-already"), `Invalid` ("home-too-long").
        """
        longest = len(str(Paths(self.instance).operator_socket).encode())
        if longest > LONGEST_SOCKET_PATH:
            raise Invalid(
                "home-too-long",
                f"The path {self.path} is {longest - LONGEST_SOCKET_PATH} characters too long for a Unix socket inside "
                "it; choose another with --home.",
            )
        there = self.path.is_symlink() or (self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())))
        if there:  # 1
            if not self._is_demo():
                raise Conflict("not-a-demo", f"{self.path} is there and was not made by 'keten demo'; left as it is.")
            self._take_lock()  # 2
            self._stop_left_behind()
            say(f"Removing the earlier demo in {self.path} …")  # 3
            for one in self.path.iterdir():
                if one.name not in (MARK, "demo.lock"):
                    shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
        self.path.mkdir(parents=True, exist_ok=True)
        self._note({})
        self._take_lock()
        (self.path / ".gitignore").write_text("*\n", encoding="utf-8")
        self.content.mkdir()

    def note_up(self, pid: int) -> None:
        """Note the process of `keten up`, to find it again should this one be killed."""
        self._note({"up": pid})

    def end(self) -> None:
        """The demo does not run any more; its folder stays, to look at."""
        self._lock.give_back()

    def _note(self, more: dict[str, int]) -> None:
        self._mark.write_text(json.dumps(_MARKED | more) + "\n", encoding="utf-8")

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(self._mark.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _is_demo(self) -> bool:
        return not self.path.is_symlink() and self._read().items() >= _MARKED.items()

    def _take_lock(self) -> None:
        if not self._lock.take():
            raise Conflict("demo-already", f"A demo runs in {self.path} already; stop that one, or choose --home DIR.")

    def _stop_left_behind(self) -> None:
        """Step 2 of `begin`. The process must be what it was noted as: numbers of processes are used again."""
        paths = Paths(self.instance)
        if not is_up(paths):
            return
        pid = self._read().get("up")
        if isinstance(pid, int) and str(self.instance) in _command_line(pid):
            say(f"An earlier demo was killed and left process {pid} running; it is stopped.")
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while is_up(paths):
            if time.monotonic() > deadline:
                raise Conflict("demo-already", f"Something still runs on {self.instance}; stop it first.")
            time.sleep(0.1)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def checkout() -> Path | None:
    """The checkout that this Keten runs from; None when it is installed elsewhere."""
    root = Path(keten.__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "keten").is_file() else None


def default_path() -> Path:
    """The demo's folder: in the checkout, or else where the user is."""
    return (checkout() or Path.cwd()) / NAME


def sample_documents() -> Path | None:
    """The folder with sample documents beside the checkout, where there is one."""
    root = checkout()
    return None if root is None else root.parent / "shared" / "data" / "documents"
