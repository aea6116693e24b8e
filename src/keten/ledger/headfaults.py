"""Verification of the stored head: what it says of itself, and what the tree over the entries says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from keten.core.errors import Corrupt
from keten.ledger.faults import Fault
from keten.ledger.merkle import Edge, fold
from keten.ledger.notes import Checkpoint, Verifier, parse_checkpoint
from keten.ledger.reading import raw
from keten.ledger.tables import cursors, entries, head
from keten.ledger.tiles import WIDTH


class StoredHead(msgspec.Struct, frozen=True):
    """The head as far as it can be believed.

    `root` is None when no signature vouches for one at this size. `own`: its own signature does, and not only that of
    the published checkpoint.
    """

    size: int
    root: bytes | None
    own: bool
    time_us: Any
    faults: tuple[Fault, ...]


def read_head(connection: Connection, verifier: Verifier | None, published: Checkpoint | None) -> StoredHead:
    """The stored head.

    1. There is one row; its note is a checkpoint signed by the key.
    2. Its columns size and root are those of the checkpoint, and its edge gives them too.
    3. Where its signature does not hold, the published checkpoint is gone by, or else the number of entries.
    """
    rows = connection.execute(select(*(raw(column) for column in head.columns))).all()
    if len(rows) != 1:  # 1
        return _without(connection, published, [Fault("head", f"there are {len(rows)} heads instead of one")])
    row = rows[0]
    faults: list[Fault] = []
    if verifier is None:
        faults.append(Fault("head", "there is no key to verify its signature with"))
        return _without(connection, published, faults)
    try:
        signed = parse_checkpoint(row.note if isinstance(row.note, str) else "", verifier)
    except Corrupt as error:
        faults.append(Fault("head", f"its signed note does not hold: {error.public} {error.reason}".strip()))
        return _without(connection, published, faults)  # 3
    if row.size != signed.size:  # 2
        faults.append(Fault("head", f"column size is {row.size!r:.40}, but {signed.size} was signed"))
    if row.root != signed.root:
        faults.append(Fault("head", "column root is not the root that was signed"))
    edge = row.edge if isinstance(row.edge, bytes) else b""
    try:
        decoded = Edge.decode(edge)
        if (decoded.size, decoded.root()) != (signed.size, signed.root):
            faults.append(Fault("head", "column edge does not give the root that was signed"))
    except Corrupt as error:
        faults.append(Fault("head", f"column edge: {error.public}"))
    low_water = row.low_water
    if not isinstance(low_water, int) or not 0 <= low_water <= signed.size:
        faults.append(Fault("head", f"column low_water is {low_water!r:.40}, beyond the ledger"))
    return StoredHead(signed.size, signed.root, True, row.time_us, tuple(faults))


def _without(connection: Connection, published: Checkpoint | None, faults: list[Fault]) -> StoredHead:
    """Step 3 of `read_head`."""
    if published is not None:
        return StoredHead(published.size, published.root, False, None, tuple(faults))
    count = connection.execute(select(func.count()).select_from(entries).where(entries.c.idx >= 0)).scalar()
    return StoredHead(int(count or 0), None, False, None, tuple(faults))


def outside_faults(connection: Connection, size: int) -> Iterator[Fault]:
    """Entries with an index that the head does not cover."""
    columns = (raw(entries.c.idx), raw(entries.c.kind))
    chosen = select(*columns).where((entries.c.idx < 0) | (entries.c.idx >= size)).order_by(entries.c.idx)
    for row in connection.execute(chosen):
        yield Fault("entries", f"it is not covered by the signed head of size {size}", index=row.idx)


def cursor_faults(connection: Connection, size: int) -> Iterator[Fault]:
    """Cursors that are not within the ledger."""
    for name, index in connection.execute(select(raw(cursors.c.name), raw(cursors.c.idx))):
        if not isinstance(index, int) or not 0 <= index <= size:
            what = f"{name!r:.60} is at {index!r:.40}, outside the ledger of {size}"
            yield Fault("cursor", what, table="cursors", row=f"{name}")


class Tree:
    """The tree over the entries as they are: full blocks of 256, and leaf hashes of the blocks that are cut."""

    def __init__(self, blocks: Sequence[bytes | None], kept: Mapping[int, Sequence[bytes | None]]) -> None:
        self.blocks = blocks
        self._kept = kept

    def peaks(self, size: int) -> list[bytes] | None:
        """The complete subtrees of the first `size` entries; None when one of them is missing."""
        full, rest = divmod(size, WIDTH)
        blocks = [each for each in self.blocks[:full] if each is not None]
        tail = [each for each in self._kept.get(full, ())[:rest] if each is not None]
        if len(blocks) != full or len(tail) != rest:
            return None
        return [*Edge().append_many(blocks).hashes, *Edge().append_many(tail).hashes]

    def root(self, size: int) -> bytes | None:
        """The root over the first `size` entries; None when one of them is missing."""
        peaks = self.peaks(size)
        return None if peaks is None else fold(peaks)
