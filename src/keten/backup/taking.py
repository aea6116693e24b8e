"""Taking a backup beside a keeper that serves: reads the database in one transaction, and holds no key that opens.

It runs in the operator's process, so that the keeper's answers do not wait for it. The keeper records that it begins,
writes the keys part, and records that it is complete (`keten.keeper.backup_verbs`).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, inspect

from keten import __version__
from keten.backup import age
from keten.backup.content import Copying
from keten.backup.model import CONTENT, FORMAT, Blob, Known, Manifest
from keten.backup.stream import Snapshot, frame
from keten.core.clock import rfc3339
from keten.core.errors import Busy, Corrupt, Invalid
from keten.core.files import Files, disk_error
from keten.core.upgrade import REVISION
from keten.ledger.bound import bound_tables, mismatches
from keten.ledger.notes import Verifier
from keten.ledger.sealing import Head
from keten.ledger.writing import load_head
from keten.vault import service as vault

LOCK = ".lock"
_ALL = 1 << 62
_BLOBS = 500


class Told(msgspec.Struct, frozen=True):
    """What is told while a backup or restore runs: entries (done, all), and bytes of content copied or looked at."""

    entries: Callable[[int, int], None]
    content: Callable[[int], None]


UNTOLD = Told(lambda _done, _all: None, lambda _bytes: None)
"""Nobody is told."""


class Taken(msgspec.Struct, frozen=True):
    """A backup whose data are complete and verified. `faults`: what does not hold, and is in it as it is.

    size, root: of the ledger in it (root in hexadecimal). copied, kept: files whose content was copied, was there.
    absent: files whose content was destroyed meanwhile.
    """

    manifest: Manifest
    root: str
    copied: int
    kept: int
    absent: tuple[str, ...]
    faults: tuple[str, ...]


@contextmanager
def alone(target: Path, files: Files) -> Iterator[None]:
    """Only one backup at a time goes into a folder. Raises `Busy` ("backup-running"), `Unavailable`."""
    try:
        files.make_folder(target, 0o700)
        files.make_folder(target / CONTENT, 0o700)
        descriptor = os.open(target / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise disk_error(error, target) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Busy("backup-running", f"Another backup is being made in {target}.") from error
    finally:
        os.close(descriptor)


def take(
    engine: Engine, key: str, store: Path, known: Known, told: Told, files: Files, *, moved: bool = False
) -> Taken:
    """Write the data part and the content of a backup that the keeper has begun (`known`).

    1. One moment of the database: a read transaction, which keeps nobody from writing. Its head is signed by `key`, the
       ledger's verifier key.
    2. Each row of the register is what its last entry says; what is not is named.
    3. Every table but those of keys goes into the data part, encrypted while it is read: nothing is in the clear on any
       disk. The entries must have the root that was signed.
    4. The content of every file that is present in that moment.
    5. What was written is read back from the disk, and is what was written.

    The manifest is not written: that makes it a backup, and is done when the keys part is there. Raises `Corrupt`,
    `Unavailable` ("disk-full", …), `FsyncFailed`.
    """
    place = known.place
    copying = Copying(store, place.content, engine, told.content, files)
    faults: list[str] = []
    with engine.connect() as connection:
        head = load_head(connection, Verifier.parse(key))  # 1
        if head is None:
            raise Corrupt("head-missing", "The database has no signed head.")
        snapshot = Snapshot(connection, told.entries)
        faults += _register_faults(connection)  # 2
        pieces = _pieces(connection, snapshot, head, known, copying)
        written = age.seal(place.data, pieces, age.recipients(known.recipients), files)  # 3, 4
    read_back = age.digest_of(place.data)  # 5
    if (read_back.digest, read_back.size) != (written.digest, written.size):
        raise Corrupt("backup-damaged", f"{place.data} is not what was written to it; use another disk.")
    manifest = Manifest(
        format=FORMAT,
        id=known.id,
        version=__version__,
        revision=REVISION,
        made=rfc3339(known.made_us),
        origin=Verifier.parse(key).name,
        key=key,
        note=head.note,
        size=head.size,
        recipients=known.recipients,
        data=written.digest,
        data_size=written.size,
        objects=copying.copied + copying.kept,
        content=copying.bytes,
        moved=moved,
    )
    faults += snapshot.faults + copying.faults
    return Taken(manifest, head.root.hex(), copying.copied, copying.kept, tuple(copying.absent), tuple(faults))


def finish(known: Known, manifest: Manifest, files: Files) -> None:
    """Write the manifest: from here on it is a backup."""
    text = msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
    files.write(known.place.manifest, text, mode=0o600)


def read_manifest(folder: Path) -> Manifest:
    """A backup's manifest. Raises `Invalid` ("no-backup", "backup-newer"), `Corrupt` ("backup-damaged"), `OSError`."""
    path = folder / "backup.json"
    if not path.is_file():
        inside = sorted(each.parent.name for each in folder.glob("*/backup.json")) if folder.is_dir() else []
        hint = f" It holds {', '.join(inside[-3:])}: name one." if inside else ""
        raise Invalid("no-backup", f"{folder} is no backup, or one that was not finished.{hint}")
    data = path.read_bytes()[: 1 << 20]
    try:
        version = msgspec.json.decode(data, type=_Version).format
        if version > FORMAT:
            raise Invalid("backup-newer", "This backup was made by a newer version of Keten; use that version.")
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Corrupt("backup-damaged", f"{path} is damaged.", str(error)) from error


class _Version(msgspec.Struct, frozen=True):
    format: int


def _register_faults(connection: Connection) -> list[str]:
    found: list[str] = []
    database = inspect(connection)
    there = set(database.get_table_names())
    for table, kind in bound_tables().values():
        names = {column.name for column in table.columns}
        if table.name not in there or names != {one["name"] for one in database.get_columns(table.name)}:
            continue  # of a later revision
        _seen, wrong = mismatches(connection, table, kind, _ALL)
        found += [f"table {each.table}, row {each.row}: {each.what}" for each in wrong]
    return found


def _pieces(
    connection: Connection, snapshot: Snapshot, head: Head, known: Known, copying: Copying
) -> Iterator[bytes]:
    """Steps 3 and 4."""
    yield frame("k", FORMAT, known.id, REVISION, head.note)
    yield from snapshot.frames()
    if (snapshot.edge.size, snapshot.edge.root()) != (head.size, head.root):
        raise Corrupt("root-wrong", "The entries do not have the root that was signed; see 'keten ledger verify'.")
    wanted = list(vault.present_objects(connection))
    connection.rollback()  # the moment is written: the database's log need not be kept for it any longer
    blobs: list[Blob] = []
    for found in wanted:
        blob = copying.copy(found)
        if blob is not None:
            blobs.append(blob)
        if len(blobs) >= _BLOBS:
            yield frame("b", blobs_of(blobs))
            blobs = []
    yield frame("b", blobs_of(blobs))
    yield frame("e", snapshot.rows)


def blobs_of(blobs: list[Blob]) -> list[tuple[str, str, int, str]]:
    """Blobs as the data part has them."""
    return [(blob.storage, blob.object, blob.size, blob.digest) for blob in blobs]
