"""A throwaway instance with real processes, for drills and tests: made in a temporary folder, gone afterwards."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from keten.core.errors import Unavailable
from keten.core.places import Place, place_of
from keten.core.settings import Paths
from keten.keeper.client import KeeperClient

START_SECONDS = 60.0
STOP_SECONDS = 20.0


class Command(Unavailable):
    """A command that did not do what the drill needs; the reason holds what it said."""


class Key:
    """A supplier's client key pair, as an OpenSSH file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.private = Ed25519PrivateKey.generate()
        path.write_bytes(self.private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        path.chmod(0o600)
        self.line = self.private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


class Throwaway:
    """An instance of its own. Use as a context manager; `home` and everything in it is removed at the end.

    database: the URL of an empty database for it; "": a file of its own. console: whether it has one.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        settings: str = "",
        keep: bool = False,
        database: str = "",
        console: bool = True,
    ) -> None:
        self._made = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="keten-drill-"))
        self.home = self.folder / "instance"
        self.paths = Paths(self.home)
        self._keep = keep
        self._up: subprocess.Popen[str] | None = None
        self.ready: dict[str, Any] = {}
        self.ids: dict[str, dict[str, str]] = {}
        self.database = database
        self._console = "127.0.0.1:0" if console else "off"
        self.run("init", *(("--database", database) if database else ()))
        if settings:
            self.configure(settings)

    def configure(self, settings: str) -> None:
        """Write keten.toml anew; its database stays."""
        where = f"\n[database]\nurl = {json.dumps(self.database)}\n" if self.database else ""
        (self.home / "keten.toml").write_text(settings + where, encoding="utf-8")

    @property
    def place(self) -> Place:
        """Where its database is."""
        return place_of(self.database) if self.database else self.paths.database

    # ---- commands --------------------------------------------------------------------------------------------

    def command(
        self, *words: str, home: bool = True, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `keten WORDS` in `folder` (None: this one), as a person would; returns whatever came out."""
        line = [*self._keten(), *words, *(("--home", str(self.home)) if home else ())]
        return subprocess.run(line, capture_output=True, text=True, check=False, cwd=folder)

    def _keten(self) -> list[str]:
        """The command, with the supplier's own settings folder kept apart."""
        return ["env", f"XDG_CONFIG_HOME={self.folder / 'config'}", sys.executable, "-m", "keten"]

    def run(self, *words: str, expect: int = 0, home: bool = True) -> Any:
        """Run `keten WORDS --json`; its result. Raises `Command` when it does not end with the exit code `expect`."""
        done = self.command(*words, "--json", home=home)
        if done.returncode != expect:
            said = f"keten {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            raise Command("command", "A command of the drill failed.", said)
        text = done.stdout.strip()
        return json.loads(text) if text else None

    def apply(self, estate: str) -> dict[str, Any]:
        """Apply an estate file; remembers the random ids."""
        path = self.folder / "estate.yaml"
        path.write_text(estate, encoding="utf-8")
        applied: dict[str, Any] = self.run("apply", str(path))
        self.ids = applied["ids"]
        return applied

    # ---- processes -------------------------------------------------------------------------------------------

    def up(self, *options: str, timeout: float = START_SECONDS) -> dict[str, Any]:
        """Start everything on free ports; returns the ready line."""
        log = (self.folder / "up.log").open("a", encoding="utf-8")
        words = [
            *("up", "--json", "--home", str(self.home), "--gateway", "127.0.0.1:0"),
            *("--sftp", "127.0.0.1:0", "--console", self._console, *options),
        ]
        self._up = subprocess.Popen([*self._keten(), *words], stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        self.ready = self._ready_line(timeout)
        return self.ready

    def _ready_line(self, timeout: float) -> dict[str, Any]:
        process = self._up
        if process is None or process.stdout is None:
            raise Command("not-started", "The instance was not started.")
        deadline = time.monotonic() + timeout
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                if not selector.select(left):
                    break
                part = os.read(process.stdout.fileno(), 65536)
                said += part
                if b"\n" in said:
                    ready: dict[str, Any] = json.loads(said.split(b"\n", 1)[0])
                    return ready
                if not part:
                    break
        raise Command("not-ready", "The instance did not become ready.", self.log())

    def log(self) -> str:
        """What the processes said on stderr."""
        path = self.folder / "up.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def down(self) -> int:
        """Stop everything in good order; the supervisor's exit code."""
        process, self._up = self._up, None
        if process is None:
            return 0
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Command("not-stopped", "The instance did not stop in time.", self.log()) from None
        finally:
            if process.stdout is not None:
                process.stdout.close()

    def die(self) -> None:
        """All its processes at once, as with their machine (SIGKILL)."""
        process, self._up = self._up, None
        if process is None:
            return
        for pid in (process.pid, *(int(path.read_text(encoding="utf-8")) for path in self.paths.run.glob("*.pid"))):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def pid(self, name: str) -> int:
        """The process id of "keeper", "gateway" or "console", as the supervisor keeps it in the run folder."""
        return int((self.paths.run / f"{name}.pid").read_text(encoding="utf-8"))

    def keeper(self) -> KeeperClient:
        """A connection to the operator's socket."""
        return KeeperClient(self.paths.operator_socket)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.down()
        finally:
            if self._made and not self._keep:
                shutil.rmtree(self.folder, ignore_errors=True)
