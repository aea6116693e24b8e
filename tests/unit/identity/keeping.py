"""A keeper as small as sign-in needs it: clients in memory, a real database and a real ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, select

from keten.core.db import metadata, writing_engine
from keten.core.settings import Limits
from keten.identity.errors import Refused
from keten.identity.model import Client
from keten.identity.nonces import REQUIRED_US
from keten.identity.service import SignedIn, SignIn
from keten.ledger.model import Payload
from keten.ledger.notes import Signer
from keten.ledger.sealing import EntryIds, Head, Sealer
from keten.ledger.tables import entries
from keten.ledger.writing import Writing
from tests.cluster import place_in
from tests.unit.identity.signing import ISSUER, NOW, ClientKey, client_of, token_request

ORIGIN = "ledger.example/keten"
ROOT = b"r" * 32
LONG_AGO = NOW - 2 * REQUIRED_US


class Keeper:
    """A register of clients in memory, a real database and ledger, and sign-in between them."""

    def __init__(self, path: Path) -> None:
        self.engine: Engine = writing_engine(place_in(path))
        metadata.create_all(self.engine)
        self.sealer = Sealer(
            Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)), ORIGIN, EntryIds(b"k" * 32, ORIGIN)
        )
        self.head: Head = self.sealer.empty()
        self.clients: dict[str, Client] = {}
        self.sign_in = self.start(LONG_AGO)

    def start(self, started_us: int, limits: Limits | None = None) -> SignIn:
        """A keeper's process starts: nothing is left but the database and the root key."""
        self.sign_in = SignIn(ROOT, self.clients.get, limits or Limits(), started_us, frozenset({ISSUER}))
        return self.sign_in

    def register(self, *keys: ClientKey) -> Client:
        client = client_of(*keys)
        self.clients[client.id] = client
        return client

    def change(self, client: Client, **changed: object) -> Client:
        self.clients[client.id] = msgspec.structs.replace(client, **changed)
        return self.clients[client.id]

    def record(self, signed_in: SignedIn, now_us: int = NOW, address: str = "") -> Payload:
        """One commit; the payload of the entry it made."""
        with self.engine.begin() as connection:
            writing = Writing(connection, self.sealer, self.head, now_us)
            index = self.sign_in.record(writing, signed_in, address)
            batch = writing.seal()
            assert batch is not None
        self.head = batch.head
        with self.engine.connect() as connection:
            raw = connection.execute(select(entries.c.payload).where(entries.c.idx == index)).scalar_one()
        return msgspec.json.decode(raw, type=Payload)

    def token(self, client: Client, key: ClientKey, dpop_key: ClientKey) -> str:
        signed_in = self.sign_in.check_assertion(token_request(key, client.id, dpop_key), client, NOW)
        self.record(signed_in)
        return self.sign_in.issue(signed_in, NOW).access_token


def refusal(call: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value
