"""Making an instance again from a backup: its log goes on under another name, and nothing that ended is revived."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import Connection, Engine

from keten.backup import entries as backup_entries
from keten.backup import service as backups
from keten.backup.content import bring_back
from keten.backup.ended import Read
from keten.backup.ended import read as read_ended
from keten.backup.keys import read_keys
from keten.backup.loading import Loaded, in_ranges, load
from keten.backup.model import Keys, Manifest, Place
from keten.backup.taking import UNTOLD, Told, read_manifest
from keten.budgets import asking
from keten.core.clock import wall_us
from keten.core.db import reading_engine, translated, writing_engine
from keten.core.errors import Busy, Conflict, Corrupt, Invalid, KetenError
from keten.core.files import Files, umask
from keten.core.settings import Paths, Settings, load_settings
from keten.core.storage import LocalStore
from keten.core.upgrade import make_at, upgrade
from keten.exchange import entries as exchange_entries
from keten.exchange.running import Accesses, ending_unknown
from keten.keeper.authority import load_authority
from keten.keeper.backup_keys import is_beside
from keten.keeper.certificates import issue
from keten.keeper.instance import make_folders, publish, write_certificate
from keten.keeper.moving import without_database
from keten.keeper.restorable import Wish, check_wish, head_of, require_vouched, root_key
from keten.keeper.rootkey import RootKey
from keten.keeper.since_backup import (
    changed_since,
    end_sign_ins,
    leave_erased_rows,
    refuse_requests,
    sentences,
    spend_windows,
)
from keten.keeper.trusted import ended_key, ledger_sealer, ledger_signer, publish_predecessors, succession
from keten.ledger import erasing
from keten.ledger.model import Draft
from keten.ledger.notes import Verifier
from keten.ledger.reading import read_range
from keten.ledger.sealing import Head
from keten.ledger.succession import Predecessor, link, next_origin
from keten.ledger.writing import Writing, load_head, load_low_water
from keten.suppliers import service as suppliers
from keten.suppliers.rows import BY_WORD
from keten.vault import service as vault

MARKER = "restore.json"
_LOCK = f".{MARKER}.lock"
AFTER = "ended after the backup was made"
ERASED_SINCE = "its key was destroyed after the backup was made"
_WORDS = {rows.table_name: word for word, rows in BY_WORD.items()}
_NOT_VOUCHED = (
    "nothing says that its data part is what the instance wrote: it is of an older version, or its list was put back. "
    "Compare what is live with what outsiders know: keten restore --confirm"
)


class Restored(msgspec.Struct, frozen=True):
    """What was made. `size`: entries of the log before; `at_us`: time of the newest of them.

    ended, destroyed: rows and files that ended after the backup, and here too. changed: what changed and is here as
    before, in sentences. ended_state: whether the list of these was whole. missing: files whose content is not there,
    and why. unreadable: entries whose payload went with a destroyed key. unfinished: accesses whose end is not known.
    spent: budgets that count as spent.
    """

    origin: str
    key: str
    before: str
    size: int
    at_us: int
    objects: int
    ended: tuple[str, ...]
    destroyed: tuple[str, ...]
    changed: tuple[str, ...]
    ended_state: str
    missing: tuple[str, ...]
    unreadable: int
    unfinished: int
    spent: int
    notes: tuple[str, ...]


class _Begun(msgspec.Struct, frozen=True):
    """`restore.json` in a home that is being made: of which backup (its id), and where that was."""

    backup: str
    folder: str


def restore(settings: Settings, source: Path, wish: Wish, told: Told = UNTOLD) -> Restored:
    """Make the instance that a backup holds in the settings' home, which must be new or empty.

    A home in which a restore of this backup was stopped is one that goes on: what content it has whole stays, the
    rest is made anew.

    1. The backup is whole, of a version that is known, and opens; its head is signed by the key that follows from its
       root key, and its data part is the one that the keeper vouched for under it.
    2. The home is marked as being made. Folders, the root key as it was kept, settings, the authority.
    3. The database, of its own revision; then of this version's.
    4. The content that the backup has.
    5. In one transaction: the successor's first entry; the end of what ended after the backup; the end, with bounds, of
       what was under way; the budgets of running windows; the life that begins, which serves nobody yet.
    6. The public tree; the gateway's keys; the verifier key, which makes it an instance.

    Raises `Conflict` ("not-empty"), `Busy` ("restoring"), `Invalid`, `Denied` ("wrong-identity", "wrong-passphrase"),
    `Corrupt` ("backup-damaged"), `Unavailable`. What is half made has no key.pub.
    """
    paths = settings.paths
    manifest = read_manifest(source)  # 1
    check_wish(manifest, wish)
    _require_free(paths, manifest)
    place = Place(source, plain=not manifest.recipients)
    keys = read_keys(manifest.id, place.keys, list(wish.identities) if manifest.recipients else [])
    root = root_key(keys, wish)
    head = head_of(manifest, root)
    ended = read_ended(place, manifest.id, ended_key(root))
    require_vouched(ended, manifest)
    with umask(0o022), _marked(paths, _Begun(manifest.id, str(source)), manifest) as files:
        make_folders(paths, files)  # 2
        _write_secrets(paths, keys, files)
        make_at(paths.database, manifest.revision)  # 3
        engine = writing_engine(paths.database)
        try:
            by = list(wish.identities) if manifest.recipients else []
            size = manifest.size
            loaded = load(engine, place, manifest, keys, head, by, lambda done: told.entries(done, size))
        finally:
            engine.dispose()
        before = upgrade(paths.database)
        _copy_of(paths.database, before).unlink(missing_ok=True)  # it holds keys, and the backup is there
        missing = _bring_content(paths, loaded, place.content, told.content)  # 4
        return _Opening(settings, root, manifest, wish, ended, loaded, missing).run()  # 5, 6


def _require_free(paths: Paths, manifest: Manifest) -> None:
    """The home is new or empty, or a restore of this backup was begun in it and not finished."""
    if not paths.home.exists() or all(path.name == _LOCK for path in paths.home.iterdir()):
        return
    marker = paths.home / MARKER
    if (paths.ledger / "key.pub").exists() or not marker.exists():
        raise Conflict("not-empty", f"{paths.home} is not empty; an instance is restored into a new folder.")
    try:
        begun = msgspec.json.decode(marker.read_bytes(), type=_Begun)
    except msgspec.MsgspecError:
        begun = _Begun("", "a backup that is not known")
    if begun.backup not in ("", manifest.id):
        public = f"A restore of {begun.folder} was begun in {paths.home}: go on with that one, or remove the folder."
        raise Conflict("not-empty", public)


@contextmanager
def _marked(paths: Paths, begun: _Begun, manifest: Manifest) -> Iterator[Files]:
    """The home is being made, by this process alone; what an earlier one left there is gone, but for content.

    Whether it may be is looked at again under the lock: another restore may have made an instance in it meanwhile. The
    lock's file stays, for a lock on a file without its name keeps nobody out.

    The mark goes when the instance is whole. A home that was made for nothing, for the disk is full, keeps it.
    """
    files, marker = Files(), paths.home / MARKER
    files.make_folder(paths.home)
    with (paths.home / _LOCK).open("a+b") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Busy("restoring", f"Another restore is being made in {paths.home}.") from error
        _require_free(paths, manifest)
        for made in (paths.keeper, paths.database_folder, paths.ledger, paths.gateway, paths.run):
            shutil.rmtree(made, ignore_errors=True)
        for made in (paths.settings, paths.ca):
            made.unlink(missing_ok=True)
        files.write(marker, msgspec.json.encode(begun), mode=0o600)
        yield files
        marker.unlink()
        files.sync_folder(paths.home)


def _write_secrets(paths: Paths, keys: Keys, files: Files) -> None:
    if keys.root:
        files.write(paths.root_key, keys.root, mode=0o600)
    public = {str(paths.ca.relative_to(paths.home))}
    secret = {"keeper/authority.sealed", str(paths.ssh_host_key.relative_to(paths.home))}
    settings = str(paths.settings.relative_to(paths.home))
    for name, content in keys.files.items():
        if name == settings:  # the database of before is that of the instance of before: this one begins with a file
            files.write(paths.settings, without_database(content.decode("utf-8", "replace")).encode())
        elif name in public | secret or is_beside(name):
            (paths.home / name).parent.mkdir(parents=True, exist_ok=True)
            files.write(paths.home / name, content, mode=0o600 if name in secret else 0o644)


def _copy_of(database: Path, revision: str) -> Path:
    return database.with_name(f"{database.name}.before-{revision}")


def _bring_content(paths: Paths, loaded: Loaded, source: Path, told: Callable[[int], None]) -> dict[str, str]:
    """Step 4; what is not there, by object."""
    store = LocalStore(paths.store)
    missing: dict[str, str] = {}
    for blob in loaded.content:
        wrong = bring_back(blob, source, store, told)
        if wrong:
            missing[blob.object] = wrong
    return missing


class _Opening:
    """Steps 5 and 6."""

    def __init__(
        self,
        settings: Settings,
        root: RootKey,
        manifest: Manifest,
        wish: Wish,
        ended: Read,
        loaded: Loaded,
        missing: dict[str, str],
    ) -> None:
        self._settings = settings
        self._paths = settings.paths
        self._root = root
        self._manifest = manifest
        self._wish = wish
        self._ended = ended
        self._loaded = loaded
        self._missing = missing
        self._notes: list[str] = [] if ended.data else [_NOT_VOUCHED]

    def run(self) -> Restored:
        reader = reading_engine(self._paths.database)
        try:
            with translated(), reader.connect() as connection:
                head = load_head(connection, Verifier.parse(self._manifest.key))
                lives = backups.all_lives(connection)
                if head is None or (head.size, head.root) != (self._loaded.edge.size, self._loaded.edge.root()):
                    raise Corrupt("backup-damaged", "The backup's head is not that of its entries.")
                if self._manifest.moved:
                    # Nothing ends any more where nothing is recorded; that it is so, the ledger says, not the manifest.
                    self._require_moved(connection)
                    self._ended = Read((), "whole")
                self._lost_content(connection)
        finally:
            reader.dispose()
        origin = self._manifest.origin if self._wish.moved else next_origin(self._manifest.origin)
        key = ledger_signer(self._root, origin).verifier_key()
        life = self._life(origin, key, head, lives)
        lives = (*lives, life) if life.before else lives
        engine = writing_engine(self._paths.database)
        try:
            done = self._record(engine, head, life, lives)
        finally:
            engine.dispose()
        publish(self._settings, key)
        publish_predecessors(self._paths.ledger, lives)
        self._gateway_keys()
        self._named_files(key)
        Files().write(self._paths.ledger / "key.pub", f"{key}\n".encode())
        return Restored(
            origin,
            key,
            self._manifest.origin,
            head.size,
            head.time_us,
            len(self._loaded.content) - len(self._missing),
            tuple(done.ended),
            tuple(done.destroyed),
            tuple(done.changed),
            self._ended.state,
            tuple(f"{name}: {what}" for name, what in self._missing.items()),
            len(self._loaded.unreadable),
            done.unfinished,
            done.spent,
            tuple(self._notes),
        )

    def _require_moved(self, connection: Connection) -> None:
        last = next(iter(read_range(connection, self._manifest.size - 1, self._manifest.size)), None)
        said = last.payload.details if last and last.payload and last.kind == backup_entries.MOVED.name else {}
        if said.get("backup") != self._manifest.id:
            public = "The manifest says that the instance was moved with this backup; its ledger does not say so."
            raise Corrupt("backup-damaged", public, self._manifest.id)

    def _life(self, origin: str, key: str, head: Head, lives: Sequence[backups.Life]) -> backups.Life:
        if self._wish.moved:
            found = [each for each in lives if each.origin == origin]
            life = found[-1] if found else backups.Life(origin, 0, wall_us(), backups.LIVE)
            return msgspec.structs.replace(life, state=backups.LIVE)
        note = link(ledger_signer(self._root, self._manifest.origin), head.size, head.root, key)
        before = Predecessor(self._manifest.key, head.note, note)
        return backups.Life(origin, head.size, max(wall_us(), head.time_us), backups.UNCONFIRMED, before)

    def _lost_content(self, connection: Connection) -> None:
        """Files that the snapshot has, whose content the backup has not."""
        there = {blob.object for blob in self._loaded.content}
        for found in vault.present_objects(connection):
            if found.id not in there:
                self._missing.setdefault(found.id, "its content is not in the backup")

    def _record(self, engine: Engine, head: Head, life: backups.Life, lives: Sequence[backups.Life]) -> _Done:
        sealer = ledger_sealer(self._root, life.origin, succession(lives))
        done = _Done([], [], [], 0, 0)
        with translated(), engine.begin() as connection:
            low_water = load_low_water(connection)
            writing = Writing(connection, sealer, head, wall_us())
            ended = [] if self._wish.moved else self._ended_rows(writing)
            keyless = list(dict.fromkeys([*vault.keyless_objects(connection), *self._destroyed(connection)]))
            for object_id in keyless:
                self._missing.pop(object_id, None)
            changed = changed_since(connection, self._ended.changes)
            done.changed = sentences(connection, changed, head.size)
            writing.record(self._first(head, ended, keyless, changed))
            if not self._wish.moved:  # what was withdrawn since is not known
                asking.withdraw_all(writing, self._wish.actor, "restored")
                refuse_requests(writing, self._wish.actor, self._notes)
                end_sign_ins(writing, self._ended.ends, self._wish.actor, AFTER, self._notes)
            if not self._wish.moved and self._wish.budgets == "spent":  # from rows as they are in the ledger: first
                over = frozenset(row for _word, row in ended)
                done.spent = spend_windows(writing, over, self._wish.actor, self._notes)
            erasing.acknowledge(writing, self._loaded.unreadable, self._wish.actor, ERASED_SINCE)
            for word, row_id in ended:
                suppliers.end(writing, word, row_id, AFTER, self._wish.actor)
                done.ended.append(f"{word} {row_id}")
            for object_id in keyless:
                try:
                    vault.destroy_object(writing, object_id, AFTER, self._wish.actor)
                    done.destroyed.append(object_id)
                except KetenError as error:
                    self._notes.append(f"object {object_id} has no key any more, and its row does not hold: {error}")
            leave_erased_rows(writing, self._ended.ends, self._loaded.gone, self._wish.actor, self._notes)
            done.unfinished = self._end_accesses(writing, low_water)
            backups.begin_life(writing, life)
            writing.seal(low_water=writing.next_index)
        return done

    def _first(
        self, head: Head, ended: Sequence[tuple[str, str]], keyless: Sequence[str], changed: list[list[str]]
    ) -> Draft:
        if self._wish.moved:
            return Draft(backup_entries.ARRIVED, self._wish.actor, details={"backup": self._manifest.id})
        details = {
            "origin": self._manifest.origin,
            "key": self._manifest.key,
            "size": head.size,
            "root": head.root.hex(),
            "note": head.note,
            "backup": self._manifest.id,
            "made": self._manifest.made,
            "ended": len(ended),
            "ended_state": self._ended.state,
            "destroyed": len(keyless),
            "changed": changed,
            "missing": len(self._missing),
            "unreadable": in_ranges(self._loaded.unreadable),
            "rows": sorted(self._loaded.gone),
            "budgets": self._wish.budgets,
        }
        return Draft(backup_entries.CONTINUED_KIND, self._wish.actor, details=details)

    def _ended_rows(self, writing: Writing) -> list[tuple[str, str]]:
        """Rows that the list says ended, and that have not here, as (word, id), each once."""
        found: dict[tuple[str, str], None] = {}
        for line in self._ended.ends:
            word = _WORDS.get(line.table)
            if word is None:
                continue  # files: see `_destroyed`
            try:
                row = BY_WORD[word].get(writing.connection, line.row)
            except Corrupt as error:
                self._notes.append(f"{word} {line.row} ended after the backup, and its row does not hold: {error}")
                continue
            if row is not None and row.ended is None:
                found[word, line.row] = None
        return list(found)

    def _destroyed(self, connection: Connection) -> list[str]:
        """Files that the list says were destroyed, and that are present here: their keys could not be taken in time."""
        present = {found.id for found in vault.present_objects(connection)}
        return [line.row for line in self._ended.ends if line.table == "objects" and line.row in present]

    def _end_accesses(self, writing: Writing, low_water: int) -> int:
        """What was opened and has no recorded end is over, with the bounds that are known (law 1)."""
        accesses = Accesses()
        for entry in read_range(writing.connection, low_water, self._loaded.edge.size):
            if entry.payload is None:
                continue
            if entry.kind == exchange_entries.OBJECT_OPENED.name:
                accesses.restore(entry)
            elif entry.kind == exchange_entries.OBJECT_DELIVERED.name:
                opening = str(entry.payload.details.get("opening", ""))
                if accesses.get(opening) is not None:
                    accesses.take(opening, 0)
        for running in accesses:
            ending_unknown(running)(writing)
        return len(accesses)

    def _named_files(self, key: str) -> None:
        """The policy of witnesses is about the ledger that goes on; files that are not on this machine are noted."""
        try:
            settings = load_settings(self._paths.home, {})
        except Invalid as error:
            self._notes.append(str(error))
            return
        policy = self._paths.home / settings.witnesses.policy
        if is_beside(settings.witnesses.policy) and policy.is_file() and key != self._manifest.key:
            former = policy.read_bytes()
            about = former.replace(self._manifest.key.encode(), key.encode())
            if about != former:
                Files().write(policy, about)
                self._notes.append(f"{policy.name} names the new ledger's key now")
            self._notes.append("no witness cosigns the new ledger until it watches it: give each the new key")
        for name in settings.named_files:
            if not (self._paths.home / name).exists():
                self._notes.append(f"keten.toml names {name}, which is not here: put it back before 'keten up'")

    def _gateway_keys(self) -> None:
        """A certificate by the authority that suppliers know; the SSH host key that they know, if the backup has it."""
        issued = issue(load_authority(self._settings, self._root), self._wish.hosts)
        write_certificate(self._paths.gateway, issued.certificate, issued.key)
        if not self._paths.ssh_host_key.exists():
            pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
            Files().write(self._paths.ssh_host_key, pem, mode=0o600)
            self._notes.append("the SFTP host key is a new one, for the backup has none: tell suppliers")


class _Done(msgspec.Struct):
    ended: list[str]
    destroyed: list[str]
    changed: list[str]
    unfinished: int
    spent: int

