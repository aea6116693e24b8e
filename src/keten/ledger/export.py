"""A copy of the ledger for an auditor: the public tree, the verifier key, and every payload with its salt.

What is copied is checked on the way: the entries must have the root that was signed, or nothing is exported.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from keten.core.errors import Conflict, Corrupt, Invalid, Unavailable
from keten.core.files import Files, disk_error
from keten.ledger.merkle import root_at
from keten.ledger.notes import MAX_NOTE_BYTES, Checkpoint, Verifier, parse_checkpoint
from keten.ledger.outside import kept_stamps
from keten.ledger.publish import CHECKPOINT, WITNESSED, Publisher
from keten.ledger.reading import missing
from keten.ledger.sealing import Head
from keten.ledger.succession import PREDECESSORS, encode, read
from keten.ledger.tables import entries
from keten.ledger.tiles import TileReader, read_file
from keten.ledger.writing import load_head

ENTRIES_FILE = "entries.jsonl"
POLICY_FILE = "witnesses.policy"
STAMPS_FOLDER = "stamps"
KEY_FILE = "key.pub"
UNFINISHED = ".unfinished-export"
_CHUNK = 2048
_encode = msgspec.json.Encoder().encode

Progress = Callable[[int, int], None]


class Exported(msgspec.Struct, frozen=True):
    """What was copied: the log's origin, and the size and root (hex) of the checkpoint it is a copy at."""

    origin: str
    size: int
    root: str


def export(
    connection: Connection,
    ledger_folder: Path,
    target: Path,
    progress: Progress | None = None,
    files: Files | None = None,
    policy: bytes | None = None,
) -> Exported:
    """Copy the ledger as of its newest head into `target`, a new or empty folder that only its owner may read.

    1. Take the head out of the transaction that `connection` is in; all entries come out of that transaction too.
    2. Claim the target: a folder `.unfinished-export` in it says that what is there is not an export yet.
    3. Write the payloads, each as the exact text that was committed to.
    4. Write the tree from the leaves; it must have the signed root, or nothing remains of the export.
    5. What outsiders signed of it: the newest witnessed checkpoint, the `policy` file's bytes, every time stamp.
    6. Move everything to its place, the checkpoint last; a reader of half an export finds none.

    `progress(done, total)` counts entries. Raises `Conflict` ("not-empty"), `Invalid` ("export-target"), `Corrupt`
    (a damaged head, entry or tree) and `Unavailable` ("disk-full", …).
    """
    files = files or Files()
    key = _read_key(ledger_folder / KEY_FILE)
    verifier = Verifier.parse(key)
    chain = read(ledger_folder)
    newest = load_head(connection, verifier)  # 1
    if newest is None:
        raise Corrupt("head-missing", "The database has no signed head.")
    staging = _claim(target, files)  # 2
    try:
        _write_entries(connection, staging / ENTRIES_FILE, newest.size, progress, files)  # 3
        _write_tree(connection, staging, verifier, newest.note, newest.size, newest.root)  # 4
        files.write(staging / KEY_FILE, f"{key.strip()}\n".encode())
        _write_outside(connection, ledger_folder, staging, verifier, newest, policy, files)  # 5
        if chain:
            files.write(staging / PREDECESSORS, encode(chain))
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise disk_error(error, target) from error
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _release(staging, target, files)  # 6
    return Exported(verifier.name, newest.size, newest.root.hex())


def _claim(target: Path, files: Files) -> Path:
    """Step 2."""
    staging = target / UNFINISHED
    try:
        files.make_folder(target, 0o700)
        found = sorted(path.name for path in target.iterdir())
        if UNFINISHED in found:
            raise Conflict("not-empty", f"{target} holds an export that was not finished; remove it first.")
        if found:
            raise Conflict("not-empty", f"{target} is not empty; an export is made in a new folder.", found[0])
        files.make_folder(staging, 0o700)
    except NotADirectoryError as error:
        raise Invalid("export-target", f"{target} is not a folder.") from error
    except OSError as error:
        raise disk_error(error, target) from error
    return staging


