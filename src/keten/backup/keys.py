"""The keys part of a backup: small, and the only thing of it that is ever written again.

Keys never change, they only disappear. Erasing reaches backups by writing this part anew from what is still there
(law 7): what the data part holds under a key that is gone is then nothing but noise.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, MetaData, Table, select

from keten.backup import age
from keten.backup.model import FORMAT, KEY_TABLES, Keys, Known
from keten.core.errors import Corrupt, KetenError, Unavailable
from keten.core.files import Files
from keten.ledger.reading import raw

_ONE = threading.Lock()
"""A keys part is read from the tables and written in one go: whoever writes later has the later state of the keys."""


class Secrets(msgspec.Struct, frozen=True):
    """What the keys part holds beside the wrapped keys, as in `Keys`."""

    root_kind: str
    root: bytes
    files: Mapping[str, bytes] = {}


class Renewed(msgspec.Struct, frozen=True):
    """How renewing went: backups whose keys were written anew, and those that could not be reached, with why."""

    done: tuple[str, ...]
    unreached: tuple[tuple[str, str], ...]


def write_keys(connection: Connection, known: Known, secrets: Secrets, files: Files | None = None) -> None:
    """Write a backup's keys part from the keys that are there now; what was there is overwritten on the disk.

    `connection`: a reader's; the transaction that it is in ends.

    Raises `Unavailable` ("disk-full", "backup-unreachable", …), `Invalid` ("recipient"), `FsyncFailed`.
    """
    files = files or Files()
    path = known.place.keys
    if not path.parent.is_dir():
        raise Unavailable("backup-unreachable", f"The backup {path.parent} cannot be reached.")
    with _ONE:
        connection.rollback()  # as it is now, not as it was when this connection began to read
        tables = {name: _rows(connection, name) for name in KEY_TABLES}
        part = Keys(FORMAT, known.id, secrets.root_kind, secrets.root, tables, dict(secrets.files))
        _remove(age.unfinished(path))  # a kill left it, with keys that may be gone now
        before = _opened(path)
        try:
            age.seal(path, [msgspec.msgpack.encode(part)], age.recipients(known.recipients), files)
            if before is not None:
                _wipe(before)
        finally:
            if before is not None:
                os.close(before)


def rewrite_keys(connection: Connection, known: Known, secrets: Secrets, files: Files | None = None) -> None:
    """As `write_keys`, of a backup that has a keys part; whoever makes the first one now is waited for.

    For that one may have read the tables before a key went. One that is made later has not.
    """
    with _ONE:
        there = known.place.keys.exists()
    if there:
        write_keys(connection, known, secrets, files)


def read_keys(known_id: str, path: Path, by: list[Any]) -> Keys:
    """The keys part. Raises `Denied` ("wrong-identity"), `Corrupt` ("backup-damaged"), `OSError`."""
    taken = _Taken()
    age.unseal(path, taken, by)
    try:
        part = msgspec.msgpack.decode(bytes(taken.content), type=Keys)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Corrupt("backup-damaged", f"{path} is damaged, and cannot be read.", str(error)) from error
    if part.id != known_id or part.format != FORMAT:
        raise Corrupt("backup-damaged", f"{path} is of another backup.", part.id)
    return part


def renew_keys(
    connection: Connection, backups: Iterable[Known], secrets: Secrets, files: Files | None = None
) -> Renewed:
    """Write the keys part of every known backup anew from the keys that are left.

    To be called after keys were destroyed, outside any transaction. Says which backups could not be reached: their
    keys part still holds what was destroyed. That the disk of one fails is its own failure, not the instance's.
    """
    done: list[str] = []
    unreached: list[tuple[str, str]] = []
    for known in backups:
        if known.state == "forgotten":
            continue
        try:
            write_keys(connection, known, secrets, files)
            done.append(known.id)
        except (KetenError, OSError) as error:
            unreached.append((known.folder, str(error)))
    return Renewed(tuple(done), tuple(unreached))


def discard(known: Known) -> None:
    """Remove a backup that was never finished, its keys first and overwritten: what is erased later may not be in it.

    Raises `Unavailable` ("backup-unreachable") when its place cannot be reached: then it stays known.
    """
    place = known.place
    if not place.folder.parent.is_dir():
        raise Unavailable("backup-unreachable", f"The backup {known.folder} cannot be reached.")
    with _ONE:
        for path in (age.unfinished(place.keys), place.keys):
            _remove(path)
        for path in (age.unfinished(place.data), place.data, place.ended, place.ended_head):
            _remove(path, wipe=False)


class _Taken:
    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, piece: bytes) -> int:
        self.content += piece
        return len(piece)

    def flush(self) -> None:
        return


def _rows(connection: Connection, name: str) -> list[dict[str, Any]]:
    table = Table(name, MetaData(), autoload_with=connection)
    chosen = select(*(raw(column) for column in table.columns)).order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(chosen).mappings()]


def _remove(path: Path, *, wipe: bool = True) -> None:
    """Remove a file, and overwrite it unless told otherwise. Raises `Unavailable` ("backup-unreachable")."""
    opened = _opened(path)
    if opened is None and path.exists():
        raise Unavailable("backup-unreachable", f"{path} cannot be overwritten.")
    if opened is not None:
        try:
            path.unlink()
            if wipe:
                _wipe(opened)
        finally:
            os.close(opened)


def _opened(path: Path) -> int | None:
    try:
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None


def _wipe(descriptor: int) -> None:
    """Overwrite a file that has lost its name: on most disks nothing is left of it then."""
    with suppress(OSError):
        length = os.fstat(descriptor).st_size
        os.pwrite(descriptor, bytes(length), 0)
        os.fsync(descriptor)
