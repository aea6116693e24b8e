"""A register in a database of its own, changed as the keeper does: one transaction, its entries and a signed head."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine, func, select, text

from keten.core.db import metadata, reading_engine, writing_engine
from keten.ledger.notes import Signer
from keten.ledger.sealing import EntryIds, Sealer
from keten.ledger.tables import entries
from keten.ledger.writing import Writing
from keten.suppliers import service
from keten.suppliers.estate import Estate
from keten.suppliers.plan import Plan
from keten.suppliers.reading import parse
from keten.suppliers.register import Register
from keten.suppliers.service import AppliedEstate, Ending
from keten.vault.keys import Keys
from keten.vault.personal import Seals
from tests.cluster import place_in

T = TypeVar("T")
ORIGIN = "ledger.example/keten"
START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
ACTOR = "operator:tester"


def key_line(seed: str) -> str:
    """The public key line of the Ed25519 key made from this word."""
    private = Ed25519PrivateKey.from_private_bytes(sha256(seed.encode()).digest())
    return private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


class Instance:
    """A database with the register's tables, and the only writer's view of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keten.db"
        place = place_in(folder)
        self.engine: Engine = writing_engine(place)
        metadata.create_all(self.engine)
        self.reader: Engine = reading_engine(place)
        self.keys = Keys(b"\x05" * 32)
        signer = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
        self.sealer = Sealer(signer, ORIGIN, EntryIds(b"\x03" * 16, ORIGIN))
        self.head = self.sealer.empty()
        self.now_us = START_US

    def write(self, job: Callable[[Writing], T]) -> T:
        """Run a job in a transaction and seal it."""
        self.now_us += 1_000_000
        with self.engine.begin() as connection:
            writing = Writing(connection, self.sealer, self.head, self.now_us)
            value = job(writing)
            batch = writing.seal()
        if batch is not None:
            self.head = batch.head
        return value

    def apply(self, estate: Estate | str, actor: str = ACTOR) -> AppliedEstate:
        """Apply an estate or the text of an estate file."""
        ready = parse(estate.encode(), "estate.yaml") if isinstance(estate, str) else estate
        return self.write(lambda writing: service.apply(writing, ready, actor, Seals.of(self.keys, writing)))

    def plan(self, estate: Estate | str) -> Plan:
        """What applying would do."""
        ready = parse(estate.encode(), "estate.yaml") if isinstance(estate, str) else estate
        with self.reader.connect() as connection:
            return service.plan(connection, ready, Seals(self.keys, connection), self.now_us)

    def end(self, kind: str, row_id: str, reason: str = "stolen key") -> Ending:
        """End one row."""
        return self.write(lambda writing: service.end(writing, kind, row_id, reason, ACTOR))

    def register(self, rows_kept: int = 1000) -> Register:
        """A fresh register over what is committed."""
        return Register(self.reader, rows_kept)

    def size(self) -> int:
        """How many entries the ledger holds."""
        with self.reader.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(entries)).scalar_one())

    def kinds(self, first: int = 0) -> list[str]:
        """The kinds of the entries from `first` on."""
        with self.reader.connect() as connection:
            found = connection.execute(select(entries.c.kind).where(entries.c.idx >= first).order_by(entries.c.idx))
            return list(found.scalars())

    def payloads(self) -> list[bytes]:
        """Every payload, in order."""
        with self.reader.connect() as connection:
            return list(connection.execute(select(entries.c.payload).order_by(entries.c.idx)).scalars())

    def tamper(self, statement: str, **values: Any) -> int:
        """What someone does behind the keeper's back, said as SQLite has it; how many rows it touched."""
        if self.engine.dialect.paramstyle != "qmark":
            for said, meant in _ON_A_SERVER:
                statement = said.sub(meant, statement)
        with self.engine.begin() as connection:
            return connection.execute(text(statement), values).rowcount


_ON_A_SERVER = (
    (
        re.compile(r"CAST\(replace\((\w+), (.+?), (.+?)\) AS BLOB\)"),
        r"convert_to(replace(convert_from(\1, 'UTF8'), \2, \3), 'UTF8')",
    ),
    (re.compile(r"x'([0-9a-f]*)'"), r"decode('\1', 'hex')"),
    (re.compile(r"zeroblob\((\d+)\)"), r"decode(repeat('00', \1), 'hex')"),
)


ESTATE = f"""\
organisation: {{name: Gemeente Voorbeeld, country: NL, timezone: Europe/Amsterdam}}
people:
  - {{id: dpo, email: dpo@gemeente.example, roles: [privacy-officer]}}
suppliers:
  - id: drukwerk
    name: Drukwerk BV
    country: NL
    tier: high
    people:  [{{id: drukwerk-ops, email: ops@drukwerk.example}}]
    clients: [{{id: drukwerk-batch, keys: ["{key_line("batch")}"]}}]
  - id: vervoer
    name: Zorgvervoer Zuid
    country: BE
    tier: low
    clients: [{{id: vervoer-app, keys: ["{key_line("vervoer")}"]}}]
contracts:
  - id: vwo-2026-014
    supplier: drukwerk
    starts: 2026-01-01
    ends: 2026-12-31
    purposes: [election-cards]
    countries: [NL, BE]
    notify_within_hours: 24
datasets:
  - {{id: voters, owner: dpo, classification: confidential, retention_days: 90}}
grants:
  - id: voters-for-drukwerk
    dataset: voters
    contract: vwo-2026-014
    purpose: election-cards
    form: file
    to: [drukwerk-batch]
    budget: {{records: 250000, per: day}}
"""


def line_of(part: str, estate: str = ESTATE) -> int:
    """The line of the first place that holds `part`."""
    return estate[: estate.index(part)].count("\n") + 1


def digest_line(raw: bytes) -> str:
    """A public key line around 32 raw bytes."""
    blob = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + raw
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def told(changes: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """What changes, of which kind, under which name."""
    return {(one["change"], one["kind"], one["name"]) for one in changes}