def _write_entries(
    connection: Connection, path: Path, total: int, progress: Progress | None, files: Files
) -> None:
    """Step 3: one JSON object a line (docs/formats/ledger.md), readable by the owner alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        done = 0
        for lines in _lines(connection, total):
            stream.write(b"".join(lines))
            done += len(lines)
            if progress is not None:
                progress(done, total)
        files.sync(stream)


def _lines(connection: Connection, total: int) -> Iterator[list[bytes]]:
    columns = (entries.c.idx, entries.c.id, entries.c.payload, entries.c.salt)
    for first in range(0, total, _CHUNK):
        end = min(first + _CHUNK, total)
        chosen = select(*columns).where(entries.c.idx >= first, entries.c.idx < end).order_by(entries.c.idx)
        lines = [_line(*row) for row in connection.execute(chosen)]
        if len(lines) != end - first:
            raise missing(first)
        yield lines


def _line(index: int, entry_id: str, payload: bytes | None, salt: bytes | None) -> bytes:
    erased = payload is None and salt is None
    try:
        line: dict[str, Any] = {
            "index": index,
            "id": entry_id,
            "payload": None if payload is None else payload.decode("utf-8"),
            "salt": None if salt is None else base64.b64encode(salt).decode("ascii"),
            "state": "erased" if erased else "present",
        }
    except (AttributeError, TypeError, UnicodeDecodeError) as error:
        raise Corrupt("entry-damaged", f"Entry {index} of the ledger is damaged.", str(error)) from error
    return _encode(line) + b"\n"


def _write_tree(
    connection: Connection, staging: Path, verifier: Verifier, note: str, size: int, root: bytes
) -> None:
    """Step 4."""

    def leaves(first: int, end: int) -> list[bytes]:
        chosen = select(entries.c.leaf).where(entries.c.idx >= first, entries.c.idx < end)
        return list(connection.execute(chosen.order_by(entries.c.idx)).scalars())

    publisher = Publisher(staging, verifier=verifier)
    try:
        publisher.rebuild(leaves, note, size, root)
    finally:
        publisher.close()
    for path in staging.glob(".*"):  # the publisher's own lock and staging
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _write_outside(
    connection: Connection,
    ledger_folder: Path,
    staging: Path,
    verifier: Verifier,
    newest: Head,
    policy: bytes | None,
    files: Files,
) -> None:
    """Step 5. A witnessed checkpoint, or a stamp, of a head that this copy does not lead to would be no part of it."""
    reader = TileReader(staging, newest.size, newest.root)
    witnessed = ledger_folder / WITNESSED
    if witnessed.exists():
        note = read_file(ledger_folder, WITNESSED, MAX_NOTE_BYTES)
        checkpoint = parse_checkpoint(note, verifier)
        if checkpoint.size <= newest.size:  # a newer one is of what was recorded meanwhile
            _require_part(reader, checkpoint)
            files.write(staging / WITNESSED, note)
    if policy is not None:
        files.write(staging / POLICY_FILE, policy)
    for size, _root, note_text, stamp, _time_us in kept_stamps(connection):
        _require_part(reader, parse_checkpoint(note_text, verifier))
        files.make_folder(staging / STAMPS_FOLDER, 0o700)
        files.write(staging / STAMPS_FOLDER / f"{size}.checkpoint", note_text.encode())
        files.write(staging / STAMPS_FOLDER / f"{size}.tsr", stamp)


def _require_part(reader: TileReader, checkpoint: Checkpoint) -> None:
    if root_at(checkpoint.size, reader.hash_at) != checkpoint.root:
        public = "An outside signature is of another history than this ledger's; see 'keten ledger verify'."
        raise Corrupt("checkpoint-split", public, f"at size {checkpoint.size}")


def _release(staging: Path, target: Path, files: Files) -> None:
    """Step 6."""
    try:
        names = sorted(path.name for path in staging.iterdir() if path.name != CHECKPOINT)
        for name in (*names, CHECKPOINT):
            files.rename(staging / name, target / name)
        staging.rmdir()
        files.sync_folder(target)
    except OSError as error:
        raise disk_error(error, target) from error


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Corrupt("key-damaged", f"The verifier key {path} is damaged.", str(error)) from error
    except OSError as error:
        raise Unavailable("key-missing", f"The verifier key {path} cannot be read.", str(error)) from error
