"""Everything the keeper holds, built once from the settings and the root key. Nothing here knows about sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import sqlalchemy
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwk

from keten import __version__
from keten.backup import ended
from keten.backup import service as backups
from keten.backup.keys import Secrets, rewrite_keys
from keten.budgets.misses import Scores
from keten.budgets.service import Budgets
from keten.core.clock import Clock, rfc3339
from keten.core.crypto import derive
from keten.core.db import reading_engine, take, translated, writing_engine
from keten.core.errors import Conflict, Corrupt, Unavailable
from keten.core.files import Files
from keten.core.places import Place
from keten.core.settings import Settings
from keten.core.storage import LocalStore
from keten.exchange import entries as exchange_entries
from keten.exchange.addresses import Addresses
from keten.exchange.cursors import Cursors
from keten.exchange.objects import Objects
from keten.exchange.opening import Door
from keten.exchange.running import Accesses
from keten.exchange.sealed_tables import SealedTables
from keten.identity import networks, people_entries, person_sessions
from keten.identity.entries import CLIENT_ERASED, PERSON_ERASED
from keten.identity.networks import Networks
from keten.identity.oidc.asking import client_key
from keten.identity.restraints import SUSPENDED
from keten.identity.service import SignIn
from keten.identity.strangers import Refusals
from keten.keeper import entries
from keten.keeper.authority import load_authority
from keten.keeper.backup_keys import secrets_of
from keten.keeper.certificates import Authority
from keten.keeper.connector_link import ConnectorLink
from keten.keeper.rootkey import RootKey
from keten.keeper.server import user_ids
from keten.keeper.sign_ins import SignIns
from keten.keeper.writer import Disk, Writer
from keten.ledger.model import Draft
from keten.ledger.notes import Signer, Verifier
from keten.ledger.publishing import Publishing
from keten.ledger.reading import read_range
from keten.ledger.sealing import Batch, EntryIds, Head, Sealer
from keten.ledger.succession import PREDECESSORS, encode, generation
from keten.ledger.writing import load_head, load_low_water
from keten.policy.country import Countries
from keten.policy.engine import Engine
from keten.policy.service import Decisions
from keten.subjects.entries import HOLD_SET
from keten.suppliers.entries import SUPPLIER_FROZEN
from keten.suppliers.register import Register
from keten.suppliers.rows import BY_WORD, ENDINGS, stopped_by
from keten.vault.entries import OBJECT_DESTROYED
from keten.vault.keys import Keys

log = logging.getLogger(__name__)
UNCONFIRMED = "restore-unconfirmed"
"""The code while nobody is served after a restore."""
_WITH_KEYS = {BY_WORD["dataset"].ended.name, OBJECT_DESTROYED.name, PERSON_ERASED.name, CLIENT_ERASED.name}
_CARRIED = {kind: kind in _WITH_KEYS for kind in sorted(ENDINGS | _WITH_KEYS | {people_entries.PASSKEY_ENDED.name})}
"""The kinds of entry that say that something ended for good, which no backup may revive; whether a key went with it."""

_CHANGES = {rows.changed.name for rows in BY_WORD.values()} | SUSPENDED | {SUPPLIER_FROZEN.name, HOLD_SET.name}
"""The kinds of entry that narrow what somebody may, or keep something: a restore can't redo it, and is to say so."""


def ledger_signer(root: RootKey, origin: str) -> Signer:
    """The key that signs the ledger's heads, derived from the root key, under the log's origin as its name."""
    key = derive(root.key, of_log("ledger-signing", origin))
    return Signer(origin, Ed25519PrivateKey.from_private_bytes(key))


def ledger_sealer(root: RootKey, origin: str, before: Sequence[tuple[str, int]] = ()) -> Sealer:
    """What seals entries for the log `origin`; `before`: the logs that it goes on from, as `EntryIds` has them."""
    return Sealer(ledger_signer(root, origin), origin, EntryIds(derive(root.key, "entry-ids"), origin, before))


def of_log(purpose: str, origin: str) -> str:
    """The purpose of a key that a restored instance must not share with the one before it."""
    return purpose if generation(origin) == 1 else f"{purpose}/{origin}"


def ended_key(root: RootKey) -> bytes:
    """The key that authenticates what is written to backups after they were made."""
    return derive(root.key, ended.PURPOSE)


