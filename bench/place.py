"""A running instance to measure: one organisation, suppliers with many clients, real processes on real sockets."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bench import machine
from keten.core.db import reading_engine
from keten.core.settings import Settings, load_settings
from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Throwaway
from keten.ledger.cursors import load_cursor
from keten.ledger.reading import size
from keten.watch.alerts import CURSOR

SETTINGS = """\
[geo]
networks = {"127.0.0.0/8" = "NL"}

[limits]
parallel_per_client = 10000
connections = 10000
"""


class Place:
    """An instance with `clients` clients of one supplier, which may have all of dataset "content". Context manager.

    `before`: what to do with the new instance before it is started. `database`: the URL of one on a server.
    """

    def __init__(
        self,
        clients: int = 1,
        *,
        before: Callable[[Place], None] | None = None,
        settings: str = "",
        database: str = "",
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="keten-bench-", dir=os.environ.get("KETEN_BENCH_DIR"))
        self.folder = Path(self._folder.name)
        self.keys = [Ed25519PrivateKey.generate() for _ in range(clients)]
        self.keten = Throwaway(self.folder, settings=SETTINGS + settings, database=database)
        self._before = before

    def estate(self, *, ends: str = "2099-12-31", grants: int = 1) -> str:
        """The estate file. `grants`: so many, of as many datasets under as many contracts."""
        clients = ", ".join(f'{{id: client-{number}, keys: ["{line(key)}"]}}' for number, key in enumerate(self.keys))
        contracts = "\n".join(
            f"  - {{id: contract-{n}, supplier: supplier, starts: 2020-01-01, ends: {ends}, purposes: [purpose]}}"
            for n in range(grants)
        )
        datasets = "\n".join(
            f"  - {{id: {self.dataset(n)}, owner: owner, classification: confidential, retention_days: 90}}"
            for n in range(grants)
        )
        granted = "\n".join(
            f"  - {{id: grant-{n}, dataset: {self.dataset(n)}, contract: contract-{n}, purpose: purpose, form: file}}"
            for n in range(grants)
        )
        return f"""\
organisation: {{name: Bench, country: NL, timezone: Europe/Amsterdam}}
people:
  - {{id: owner, email: owner@bench.example, roles: [privacy-officer]}}
suppliers:
  - id: supplier
    name: Supplier
    country: NL
    tier: low
    clients: [{clients}]
contracts:
{contracts}
datasets:
{datasets}
grants:
{granted}
"""

    @staticmethod
    def dataset(number: int = 0) -> str:
        """A dataset's name in the estate."""
        return f"content-{number}"

    def start(self, **estate: Any) -> None:
        """Start and declare everything."""
        if self._before is not None:
            self._before(self)
        self.keten.up()
        self.keten.apply(self.estate(**estate))

    def put(self, size: int, name: str = "object.bin", dataset: int = 0) -> str:
        """Put random content; its random id."""
        path = self.folder / name
        with path.open("wb") as file:
            for at in range(0, size, 1 << 20):
                file.write(os.urandom(min(1 << 20, size - at)))
        found: str = self.keten.run("put", self.dataset(dataset), str(path))["objects"][0]["object"]
        return found

    @property
    def settings(self) -> Settings:
        """The instance's settings."""
        return load_settings(self.keten.home, {})

    def client(self, number: int) -> str:
        """The random id of a client."""
        return self.keten.ids["client"][f"client-{number}"]

    def system(self, number: int = 0) -> SupplierSystem:
        """A client's system, signed in."""
        made = SupplierSystem(self.keten.ready["gateway"], self.keten.paths.ca, self.client(number), self.keys[number])
        answer = made.sign_in()
        if answer.status != 200:
            raise RuntimeError(f"not signed in: {answer.status} {answer.body!r}")
        return made

    def size(self) -> int:
        """How many entries the ledger has."""
        engine = reading_engine(self.keten.place)
        with engine.connect() as connection:
            found = size(connection)
        engine.dispose()
        return found

    def watched(self, within_seconds: float = 7200.0) -> None:
        """Wait until the watch has looked at everything that was recorded up to now: a history that was made up for a
        measurement would be read beside it. Raises `TimeoutError`.
        """
        upto, deadline = self.size(), time.monotonic() + within_seconds
        engine = reading_engine(self.keten.place)
        try:
            while True:
                with engine.connect() as connection:
                    if load_cursor(connection, CURSOR) >= upto:
                        return
                if time.monotonic() > deadline:
                    raise TimeoutError("the watch does not catch up")
                time.sleep(1.0)
        finally:
            engine.dispose()

    def cpu_seconds(self, *names: str) -> list[float]:
        """Processor time that these of its processes have used so far."""
        return [sum(map(machine.cpu_seconds, machine.children(self.keten.pid(name)))) for name in names]

    def key_file(self, number: int = 0) -> Path:
        """A client's key as a file for OpenSSH."""
        path = self.folder / f"key-{number}"
        path.touch(mode=0o600)
        path.write_bytes(self.keys[number].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        return path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.keten.down()
        finally:
            self._folder.cleanup()


def line(key: Ed25519PrivateKey) -> str:
    """A public key as OpenSSH writes it."""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
