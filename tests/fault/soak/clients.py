"""The clients of a soak beside those that fetch over HTTPS: over SFTP, slow ones, and ones that vanish."""

from __future__ import annotations

import random
import threading
from http.client import HTTPException
from typing import Any

import paramiko

from keten.drills.reader import Reader
from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Key

PART = 65_536
LOST_SECONDS = 10.0


class SftpFetcher(threading.Thread):
    """Opens sessions and reads parts of the one file that there is, until told to stop."""

    def __init__(self, address: str, client: str, key: Key, content: bytes, seed: int) -> None:
        super().__init__(daemon=True)
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._client = client
        self._key = paramiko.Ed25519Key.from_private_key_file(str(key.path))
        self._content = content
        self._random = random.Random(seed)
        self.stop = threading.Event()
        self.reads = 0
        self.failures = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        """Until `stop`; whatever fails is tried again in a new session."""
        while not self.stop.is_set():
            try:
                with paramiko.Transport(self._address) as transport:
                    transport.connect(username=self._client, pkey=self._key)
                    self._session(transport)
            except (OSError, EOFError, paramiko.SSHException, IndexError):
                self.failures += 1
                self.stop.wait(0.2)

    def _session(self, transport: paramiko.Transport) -> None:
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        share = client.listdir("/")[0]
        name = client.listdir(f"/{share}")[0]
        for _ in range(5):
            with client.open(f"/{share}/{name}") as file:
                for _part in range(4):
                    at = self._random.randrange(len(self._content) - PART)
                    file.seek(at)
                    self._compare(file.read(PART), at, transport)
            if self.stop.wait(self._random.uniform(0.05, 0.3)):
                return

    def _compare(self, got: bytes, at: int, transport: paramiko.Transport) -> None:
        """Raises `EOFError` for a read that a lost connection cut short: paramiko hands out what came until then."""
        wanted = self._content[at : at + PART]
        if len(got) < PART and wanted.startswith(got):
            transport.join(LOST_SECONDS)
            if not transport.is_active():
                raise EOFError
        if got != wanted:
            self.wrong.append(f"SFTP: {len(got)} bytes at {at} are not the {PART} that are there")
        self.reads += 1


class Vanisher(threading.Thread):
    """Begins downloads and goes away in the middle of each, without a word; or reads one very slowly."""

    def __init__(self, system: SupplierSystem, seed: int) -> None:
        super().__init__(daemon=True)
        self._system = system
        self._random = random.Random(seed)
        self.stop = threading.Event()
        self.entries: list[str] = []

    def run(self) -> None:
        """Until `stop`."""
        found: dict[str, Any] | None = None
        while not self.stop.is_set():
            try:
                if found is None:
                    self._system.sign_in()
                    found = self._system.shares()[0]["objects"][0]
                self._vanish(f"/v1/objects/{found['id']}")
            except (OSError, HTTPException, ValueError, KeyError, IndexError):
                found = None
            self.stop.wait(self._random.uniform(0.1, 1.0))

    def _vanish(self, path: str) -> None:
        if self._random.random() < 0.2:
            reader = Reader(self._system, path, bytes_per_second=200_000)
            reader.start()
            self.stop.wait(5)
            self.entries += reader.entries
            return
        with self._system.connect(receive_buffer=PART) as wire:
            response = self._system.send(wire, "GET", path, self._system.authorised("GET", path))
            if response.status == 200:
                self.entries.append(response.headers["Keten-Entry"])
                response.read(self._random.randrange(1, 300_000))
