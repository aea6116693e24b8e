"""Proofs about the published ledger, made from its tiles."""

from __future__ import annotations

import msgspec

from keten.core.errors import Invalid
from keten.ledger.merkle import consistency_path, inclusion_path, verify_consistency, verify_inclusion
from keten.ledger.tiles import TileReader


class InclusionProof(msgspec.Struct, frozen=True):
    """That a leaf stands at `index` of a log of `size` leaves; `path` from its sibling to the root's child."""

    index: int
    size: int
    path: tuple[bytes, ...]

    def holds(self, leaf_hash: bytes, root: bytes) -> bool:
        """Whether it proves this leaf in the tree with this root. `Invalid` ("proof-range") for no such place."""
        return verify_inclusion(leaf_hash, self.index, self.size, self.path, root)


class ConsistencyProof(msgspec.Struct, frozen=True):
    """That a log of `new` leaves begins with the log of `old` leaves."""

    old: int
    new: int
    path: tuple[bytes, ...]

    def holds(self, old_root: bytes, new_root: bytes) -> bool:
        """Whether it proves that these two heads are of one log. `Invalid` ("proof-range") for such sizes."""
        return verify_consistency(self.old, self.new, self.path, old_root, new_root)


def prove_inclusion(reader: TileReader, index: int, size: int | None = None) -> InclusionProof:
    """The proof for the leaf at `index` in the log as it was at `size` leaves (left out: the reader's size).

    Raises `Invalid` ("proof-range") unless 0 ≤ index < size ≤ the reader's size, and as `TileReader` does.
    """
    at = _within(reader, size)
    return InclusionProof(index, at, tuple(inclusion_path(index, at, reader.hash_at)))


def prove_consistency(reader: TileReader, old: int, new: int | None = None) -> ConsistencyProof:
    """The proof from the log of `old` leaves to that of `new` leaves (left out: the reader's size).

    Raises `Invalid` ("proof-range") unless 1 ≤ old ≤ new ≤ the reader's size, and as `TileReader` does.
    """
    to = _within(reader, new)
    return ConsistencyProof(old, to, tuple(consistency_path(old, to, reader.hash_at)))


def _within(reader: TileReader, size: int | None) -> int:
    if size is not None and size > reader.size:
        raise Invalid("proof-range", "The ledger is not that large.", f"{size} of {reader.size}")
    return reader.size if size is None else size
