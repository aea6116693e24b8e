"""Content in a vault, and accesses under budgets: what the rooms above the ledger keep beside it."""

from __future__ import annotations

from hashlib import sha256

import msgspec
from sqlalchemy import select

from keten.budgets.model import Charged, Limit
from keten.budgets.service import Budgets
from keten.core.ids import new_id
from keten.core.storage import LocalStore
from keten.ledger.model import Draft
from keten.vault import service as vault
from keten.vault.frames import FRAME_SIZE, HEADER_BYTES, FrameReader, encrypt, new_header
from keten.vault.keys import Keys
from keten.vault.model import Object
from keten.vault.rules import digest_text
from keten.vault.tables import objects
from tests.made_ledger import OPENED, MadeLedger

KEYS = b"\x0b" * 32
OBJECTS = 8
ACCESSES = 40


class Set(msgspec.Struct, frozen=True):
    """A dataset, as far as the vault looks at it."""

    id: str
    retention_days: int = 30


class Grant(msgspec.Struct, frozen=True):
    """A grant, as far as budgets look at it."""

    id: str
    budget_records: int = 1_000_000
    budget_per: str = "day"

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Its one limit."""
        return (Limit(self.budget_records, self.budget_per),)


def stock(made: MadeLedger) -> None:
    """Put objects, of which one is destroyed again, and open some of them under budgets."""
    keys, store, dataset = Keys(KEYS), LocalStore(made.home / "store"), Set(new_id())
    found = [_put(made, keys, store, dataset, number) for number in range(OBJECTS)]
    gone = found.pop()
    with made.writing() as writing:
        vault.destroy_object(writing, gone.id, "it was a mistake", "operator:anna")
    store.delete(gone.storage)
    budgets = Budgets()
    grants, clients = [Grant(new_id()) for _ in range(2)], [new_id() for _ in range(3)]
    for number in range(ACCESSES):
        grant, client, one = made.random.choice(grants), made.random.choice(clients), made.random.choice(found)
        with made.writing() as writing:
            charge = budgets.charge(writing, grant, client, one.id, number + 1, writing.time_us, "Europe/Amsterdam")
            assert isinstance(charge, Charged)
            refs = {"object": one.id, "dataset": dataset.id, "grant": grant.id}
            details = {"outcome": "allow", "charged": charge.new, "window_us": charge.window_start_us}
            writing.record(Draft(OPENED, client, (client,), refs, details))
        budgets.commit()


def _put(made: MadeLedger, keys: Keys, store: LocalStore, dataset: Set, number: int) -> Object:
    content = made.random.randbytes(1000 + 700 * number)
    digest = digest_text(sha256(content).digest())
    with made.writing() as writing:
        ready = vault.begin_put(
            writing,
            keys,
            dataset,
            name=f"file-{number}.bin",
            media_type="application/octet-stream",
            digest=digest,
            size=len(content),
            replace=False,
            actor="operator:anna",
        )
    store.put(ready.storage, encrypt([content], ready.key, new_header(ready.object)))
    with made.writing() as writing:
        return vault.commit_put(
            writing,
            keys,
            object_id=ready.object,
            size=len(content),
            digest=digest,
            records=1,
            actor="operator:anna",
        ).object


def opened_contents(made: MadeLedger) -> dict[str, bytes]:
    """The content of every object, as whoever opens it gets it. Raises `KetenError` where a key or frame is damaged."""
    keys, store = Keys(KEYS), LocalStore(made.home / "store")
    found: dict[str, bytes] = {}
    with made.reading() as connection:
        present = connection.execute(select(objects.c.id).where(objects.c.state == "present")).scalars()
        for one in [vault.object(connection, object_id) for object_id in present]:
            assert one is not None
            blob = store.open(one.storage)
            try:
                layout = Framing(one.size, FRAME_SIZE, blob.read_at(0, HEADER_BYTES))
                reader = FrameReader(blob, vault.content_key(connection, keys, one), layout)
                found[one.id] = b"".join(bytes(part) for part in reader.read())
            finally:
                blob.close()
    return found


class Framing(msgspec.Struct, frozen=True):
    """How a blob is framed."""

    size: int
    frame_size: int
    header: bytes
