"""Everything the keeper holds, built once from the settings and the root key. Nothing here knows about sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import sqlalchemy
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten import __version__
from keten.budgets.service import Budgets
from keten.core.clock import Clock
from keten.core.crypto import derive
from keten.core.db import reading_engine, take, writing_engine
from keten.core.errors import Conflict, Corrupt, Unavailable
from keten.core.settings import Settings
from keten.core.storage import LocalStore
from keten.exchange import entries as exchange_entries
from keten.exchange.addresses import Addresses
from keten.exchange.cursors import Cursors
from keten.exchange.objects import Objects
from keten.exchange.opening import Door
from keten.exchange.running import Accesses
from keten.identity.service import SignIn
from keten.keeper import entries
from keten.keeper.authority import load_authority
from keten.keeper.certificates import Authority
from keten.keeper.rootkey import RootKey
from keten.keeper.sign_ins import SignIns
from keten.keeper.writer import Disk, Writer
from keten.ledger.model import Draft
from keten.ledger.notes import Signer, Verifier
from keten.ledger.publishing import Publishing
from keten.ledger.reading import read_range
from keten.ledger.sealing import Batch, EntryIds, Sealer
from keten.ledger.writing import load_head, load_low_water
from keten.policy.country import Countries
from keten.policy.engine import Engine
from keten.policy.service import Decisions
from keten.suppliers.register import Register
from keten.suppliers.rows import ended_by
from keten.vault.keys import Keys

log = logging.getLogger(__name__)


def ledger_signer(root: RootKey, origin: str) -> Signer:
    """The key that signs the ledger's heads, derived from the root key, under the log's origin as its name."""
    return Signer(origin, Ed25519PrivateKey.from_private_bytes(derive(root.key, "ledger-signing")))


def ledger_sealer(root: RootKey, origin: str) -> Sealer:
    """What seals entries for the log `origin`."""
    return Sealer(ledger_signer(root, origin), origin, EntryIds(derive(root.key, "entry-ids"), origin))


class Trusted:
    """The keeper's state. Build inside a running event loop (the writer calls back into it)."""

    def __init__(self, settings: Settings, root: RootKey, engine: sqlalchemy.Engine | None = None) -> None:
        """`engine`: the one that writes, when this process is the one keeper of the log already (`stand_by`)."""
        paths, place = settings.paths, settings.state
        self.settings = settings
        self.key_kind = root.kind
        self.origin = read_origin(paths.ledger / "key.pub")
        self.sealer = ledger_sealer(root, self.origin)
        verifier_key = ledger_signer(root, self.origin).verifier_key()
        verifier = Verifier.parse(verifier_key)
        if (paths.ledger / "key.pub").read_text(encoding="utf-8").strip() != verifier_key:
            raise Corrupt("key-changed", "ledger/key.pub is not the key that signs this ledger.", str(paths.ledger))
        if engine is None:
            engine = writing_engine(place)
            if not take(engine, self.origin):
                engine.dispose()
                raise another()
        self.reader = reading_engine(place)
        self.on_change: Callable[[frozenset[str]], None] = lambda _ended: None
        self._root = root
        self._loop = asyncio.get_running_loop()

        with self.reader.connect() as connection:
            head = load_head(connection, verifier)
            low_water = load_low_water(connection)
        if head is None:
            raise Corrupt("head-missing", "The database has no signed head.", str(place))
        self.clock = Clock(head.time_us)
        self.publishing = Publishing(paths.ledger, verifier, self.reader)
        self.publishing.start(head)

        self.keys = Keys(derive(root.key, "wrapping"))
        self.addresses = Addresses(self.keys)
        self.register = Register(self.reader)
        self.objects = Objects(self.reader)
        self.cursors = Cursors(derive(root.key, "cursors"))
        self.engine = Engine()
        self.decisions = Decisions(self.register, self.engine)
        self.budgets = Budgets()
        self.countries = Countries(settings.geo)
        self.store = LocalStore(paths.store)
        self.accesses = Accesses()
        self.sign_in = SignIn(
            derive(root.key, "identity"),
            self.register.client,
            settings.limits,
            self.clock.recording_time(),
            _issuers(settings),
            self.accesses.transfers,
        )
        self.sign_ins = SignIns(self.sign_in, self.register, lambda: self.door, self.clock)
        self.epoch = 0
        self._restore(low_water, head.size)
        self.writer = Writer(
            engine,
            self.sealer,
            head,
            self.clock,
            open_indexes=[one.index for one in self.accesses],
            participants=(self.budgets, self.addresses, self.sign_ins.refusals),
            on_commit=self._committed,
            disk=Disk(place, settings.keeper.reserve_bytes),
        )
        self.door = Door(
            self.register, self.objects, self.decisions, self.budgets, self.addresses, lambda: self.epoch
        )

    def _restore(self, low_water: int, size: int) -> None:
        """Find accesses that a former keeper opened and whose end is not recorded."""
        if low_water >= size:
            return
        with self.reader.connect() as connection:
            for entry in read_range(connection, low_water, size):
                if entry.payload is None:
                    continue
                if entry.kind == exchange_entries.OBJECT_OPENED.name:
                    self.accesses.restore(entry)
                elif entry.kind == exchange_entries.OBJECT_DELIVERED.name:
                    opening = str(entry.payload.details.get("opening", ""))
                    if self.accesses.get(opening) is not None:
                        self.accesses.take(opening, 0)

    def _committed(self, batch: Batch, *, changed: bool) -> None:
        """Within the writer's transaction: once it is durable, before the next transaction begins."""
        if changed:
            # Raised here, so that no access decided on the rows of before can be recorded after their change.
            self.epoch += 1
            self.addresses.forget()
            self._loop.call_soon_threadsafe(self._changed, ended_by(batch.drafts))
        self.publishing.offer(batch)

    def _changed(self, ended: frozenset[str]) -> None:
        self.on_change(ended)

    def authority(self) -> Authority:
        """The instance's own authority for TLS certificates."""
        return load_authority(self.settings, self._root)

    def started(self) -> Draft:
        """The entry that says the keeper started."""
        return Draft(
            entries.KEEPER_STARTED,
            "keeper",
            details={"version": __version__, "key_kind": self.key_kind, "open": len(self.accesses)},
        )

    def stop(self) -> None:
        """Finish what is queued; everything is durable when this returns."""
        self.writer.stop()
        self.publishing.stop()
        self.register.close()
        self.reader.dispose()
        self.writer.release()


def another() -> Conflict:
    """Only one keeper records in a database at a time."""
    return Conflict("standing-by", "Another keeper is active on this database; ask that one, or wait for it to end.")


def _issuers(settings: Settings) -> frozenset[str]:
    url = settings.gateway.public_url.rstrip("/")
    return frozenset({url}) if url else frozenset()


def read_origin(path: Path) -> str:
    """The log's origin: the name in its verifier key. Raises `Unavailable` ("not-an-instance")."""
    try:
        return Verifier.parse(path.read_text(encoding="utf-8").strip()).name
    except OSError as error:
        public = f"{path.parent.parent} is not an instance; make one with 'keten init --home DIR'."
        raise Unavailable("not-an-instance", public, str(error)) from error
