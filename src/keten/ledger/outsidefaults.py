"""Verification of what outsiders signed: it holds, and it is of this very log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from sqlalchemy import Connection

from keten.core.errors import Corrupt, KetenError
from keten.ledger.cosignatures import cosignatures
from keten.ledger.faults import Fault
from keten.ledger.merkle import root_at
from keten.ledger.notes import MAX_NOTE_BYTES, Verifier, parse_checkpoint
from keten.ledger.outside import kept_stamps, read_outside
from keten.ledger.publish import CHECKPOINT, WITNESSED
from keten.ledger.quorum import Policy
from keten.ledger.stamps import verify_stamp
from keten.ledger.tiles import TileReader, read_file


def outside_signature_faults(
    connection: Connection,
    folder: Path,
    verifier: Verifier,
    policy: Policy | None,
    roots: tuple[x509.Certificate, ...],
) -> Iterator[Fault]:
    """What does not hold of the outside signatures.

    1. `witnessed`, where it is, is a head of this log, with enough cosignatures that hold.
    2. So is each cosigned head in the database.
    3. Each stamp is of a head of this log, and leads to `roots` (empty: that is not looked at).

    A head is of this log when the published tree has its root at its size.
    """
    try:
        published = parse_checkpoint(read_file(folder, CHECKPOINT, MAX_NOTE_BYTES), verifier)
    except KetenError:
        return  # named by the verification of the published tree
    reader = TileReader(folder, published.size, published.root)
    if (folder / WITNESSED).exists():  # 1
        yield from _named(WITNESSED, _witnessed(folder, verifier, policy, reader))
    if policy is not None:  # 2
        for label, one in read_outside(connection, verifier.name, policy).last.items():
            if one.size <= published.size:
                yield from _named(f"cosignature of {label}", _part(one.size, one.root, reader))
    for size, root, note, stamp, _time in kept_stamps(connection):  # 3
        if size <= published.size:
            yield from _named(f"stamp of {size} entries", _stamped(size, root, note, stamp, verifier, roots, reader))


def _named(name: str, faults: Iterator[str]) -> Iterator[Fault]:
    try:
        for what in faults:
            yield Fault("outside", what, file=name)
    except KetenError as error:
        yield Fault("outside", f"{error.public} {error.reason}".strip(), file=name)


def _witnessed(folder: Path, verifier: Verifier, policy: Policy | None, reader: TileReader) -> Iterator[str]:
    checkpoint = parse_checkpoint(read_file(folder, WITNESSED, MAX_NOTE_BYTES), verifier)
    if checkpoint.size > reader.size:
        yield f"it is of {checkpoint.size} entries, and {reader.size} are published: the ledger was set back"
        return
    yield from _part(checkpoint.size, checkpoint.root, reader)
    if policy is not None:
        found = cosignatures(checkpoint.note, policy.keys)
        if not policy.satisfied({one.label for one in found}):
            yield "it has fewer cosignatures than the policy asks for"


def _stamped(
    size: int,
    root: bytes,
    note: str,
    stamp: bytes,
    verifier: Verifier,
    roots: tuple[x509.Certificate, ...],
    reader: TileReader,
) -> Iterator[str]:
    checkpoint = parse_checkpoint(note, verifier)
    if (checkpoint.size, checkpoint.root) != (size, root):
        yield "its columns are not those of the checkpoint that was stamped"
    yield from _part(checkpoint.size, checkpoint.root, reader)
    if roots:
        verify_stamp(stamp, note, roots)


def _part(size: int, root: bytes, reader: TileReader) -> Iterator[str]:
    try:
        same = root_at(size, reader.hash_at) == root
    except Corrupt:
        return  # a damaged tile is named by the verification of the published tree
    if not same:
        yield f"it is of another history: the ledger's first {size} entries have another root"
