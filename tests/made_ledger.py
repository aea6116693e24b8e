"""A real ledger for tests: the real writing, sealing and publishing, on a small database of its own."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine, select

from keten.core.clock import SECOND
from keten.core.db import metadata, reading_engine, writing_engine
from keten.core.ids import encode_id
from keten.identity.model import Client, Person
from keten.identity.tables import clients, people
from keten.ledger import postings
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft, Sealed
from keten.ledger.notes import Signer, Verifier
from keten.ledger.publish import Publisher
from keten.ledger.sealing import Batch, EntryIds, Head, Sealer
from keten.ledger.tables import entries
from keten.ledger.writing import Writing, load_head
from tests.cluster import copy_in, place_in

START_US = 1_790_000_000 * SECOND
OPENED = Kind("exchange.object.opened", "opened", {})
DELIVERED = Kind("exchange.object.delivered", "delivered", {})
REFUSED = Kind("exchange.object.refused", "refused", {})
LISTED = Kind("exchange.shares.listed", "listed", {})
PUT = Kind("vault.object.put", "put", {})
CLIENT_DECLARED = Kind("identity.client.declared", "declared", {})
CLIENT_CHANGED = Kind("identity.client.changed", "changed", {})
PERSON_DECLARED = Kind("identity.person.declared", "declared", {})
STARTED = Kind("keeper.process.started", "started", {})


class MadeLedger:
    """A ledger below `home`: its database (a file, unless tests run on a server) and the public `home/ledger`."""

    def __init__(self, home: Path, seed: int = 1) -> None:
        self.home = home
        self.place = place_in(home)
        self.database = home / "keten.db"  # the file, where it is one
        self.folder = home / "ledger"
        self.random = random.Random(seed)
        self.signer = Signer("ledger.example/made", Ed25519PrivateKey.from_private_bytes(b"\x09" * 32))
        self.key = self.signer.verifier_key()
        self.verifier = Verifier.parse(self.key)
        self.sealer = Sealer(self.signer, self.signer.name, EntryIds(b"\x05" * 32, self.signer.name))
        self.engine = writing_engine(self.place)
        self.time_us = START_US
        self._clients: list[Client] = []
        self._reader: Engine | None = None

    @classmethod
    def create(cls, home: Path, seed: int = 1) -> MadeLedger:
        """A new ledger without entries."""
        home.mkdir(parents=True, exist_ok=True)
        made = cls(home, seed)
        with made.engine.begin() as connection:
            metadata.create_all(connection)
        made.folder.mkdir(exist_ok=True)
        (made.folder / "key.pub").write_text(made.key + "\n", encoding="utf-8")
        return made

    def copy_to(self, home: Path) -> MadeLedger:
        """The same ledger elsewhere, to be damaged there."""
        self.close()
        shutil.copytree(self.home, home)
        copy_in(home)
        return MadeLedger(home)

    def close(self) -> None:
        """Let go of the database file."""
        self.engine.dispose()
        if self._reader is not None:
            self._reader.dispose()

    def id(self) -> str:
        """A random id that is the same in every run."""
        return encode_id(self.random.randbytes(16))

    @property
    def reader(self) -> Engine:
        """A read-only engine."""
        if self._reader is None:
            self._reader = reading_engine(self.place)
        return self._reader

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only connection."""
        with self.reader.connect() as connection:
            yield connection

    def head(self) -> Head:
        """The newest head."""
        with self.engine.begin() as connection:
            return load_head(connection, self.verifier) or self.sealer.empty()

    @contextmanager
    def writing(self, step_us: int = SECOND) -> Iterator[Writing]:
        """One transaction of the only writer, `step_us` later than the last."""
        self.time_us += step_us
        with self.engine.begin() as connection:
            before = load_head(connection, self.verifier) or self.sealer.empty()
            writing = Writing(connection, self.sealer, before, self.time_us)
            yield writing
            self.batch = writing.seal()

    batch: Batch | None = None

    def record(self, *drafts: Draft, step_us: int = SECOND) -> Batch:
        """Record facts in one transaction."""
        with self.writing(step_us) as writing:
            for draft in drafts:
                writing.record(draft)
        assert self.batch is not None
        return self.batch

    def declare(self, name: str, supplier: str = "") -> Client:
        """Declare a client in the register."""
        client = Client(id=self.id(), name=name, supplier=supplier or self.id(), keys=(f"ssh-ed25519 {name}",))
        with self.writing() as writing:
            refs = {"client": client.id, "supplier": client.supplier}
            writing.write(clients, None, client, CLIENT_DECLARED, "operator:anna", refs=refs)
        self._clients.append(client)
        return client

    def change(self, client: Client, **fields: Any) -> Client:
        """Change a client."""
        values = {name: getattr(client, name) for name in client.__struct_fields__} | fields
        after = Client(**values)
        with self.writing() as writing:
            refs = {"client": client.id, "supplier": client.supplier}
            writing.write(clients, client, after, CLIENT_CHANGED, "operator:anna", refs=refs)
        return after

    def declare_person(self, name: str) -> Person:
        """Declare a person of the organisation."""
        person = Person(id=self.id(), name=name, supplier="", roles=("owner",), sealed="c2VhbGVk")
        with self.writing() as writing:
            writing.write(people, None, person, PERSON_DECLARED, "operator:anna", subjects=(person.id,))
        return person

    def access(self, client: Client, dataset: str, obj: str) -> tuple[Draft, Draft]:
        """The drafts of an opening and a delivery (of no certain opening)."""
        refs = {"object": obj, "dataset": dataset, "supplier": client.supplier}
        decided = {"outcome": "allow", "charged": 1, "attributes": {"country": "NL"}}
        opened = Draft(OPENED, client.id, (client.id,), refs, decided)
        details = {"opened_at": -1, "bytes": self.random.randrange(10**6), "end": "complete"}
        return opened, Draft(DELIVERED, client.id, (client.id,), refs, details)

    def open(self, client: Client, dataset: str, obj: str) -> Sealed:
        """Record the opening of an object."""
        return self.record(self.access(client, dataset, obj)[0]).sealed[0]

    def deliver(self, opened: Sealed, client: Client, dataset: str, obj: str, **details: Any) -> Sealed:
        """Record what was delivered of it."""
        refs = {"object": obj, "dataset": dataset, "supplier": client.supplier}
        said = {"opening": opened.id, "opened_at": opened.index, "bytes": 1000, "end": "complete"} | details
        said = {name: value for name, value in said.items() if value is not None}
        return self.record(Draft(DELIVERED, client.id, (client.id,), refs, said)).sealed[0]

    def post(self, upto: int | None = None) -> int:
        """Let the posting lists catch up."""
        total = self.head().size if upto is None else upto
        at = -1
        while True:
            with self.engine.begin() as connection:
                now = postings.extend(connection, total)
            if now == at:
                return now
            at = now

    def publish(self) -> None:
        """Publish everything."""
        newest = self.head()
        publisher = Publisher(self.folder, verifier=self.verifier)
        with self.engine.begin() as connection:
            leaves = list(connection.execute(select(entries.c.leaf).order_by(entries.c.idx)).scalars())
        publisher.advance(leaves, None, 0, newest.note, newest.size, newest.root)
        publisher.close()

    def fill(self, count: int, *, publish_at: Sequence[int] = ()) -> None:
        """About `count` entries of many kinds: declarations, changes, accesses, refusals."""
        some = [self.declare(f"client-{number}") for number in range(4)]
        for number in range(2):
            self.declare_person(f"person-{number}")
        some[0] = self.change(some[0], keys=("ssh-ed25519 new",))
        some[0] = self.change(some[0], keys=("ssh-ed25519 newer",))
        datasets = [self.id() for _ in range(3)]
        objects = [(self.id(), self.random.choice(datasets)) for _ in range(9)]
        marks = list(publish_at)
        while (size := self.head().size) < count:
            if marks and size >= marks[0]:
                marks.pop(0)
                self.publish()
            drafts: list[Draft] = []
            for _ in range(min(self.random.randint(1, 40), count - size)):
                obj, dataset = self.random.choice(objects)
                client = self.random.choice(some)
                drafts.append(self._draft(client, dataset, obj))
            self.record(*drafts, step_us=self.random.choice((0, 10, SECOND)))

    def _draft(self, client: Client, dataset: str, obj: str) -> Draft:
        kind = self.random.choice((OPENED, DELIVERED, REFUSED, LISTED))
        opened, delivered = self.access(client, dataset, obj)
        if kind is OPENED:
            return opened
        if kind is DELIVERED:
            return delivered
        if kind is LISTED:
            return Draft(LISTED, client.id, (client.id,), {"supplier": client.supplier}, {"outcome": "allow"})
        return Draft(REFUSED, client.id, (client.id,), opened.refs, {"outcome": "deny", "reasons": ["no-grant"]})