class Trusted:
    """The keeper's state. Build inside a running event loop (the writer calls back into it)."""

    def __init__(self, settings: Settings, root: RootKey, engine: sqlalchemy.Engine | None = None) -> None:
        """`engine`: the one that writes, when this process is the one keeper of the log already (`stand_by`)."""
        paths, place = settings.paths, settings.state
        self.settings, self.key_kind = settings, root.kind
        self.origin = read_origin(paths.ledger / "key.pub")
        engine = engine or _taken(place, self.origin)
        self.reader = reading_engine(place)
        lives = self._lives()
        self.sealer = ledger_sealer(root, self.origin, succession(lives))
        self.verifier_key = ledger_signer(root, self.origin).verifier_key()
        verifier = Verifier.parse(self.verifier_key)
        if (paths.ledger / "key.pub").read_text(encoding="utf-8").strip() != self.verifier_key:
            raise Corrupt("key-changed", "ledger/key.pub is not the key that signs this ledger.", str(paths.ledger))
        self.on_change: Callable[[Mapping[str, str]], None] = lambda _stopped: None
        self._root = root
        self.moved = False
        self._loop = asyncio.get_running_loop()

        head, low_water = self._head(verifier)
        self.clock = Clock(head.time_us)
        if self.unconfirmed:
            self.clock.held = _unconfirmed()
        publish_predecessors(paths.ledger, lives)
        self.ended_key = ended_key(root)
        self.publishing = Publishing(paths.ledger, verifier, self.reader)
        self.publishing.start(head)

        self.keys = Keys(derive(root.key, "wrapping"))
        lists = [paths.home / name for name in settings.watch.bad_networks]
        self.networks = Networks(derive(root.key, networks.PURPOSE), lists)
        self.addresses = Addresses(self.keys, self.networks)
        self.register = Register(self.reader)
        self.objects = Objects(self.reader)
        self.store = LocalStore(paths.store)
        self.tables = SealedTables(self.reader, self.store, self.keys)
        who = user_ids(settings.keeper.connector_users)
        self.connector = ConnectorLink(paths.connector_socket, who, settings.systems)
        self.cursors = Cursors(derive(root.key, "cursors"))
        self.engine = Engine()
        self.decisions = Decisions(self.register, self.engine)
        self.budgets = Budgets()
        self.scores = Scores()
        self.countries = Countries(settings.geo)
        self.accesses = Accesses()
        self.sign_in = SignIn(
            derive(root.key, of_log("identity", self.origin)),
            self.register.client,
            settings.limits,
            self.clock.recording_time(),
            _issuers(settings),
            self.accesses.transfers,
            restored_us=self.life.since_us if self.life and self.life.before else 0,
            networks=self.networks,
        )
        self.sign_ins = SignIns(self.sign_in, self.register, lambda: self.door, self.clock)
        self.person_refusals = Refusals(make=people_entries.person_refused)
        self.epoch = 0
        self._restore(low_water, head.size)
        self.writer = Writer(
            engine,
            self.sealer,
            head,
            self.clock,
            open_indexes=[one.index for one in self.accesses],
            participants=(self.budgets, self.scores, self.addresses, self.sign_ins.refusals),
            on_commit=self._committed,
            disk=Disk(place, settings.keeper.reserve_bytes),
        )
        self.door = Door(self.register, self.objects, self.decisions, self.budgets, self.addresses, lambda: self.epoch)

        self.carrying = ended.Carrying(
            self.reader,
            self.ended_key,
            self.origin,
            self.life.size if self.life else 0,
            _CARRIED,
            _CHANGES,
            backups.known,
            lambda connection, known: rewrite_keys(connection, known, self.secrets()),
        )
        self.carrying.wake()

    def _head(self, verifier: Verifier) -> tuple[Head, int]:
        """The ledger's head, and the index from which accesses may still be open. Raises `Corrupt` ("head-missing")."""
        with self.reader.connect() as connection:
            head = load_head(connection, verifier)
            low_water = load_low_water(connection)
        if head is None:
            raise Corrupt("head-missing", "The database has no signed head.", str(self.settings.state))
        return head, low_water

    def _lives(self) -> tuple[backups.Life, ...]:
        """The lives of this instance; refuses to go on with one that was moved away."""
        with translated(), self.reader.connect() as connection:
            lives = backups.all_lives(connection)
        self.life = next((each for each in lives if each.origin == self.origin), None)
        if self.life is not None and self.life.state == backups.MOVED:
            raise Conflict(
                "instance-moved",
                "This instance was moved to another machine: its ledger goes on there, and must not go on here too.",
                rfc3339(self.life.since_us),
            )
        return lives

    @property
    def unconfirmed(self) -> bool:
        """Whether it was restored and no operator has looked yet: nobody is served."""
        return self.life is not None and self.life.state == backups.UNCONFIRMED

    def confirmed(self) -> None:
        """An operator has looked, and that is recorded: serve."""
        if self.life is not None:
            self.life = msgspec.structs.replace(self.life, state=backups.LIVE)
        self.clock.held = None

    def secrets(self) -> Secrets:
        """What a backup's keys part holds beside wrapped keys: the root key as it is kept here, and what it seals."""
        return secrets_of(self.settings, self._root.kind)

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
            self._loop.call_soon_threadsafe(self._changed, stopped_by(batch.drafts))
            self.carrying.wake()
        elif any(draft.kind.name in _CARRIED for draft in batch.drafts):  # of what no decision looks at: passkeys
            self.carrying.wake()
        self.publishing.offer(batch)

    def _changed(self, stopped: Mapping[str, str]) -> None:
        self.on_change(stopped)

    @property
    def sessions_key(self) -> bytes:
        """The key that seals rows of people's sessions: of this log, so that after a restore all sign in anew."""
        return derive(self._root.key, of_log(person_sessions.PURPOSE, self.origin))

    def provider_key(self) -> jwk.ECKey:
        """The key by which this instance proves itself to the OpenID Connect provider."""
        return client_key(self._root.key)

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
        self.carrying.stop()
        self.publishing.stop()
        self.register.close()
        self.reader.dispose()
        self.writer.release()


def succession(lives: Sequence[backups.Life]) -> list[tuple[str, int]]:
    """The names of the logs before this one, each with the index at which the next begins, oldest first."""
    return [(life.before.checkpoint.origin, life.size) for life in lives if life.before is not None]


def publish_predecessors(folder: Path, lives: Sequence[backups.Life]) -> None:
    """Have the public list of the logs before this one; there is none where there were none."""
    chain = [life.before for life in lives if life.before is not None]
    path = folder / PREDECESSORS
    if chain and (not path.exists() or path.read_bytes() != encode(chain)):
        Files().write(path, encode(chain))


def _unconfirmed() -> Unavailable:
    return Unavailable(
        UNCONFIRMED,
        "Nothing is served until an operator has looked at what was restored.",
        "see 'keten restore --confirm'",
    )


def _taken(place: Place, origin: str) -> sqlalchemy.Engine:
    """The engine that writes, of the log's one keeper. Raises `Conflict` ("standing-by")."""
    engine = writing_engine(place)
    if not take(engine, origin):
        engine.dispose()
        raise another()
    return engine


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
