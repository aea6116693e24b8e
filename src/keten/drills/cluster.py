"""A PostgreSQL server of a drill's own: in a temporary folder, on a Unix socket, with fsync on; gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from keten.core.db import administrators_sql
from keten.core.errors import Unavailable

DEBIAN = Path("/usr/lib/postgresql")
OWNER = "postgres"


def programs() -> Path | None:
    """The folder of initdb and pg_ctl: of Debian's newest version, or what is in the PATH; None when there is none."""
    found = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])) if DEBIAN.exists() else []
    inside = shutil.which("initdb")
    return found[-1].parent if found else Path(inside).parent if inside else None


def _as_server() -> list[str]:
    """The server runs as nobody who owns anything: root may not run it."""
    if os.geteuid() != 0:
        return []
    user = OWNER if OWNER in {one.pw_name for one in pwd.getpwall()} else "nobody"
    return ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]


class Cluster:
    """A server. Raises `Unavailable` ("not-installed") where there is none to start, or no driver for it.

    settings: of postgresql.conf, as NAME=VALUE. port: of 127.0.0.1 that it listens on as well; 0 for none.
    """

    def __init__(self, *settings: str, port: int = 0) -> None:
        found = programs()
        if found is None:
            raise Unavailable("not-installed", "PostgreSQL is not installed: initdb and pg_ctl are not found.")
        administrators_sql()  # the driver is there
        self._programs = found
        self.port = port
        self.folder = Path(tempfile.mkdtemp(prefix="kpg-"))
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_as_server()[1].removeprefix("--reuid="))
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.settings = settings
        try:
            self.run(*("initdb", "-D", str(self.data), "-A", "trust", "-U", OWNER, "-E", "UTF8", "--locale=C", "-N"))
            self.start()
        except BaseException:
            self.close()
            raise

    def run(self, program: str, *words: str, said: str = "") -> str:
        """Run one of the server's programs as the server's user; what it printed. Raises `Unavailable`."""
        line = [*_as_server(), str(self._programs / program), *words]
        out, together = subprocess.PIPE, subprocess.STDOUT
        done = subprocess.run(line, cwd="/", stdout=out, stderr=together, text=True, check=False, input=said or None)
        if done.returncode != 0:
            raise Unavailable("database-server", f"{program} of PostgreSQL failed.", done.stdout)
        return done.stdout

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"-k {self.folder}", "-c fsync=on", "-c max_connections=100"]
        options += ["-c listen_addresses=127.0.0.1", f"-p {self.port}"] if self.port else ["-c listen_addresses="]
        options += [f"-c {setting}" for setting in self.settings]
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.data), "-l", log, "-w", "-t", "60", "-o", " ".join(options), "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: "fast" (sessions are ended) or "immediate" (as a crash; the next start recovers)."""
        self.run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def close(self) -> None:
        """Stop it and remove its folder."""
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def made(self) -> str:
        """The URL of the empty database that an administrator makes with what `keten init --print-sql` prints."""
        self.run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", OWNER, *self._address(), said=administrators_sql())
        return self.url("keten")

    def _address(self) -> tuple[str, ...]:
        return ("-h", str(self.folder), *(("-p", str(self.port)) if self.port else ()))

    def url(self, name: str, user: str = "keten_keeper") -> str:
        """A database as a user sees it."""
        port = f"&port={self.port}" if self.port else ""
        return f"postgresql://{user}@/{name}?host={self.folder}{port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
