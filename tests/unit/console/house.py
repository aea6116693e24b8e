"""An instance as the console sees it: a register, content, accesses in the ledger, and the published tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.console.history import History
from keten.console.model import Overview, Share
from keten.console.overview import Reader
from keten.console.proof import Looking
from keten.core.settings import Settings
from keten.datasets.model import Dataset
from keten.exchange import entries as exchange
from keten.identity import signin_entries
from keten.keeper import entries as keeper
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from keten.ledger.notes import Signer, Verifier
from keten.ledger.publishing import Publishing
from keten.ledger.writing import Writing, store_head
from keten.vault import service as vault
from keten.vault.rules import digest_text
from tests.unit.suppliers.instances import ESTATE, ORIGIN, Instance

DAY = 86_400_000_000
GEO = {"127.0.0.0/8": "NL"}
SUPPLIER, CLIENT, DATASET, CONTRACT = "drukwerk", "drukwerk-batch", "voters", "vwo-2026-014"
GRANT = "voters-for-drukwerk"
NETWORK = "lciljawbvnqrwefn"
"""The pseudonym of a network, as every access names one."""


class House(Instance):
    """Below one folder: `db`, `ledger` and `run`, as an instance has them."""

    def __init__(self, folder: Path, *, started: bool = True) -> None:
        self.settings = Settings(home=str(folder), geo=Settings().geo.__class__(networks=GEO))
        self.home = self.settings.paths
        for one in (self.home.database_folder, self.home.ledger, self.home.run):
            one.mkdir(parents=True)
        super().__init__(self.home.database_folder)
        self.signer = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
        with self.engine.begin() as connection:
            store_head(connection, self.head)
        (self.home.ledger / "key.pub").write_text(self.signer.verifier_key() + "\n")
        self.history = History(self.reader)
        self.looking = Looking(Settings(home=str(self.home.home)), self.history)
        self._reading: Reader | None = None
        if started:
            self.record(keeper.KEEPER_STARTED, "keeper", {}, {"key_kind": "passphrase", "version": "0", "open": 0})

    # ---- what happens ----------------------------------------------------------------------------------------

    def declare(self, estate: str = ESTATE) -> None:
        """Apply an estate."""
        self.apply(estate)

    def id(self, kind: str, name: str) -> str:
        """The random id of a row by its name."""
        with self.register() as register:
            found = register.named(kind, name)
        assert found is not None, name
        return found.id

    def put(self, name: str = "voters.csv", records: int = 100, size: int = 5000, dataset: str = DATASET) -> str:
        """Content into a dataset; its id. Nothing is written to the store: the console never looks there."""
        digest = digest_text(bytes([len(name)]) * 32)
        with self.register() as register:
            row = register.named("dataset", dataset)
        assert isinstance(row, Dataset)

        def run(writing: Writing) -> str:
            ready = vault.begin_put(
                writing,
                self.keys,
                row,
                name=name,
                media_type="text/csv",
                digest=digest,
                size=size,
                replace=False,
                actor="operator:tester",
            )
            stored = vault.commit_put(
                writing,
                self.keys,
                object_id=ready.object,
                size=size,
                digest=digest,
                records=records,
                actor="operator:tester",
            )
            return stored.object.id

        return self.write(run)

    def record(self, kind: Kind, actor: str, refs: dict[str, str], details: dict[str, Any], subject: str = "") -> int:
        """An entry of any kind; its index."""
        draft = Draft(kind, actor, (subject,) if subject else (), refs, details)
        return self.write(lambda writing: writing.record(draft))

    def refs(self, file: str, grant: str = GRANT) -> dict[str, str]:
        """What an access to a file concerns."""
        return {
            "object": file,
            "dataset": self.id("dataset", DATASET),
            "grant": self.id("grant", grant),
            "contract": self.id("contract", CONTRACT),
            "supplier": self.id("supplier", SUPPLIER),
        }

    def opened(self, file: str, length: int = 5000, grant: str = GRANT) -> int:
        """A client opened a file."""
        client = self.id("client", CLIENT)
        details = {"outcome": "allow", "start": 0, "length": length, "charged": 1, "channel": "https"}
        details |= {"network": NETWORK}
        return self.record(exchange.OBJECT_OPENED, client, self.refs(file, grant), details, client)

    def delivered(self, file: str, opened_at: int, end: str = "complete", grant: str = GRANT, **how: Any) -> int:
        """How that ended."""
        client = self.id("client", CLIENT)
        details = {"opening": "x", "opened_at": opened_at, "end": end} | how
        return self.record(exchange.OBJECT_DELIVERED, client, self.refs(file, grant), details, client)

    def fetched(self, file: str, sent: int = 5000, grant: str = GRANT) -> None:
        """A client opened a file and got all of it."""
        self.delivered(file, self.opened(file, sent, grant), bytes=sent, grant=grant)

    def refused(self, *reasons: str, count: int = 1, refs: dict[str, str] | None = None) -> int:
        """A client was refused."""
        client = self.id("client", CLIENT)
        details = {"outcome": "deny", "reasons": list(reasons), "count": count, "network": NETWORK}
        return self.record(exchange.OBJECT_REFUSED, client, refs or {}, details, client)

    def sign_in_refused(self, *, proven: bool) -> int:
        """A sign-in in a client's name was refused."""
        draft = signin_entries.client_refused(
            self.id("client", CLIENT), "private_key_jwt", ("key-unknown",), "2026-01-01T00:00:00Z", proven=proven
        )
        return self.write(lambda writing: writing.record(draft))

    def strangers(self, count: int) -> int:
        """Strangers were refused."""
        draft = signin_entries.strangers_refused("203.0.113.0/24", "2026-01-01T00:00:00Z", count)
        return self.write(lambda writing: writing.record(draft))

    def publish(self) -> None:
        """Bring the public tree up to date, as the keeper does."""
        Publishing(self.home.ledger, Verifier.parse(self.signer.verifier_key()), self.reader).catch_up()

    # ---- what the console sees -------------------------------------------------------------------------------

    def overview(self) -> Overview:
        """One reading."""
        if self._reading is None:
            self._reading = Reader(self.settings, self.reader, self.history, self.looking)
        return self._reading.read()

    def share(self) -> Share:
        """The one line there is."""
        (only,) = self.overview().shares
        return only

    def codes(self) -> set[str]:
        """The codes of what needs attention."""
        return {one.code for one in self.overview().concerns}
