"""Running Keten's commands for the demo, as the operator and as suppliers, each a process of its own."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from keten.cli.demo.folder import Folder
from keten.cli.output import say
from keten.core.errors import Unavailable

READY_SECONDS = 60.0
STOP_SECONDS = 40.0
PORTS = {"gateway": 8443, "sftp": 2222, "console": 8080, "portal": 8444}
HOST = "127.0.0.1"
_MOST_READY = 64 * 1024


class Stage:
    """The demo's instance, and the commands that are run on it."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.ready: dict[str, Any] = {}
        self._up: subprocess.Popen[bytes] | None = None

    def operator(self, *words: str, expect: int = 0) -> Any:
        """Run `keten WORDS --home … --json`; its result. Raises `Unavailable` ("demo-step") when it fails."""
        return self._run([*words, "--home", str(self.folder.instance)], [], expect)

    def supplier(self, name: str, *words: str, expect: int = 0) -> Any:
        """Run `keten WORDS --json` as a supplier, on what stands for its own machine."""
        return self._run([*words], [f"XDG_CONFIG_HOME={self.folder.login(name) / 'config'}"], expect)

    def _run(self, words: list[str], variables: list[str], expect: int) -> Any:
        # env(1) sets the variables, so that the rest of the environment passes through unread.
        line = ["env", "-u", "KETEN_HOME", *variables, sys.executable, "-P", "-m", "keten", *words, "--json"]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, check=False, process_group=0)
        if done.returncode != expect:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
            raise Unavailable("demo-step", f"'keten {' '.join(words)}' ended with {done.returncode}.", said)
        return json.loads(done.stdout) if done.stdout.strip() else None

    # ---- the processes ---------------------------------------------------------------------------------------

    def start(self, *, anywhere: bool = False) -> None:
        """Start `keten up` on the usual ports where they are free, or anywhere; `wait` waits until it is ready."""
        binds = [word for name in PORTS for word in (f"--{name}", f"{HOST}:{0 if anywhere else _port(name)}")]
        words = ["up", "--json", "--home", str(self.folder.instance), *binds]
        with self.folder.log.open("ab") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-P", "-m", "keten", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                process_group=0,  # Ctrl-C reaches the demo, which then stops this in order
            )
        self.folder.note_up(self._up.pid)

    def wait(self) -> dict[str, Any]:
        """The ready line of `keten up`. A port that was taken meanwhile is not waited for: others are picked.

        Raises `Unavailable` ("demo-not-ready").
        """
        self.ready = self._said()
        if self.ready.get("code") == "cannot-listen":
            say("A port was taken meanwhile; free ones are taken.")
            self.stop()
            self.start(anywhere=True)
            self.ready = self._said()
        if not self.ready.get("ready"):
            raise Unavailable("demo-not-ready", "The instance did not start.", str(self.ready.get("error", "")))
        return self.ready

    def _said(self) -> dict[str, Any]:
        """The one line that `keten up` says."""
        if self._up is None or self._up.stdout is None:
            raise Unavailable("demo-not-ready", "The instance was not started.")
        deadline = time.monotonic() + READY_SECONDS
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._up.stdout, selectors.EVENT_READ)
            while b"\n" not in said and len(said) < _MOST_READY:
                left = deadline - time.monotonic()
                part = os.read(self._up.stdout.fileno(), 65536) if left > 0 and selector.select(left) else b""
                if not part:
                    raise Unavailable("demo-not-ready", "The instance did not become ready.", self._last_words())
                said += part
        found = json.loads(said.partition(b"\n")[0])
        return found if isinstance(found, dict) else {}

    def stay(self) -> None:
        """Return when `keten up` ends by itself. Raises `Unavailable` ("demo-ended") when it failed."""
        if self._up is not None and self._up.wait() != 0:
            raise Unavailable("demo-ended", "The instance stopped.", self._last_words())

    def stop(self) -> None:
        """Stop everything in good order."""
        up, self._up = self._up, None
        if up is None:
            return
        if up.poll() is None:
            up.send_signal(signal.SIGTERM)
        try:
            up.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            say("The instance did not stop in time; it is killed.")
            up.kill()
            up.wait()
        finally:
            if up.stdout is not None:
                up.stdout.close()

    def _last_words(self) -> str:
        try:
            return self.folder.log.read_text(encoding="utf-8", errors="replace")[-2000:].strip()
        except OSError:
            return ""


def _port(name: str) -> int:
    """The usual port of a listener, or 0 (pick one) where that is taken, which is said."""
    usual = PORTS[name]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, usual))
        except OSError as error:
            say(f"Port {usual} cannot be had ({error.strerror}); a free one is taken for the {name}.")
            return 0
    return usual


def supplier_key(path: Path) -> str:
    """Make a supplier's OpenSSH Ed25519 key in this file; returns the public key line."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
