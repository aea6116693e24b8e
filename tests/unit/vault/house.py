"""A database with a ledger and a store, and the one writer's way of working: all of a transaction or nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, event

from keten.core.db import metadata, reading_engine, writing_engine
from keten.core.errors import KetenError
from keten.core.storage import LocalStore
from keten.ledger.model import Payload
from keten.ledger.notes import Signer
from keten.ledger.sealing import EntryIds, Sealer
from keten.ledger.tables import entries
from keten.ledger.writing import Writing, store_head
from keten.vault import service as vault
from keten.vault.frames import FrameReader, encrypt, new_header
from keten.vault.keys import Keys
from keten.vault.model import Object, Ready, Stored
from keten.vault.rules import digest_text
from tests.cluster import place_in

ORIGIN = "ledger.example/keten"
NOW = 1_795_334_400_000_000  # 22 November 2026
DAY = 86_400_000_000


class Set(msgspec.Struct, frozen=True):
    """A dataset, as far as the vault looks at it."""

    id: str
    retention_days: int = 0


class Framing(msgspec.Struct, frozen=True):
    """What the keeper tells a reader of a blob."""

    size: int
    frame_size: int
    header: bytes


class House:
    """Everything the vault needs, on disk below one folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keten.db"
        place = place_in(folder)
        self.engine = writing_engine(place)
        self.reader = reading_engine(place)

        @event.listens_for(self.engine, "connect")
        def _connect(raw: object, _record: object) -> None:
            if isinstance(raw, sqlite3.Connection):
                raw.execute("PRAGMA synchronous=OFF")  # tests do not cut the power

        metadata.create_all(self.engine)
        signer = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
        self._sealer = Sealer(signer, ORIGIN, EntryIds(b"\x08" * 32, ORIGIN))
        self._head = self._sealer.empty()
        with self.engine.begin() as connection:
            store_head(connection, self._head)
        self.keys = Keys(b"\x09" * 32)
        self.store = LocalStore(folder / "store")
        self.now = NOW
        self.changed = False

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """One transaction: sealed and committed, or rolled back when anything is raised."""
        with self.engine.connect() as connection:
            transaction = connection.begin()
            try:
                made = Writing(connection, self._sealer, self._head, self.now)
                yield made
                batch = made.seal()
                transaction.commit()
            except BaseException:
                transaction.rollback()
                raise
            self.changed = made.changed
            if batch is not None:
                self._head = batch.head

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only look at what is durable."""
        with self.reader.connect() as connection:
            yield connection

    def begin(self, dataset: Set, name: str, content: bytes, *, replace: bool = False) -> Ready:
        """Begin a put, in a transaction of its own."""
        with self.writing() as writing:
            return vault.begin_put(
                writing,
                self.keys,
                dataset,
                name=name,
                media_type="text/csv",
                digest=digest_of(content),
                size=len(content),
                replace=replace,
                actor="operator:test",
            )

    def seal(self, ready: Ready, content: bytes) -> None:
        """Write the ciphertext."""
        self.store.put(ready.storage, encrypt([content], ready.key, new_header(ready.object)))

    def commit(self, ready: Ready, content: bytes, records: int = 3) -> Stored:
        """Commit a put and delete what it took the place of, as the keeper does."""
        with self.writing() as writing:
            stored = vault.commit_put(
                writing,
                self.keys,
                object_id=ready.object,
                size=len(content),
                digest=digest_of(content),
                records=records,
                actor="operator:test",
            )
        for key in stored.removed:
            assert self.store.delete(key)
        return stored

    def put(self, dataset: Set, name: str, content: bytes, *, replace: bool = False) -> Object:
        """The whole of a put."""
        ready = self.begin(dataset, name, content, replace=replace)
        assert not ready.unchanged
        self.seal(ready, content)
        return self.commit(ready, content).object

    def open(self, found: Object) -> bytes:
        """Content, as a gateway reads it with the key of one access."""
        with self.reading() as connection:
            key = vault.content_key(connection, self.keys, found)
        blob = self.store.open(found.storage)
        framing = Framing(found.size, vault.FRAME_SIZE, vault.header_of(found))
        return b"".join(FrameReader(blob, key, framing).read())

    def recorded(self) -> list[Payload]:
        """Every entry's payload, oldest first."""
        with self.reading() as connection:
            rows = connection.execute(entries.select().order_by(entries.c.idx)).mappings()
            return [msgspec.json.decode(row["payload"], type=Payload) for row in rows]

    def kinds(self) -> list[str]:
        """The kinds of what was recorded, oldest first."""
        return [payload.kind for payload in self.recorded()]


def digest_of(content: bytes) -> str:
    """SHA-256 in the form of RFC 9530."""
    return digest_text(hashlib.sha256(content).digest())


def code_of(expected: type[KetenError], does: Callable[[], object]) -> str:
    """The code of the error that something must end in."""
    with pytest.raises(expected) as caught:
        does()
    return caught.value.code


def tamper(house: House, *statements: object) -> None:
    """What somebody does who can write to the database file."""
    with house.engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]  # any statement
