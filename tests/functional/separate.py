"""An instance whose keeper and gateway run under users of their own, set up as docs/manual/en/users.md says.

Users are plain numbers: nothing is added to the machine. Needs root, and a Python that other users may run.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

import keten
from keten.core.settings import Paths
from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Key
from tests.town import CARRIER, PRINTER, estate

KEEPER, GATEWAY = 64010, 64011
SETTINGS = f'[geo]\nnetworks = {{"127.0.0.0/8" = "NL"}}\n[keeper]\ngateway_users = ["{GATEWAY}"]\n'
READY_SECONDS = 60


class Python:
    """A Python that runs Keten as any user: the tests' own, or the system's with the tests' packages."""

    def __init__(self) -> None:
        source = Path(keten.__file__).parents[1]
        self.environment = {
            "PATH": os.defpath,
            "HOME": "/nonexistent",
            "PYTHONPATH": f"{source}{os.pathsep}{sysconfig.get_path('purelib')}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        for program in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
            self.program = program
            if Path(program).exists() and self._works():
                return
        pytest.skip("no Python of this version can be run by other users here")

    def _works(self) -> bool:
        try:
            return self.run(GATEWAY, "-c", "import keten.gateway.main, keten.keeper.main").returncode == 0
        except PermissionError:
            return False

    def run(self, user: int, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """Run it as a user who is in no group but its own, from a shell that keeps everything private."""
        return subprocess.run(
            [self.program, "-P", *words],
            **self._as(user),
            input=said,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, user: int, *words: str, log: Path) -> subprocess.Popen[str]:
        """Start it as a user."""
        with log.open("a", encoding="utf-8") as stream:
            return subprocess.Popen(
                [self.program, "-P", *words], **self._as(user), stdout=subprocess.PIPE, stderr=stream, text=True
            )

    def _as(self, user: int) -> dict[str, Any]:
        return {"user": user, "group": user, "extra_groups": [], "env": self.environment, "umask": 0o077, "cwd": "/"}


class Separate:
    """The instance. Use as a context manager."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can start processes as other users")
        self.python = Python()
        self.folder = Path(tempfile.mkdtemp(prefix="keten-users-"))
        self.folder.chmod(0o755)
        self.home = self.folder / "instance"
        self.paths = Paths(self.home)
        self.printer_key, self.carrier_key = Key(self.folder / "printer"), Key(self.folder / "carrier")
        self.voters = b"bsn,name\n" + b"".join(b"%09d,Kiezer %d\n" % (n, n) for n in range(20_000))
        self.care = b"Zorgdossier van niemand. " * 100_000
        self.processes: list[subprocess.Popen[str]] = []
        self.ready: dict[str, Any] = {}
        self.ids: dict[str, dict[str, str]] = {}

    def set_up(self) -> None:
        """Set up as the manual says.

        1. An empty folder of the keeper's user, and the instance made by that user.
        2. The gateway's folder belongs to the gateway's user.
        3. The store belongs to the keeper's user and to the gateway's group, which what is put inherits.
        4. The settings name the gateway's user.
        """
        self.home.mkdir(mode=0o755)
        os.chown(self.home, KEEPER, KEEPER)
        self.keten("init")  # 1
        for path in (self.paths.gateway, *self.paths.gateway.iterdir()):  # 2
            os.chown(path, GATEWAY, GATEWAY)
        os.chown(self.paths.store, KEEPER, GATEWAY)  # 3
        self.paths.store.chmod(0o2750)
        self.paths.settings.write_text(SETTINGS, encoding="utf-8")  # 4

    def start(self) -> None:
        """Keeper and gateway, each as its own user; then the register and its content."""
        self.start_keeper()
        self.start_gateway()
        (self.folder / "estate.yaml").write_text(estate(self.printer_key.line, self.carrier_key.line))
        self.ids = self.keten("apply", str(self.folder / "estate.yaml"))["ids"]
        for name, content, dataset in (("v.csv", self.voters, "voters"), ("c.txt", self.care, "clients-in-care")):
            (self.folder / name).write_bytes(content)
            self.keten("put", dataset, str(self.folder / name))
            (self.folder / name).unlink()

    def start_keeper(self) -> None:
        """The keeper alone."""
        self._process(KEEPER, "_keeper")

    def start_gateway(self) -> None:
        """A gateway; `ready` is its line."""
        self.ready = self._process(GATEWAY, "_gateway", "--gateway", "127.0.0.1:0", "--sftp", "127.0.0.1:0")

    def keten(self, *words: str) -> Any:
        """A command of the operator, who is the keeper's user."""
        done = self.python.run(KEEPER, "-m", "keten", *words, "--home", str(self.home), "--json")
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def entries(self, *words: str) -> list[dict[str, Any]]:
        """Entries of the ledger."""
        done = self.python.run(KEEPER, "-m", "keten", "ledger", "show", *words, "--home", str(self.home), "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def _process(self, user: int, *words: str) -> dict[str, Any]:
        log = self.folder / f"{words[0]}.log"
        process = self.python.start(user, "-m", "keten", *words, "--home", str(self.home), log=log)
        self.processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        said: dict[str, Any] = json.loads(line)
        assert said.get("ready") is not False, said
        return said

    @property
    def keeper_pid(self) -> int:
        """The keeper's process id."""
        return self.processes[0].pid

    def system(self, name: str) -> SupplierSystem:
        """A supplier's system, signed in."""
        key = {PRINTER: self.printer_key, CARRIER: self.carrier_key}[name]
        system = SupplierSystem(self.ready["gateway"], self.paths.ca, self.ids["client"][name], key.private)
        assert system.sign_in().status == 200
        return system

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + READY_SECONDS
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)
