"""Ciphertext, copied to a backup and back. What is there whole is not copied again; nothing here needs a key."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from keten.backup import age
from keten.backup.model import Blob
from keten.core.db import translated
from keten.core.errors import Corrupt, KetenError
from keten.core.files import Files, disk_error
from keten.core.storage import Blob as Open
from keten.core.storage import LocalStore
from keten.vault import service as vault
from keten.vault.frames import HEADER_BYTES
from keten.vault.layouts import blob_size, header_of
from keten.vault.model import Object

INDEX = "digests.jsonl"
_encode = msgspec.json.Encoder().encode


class _Copied(msgspec.Struct, frozen=True):
    storage: str
    size: int
    digest: str


class Copying:
    """Copies content into the folder `target`, which backups beside each other share.

    `live`: the instance's database, asked when a file is gone. `absent`: objects whose content was destroyed meanwhile.
    `faults`: content that is missing or damaged although it should be there. `told(bytes)`: progress.
    """

    def __init__(self, store: Path, target: Path, live: Engine, told: Callable[[int], None], files: Files) -> None:
        self._folder = store
        self._store = LocalStore(store)
        self._target = LocalStore(target, files)
        self._place = target
        self._live = live
        self._told = told
        self._files = files
        self._known = self._read_index()
        self.absent: list[str] = []
        self.faults: list[str] = []
        self.copied = 0
        self.kept = 0
        self.bytes = 0

    def copy(self, found: Object) -> Blob | None:
        """Have an object's ciphertext in the target, whole; None when there is none, and why is noted.

        1. What is in the target with the digest that was noted when it was copied stays.
        2. What is in the store must be of the size, and begin with the header, of this object.
        3. It is durable in the target before its digest is noted.

        Raises `Unavailable` ("disk-full", …), `FsyncFailed`.
        """
        known = self._known.get(found.storage)
        path = self._place / found.storage[:2] / found.storage
        whole = blob_size(found.size, found.media_type)
        if known is not None and known.size == whole == _size(path):  # 1
            if age.digest_of(path, self._told).digest == known.digest:
                self.kept += 1
                self.bytes += known.size
                return Blob(found.storage, found.id, known.size, known.digest)
            self.faults.append(f"{path}: it was damaged in the backup, and is copied again")
        try:
            source = self._store.open(found.storage)
        except Corrupt as error:
            self._gone(found, str(error.public))
            return None
        try:
            what = _wrong(source, found)  # 2
            if what:
                self._gone(found, what)
                return None
            return self._copy(found, source)  # 3
        finally:
            source.close()

    def _copy(self, found: Object, source: Open) -> Blob:
        digest = sha256()

        def parts() -> Iterator[bytes]:
            at = 0
            while piece := source.read_at(at, age.CHUNK):
                digest.update(piece)
                at += len(piece)
                self._told(len(piece))
                yield piece

        path = self._place / found.storage[:2] / found.storage
        if path.parent.is_dir():
            self._target.delete(found.storage)  # also what a killed backup left unfinished
        size = self._target.put(found.storage, parts())
        blob = Blob(found.storage, found.id, size, digest.hexdigest())
        self._note(_Copied(blob.storage, blob.size, blob.digest))
        self.copied += 1
        self.bytes += size
        return blob

    def _gone(self, found: Object, what: str) -> None:
        """It is not there: rightly, when it was destroyed since the snapshot."""
        with translated(), self._live.connect() as connection:
            try:
                now = vault.object(connection, found.id)
            except KetenError:
                now = found
        if now is not None and now.state == "destroyed":
            self.absent.append(found.id)
        else:
            self.faults.append(f"object {found.id}: {what}")

    def _note(self, copied: _Copied) -> None:
        path = self._place / INDEX
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "ab") as stream:
                stream.write(_encode(copied) + b"\n")
                self._files.sync(stream)
        except OSError as error:
            raise disk_error(error, path) from error
        self._known[copied.storage] = copied

    def _read_index(self) -> dict[str, _Copied]:
        """Digests noted before; a line that a crash cut off is as if it were not there."""
        found: dict[str, _Copied] = {}
        path = self._place / INDEX
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                one = msgspec.json.decode(line, type=_Copied)
            except (msgspec.DecodeError, msgspec.ValidationError):
                continue
            found[one.storage] = one
        return found


def bring_back(blob: Blob, source: Path, store: LocalStore, told: Callable[[int], None]) -> str:
    """Copy ciphertext from a backup into a store; "" when that is done, else what is wrong with it.

    What an earlier restore that was stopped brought there whole is not copied again. Raises `Unavailable`
    ("disk-full", …), `FsyncFailed`.
    """
    if _is_there(blob, store, told):
        return ""
    path = source / blob.storage[:2] / blob.storage
    digest = sha256()

    def parts() -> Iterator[bytes]:
        with path.open("rb") as stream:
            while piece := stream.read(age.CHUNK):
                digest.update(piece)
                told(len(piece))
                yield piece

    if not path.is_file():
        return "its content is not in the backup"
    store.delete(blob.storage)  # also what was left unfinished
    size = store.put(blob.storage, parts())
    if (size, digest.hexdigest()) == (blob.size, blob.digest):
        return ""
    store.delete(blob.storage)
    return "its content in the backup is damaged"


def _is_there(blob: Blob, store: LocalStore, told: Callable[[int], None]) -> bool:
    try:
        found = store.open(blob.storage)
    except Corrupt:
        return False
    try:
        if found.size != blob.size:
            return False
        digest, at = sha256(), 0
        while piece := found.read_at(at, age.CHUNK):
            digest.update(piece)
            at += len(piece)
    finally:
        found.close()
    if digest.hexdigest() != blob.digest:
        return False
    told(blob.size)
    return True


def _wrong(source: Open, found: Object) -> str:
    expected = blob_size(found.size, found.media_type)
    if source.size != expected:
        return f"its content is {source.size} bytes instead of {expected}"
    begun = source.read_at(0, HEADER_BYTES).startswith(header_of(found.id, found.media_type))
    return "" if begun else "its content begins with another header"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
