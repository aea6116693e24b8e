"""The Merkle tree of RFC 6962 §2.1 over SHA-256: hashes, the right edge to append to, and proofs. Pure.

A tree of n leaves is never held as a whole. `Edge` keeps the roots of its largest complete subtrees, one for
each bit of n, which is enough to append and to compute the root. Proofs ask for the hashes of complete
subtrees through `HashAt`: level 0 is the leaves, and `(level, index)` covers the leaves from index * 2^level
up to (index + 1) * 2^level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

import msgspec

from keten.core.errors import Corrupt, Invalid

HASH_BYTES = 32
MAX_SIZE = (1 << 63) - 1  # what Go's int64, and so every verifier that we know of, can count
EMPTY_ROOT = sha256(b"").digest()
_LEAF = b"\x00"
_NODE = b"\x01"

HashAt = Callable[[int, int], bytes]


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf's bytes: SHA-256(0x00 ‖ leaf)."""
    return sha256(_LEAF + leaf).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """The hashes of several leaves' bytes."""
    return [sha256(_LEAF + leaf).digest() for leaf in leaves]


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(_NODE + left + right).digest()


def pair_up(hashes: Sequence[bytes]) -> list[bytes]:
    """The parents of neighbouring pairs; a last one without a neighbour is left out."""
    each = iter(hashes)
    return [sha256(_NODE + left + right).digest() for left, right in zip(each, each, strict=False)]


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root over complete subtrees of falling size, left to right; `EMPTY_ROOT` for none."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for left in reversed(peaks[:-1]):
        root = node_hash(left, root)
    return root


class Edge(msgspec.Struct, frozen=True):
    """The right edge of a tree: `hashes` are the roots of its complete subtrees, the largest (left) first.

    Making one whose number of hashes does not fit `size` raises `Invalid` ("edge-malformed").
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        fits = 0 <= self.size <= MAX_SIZE and len(self.hashes) == self.size.bit_count()
        if not fits or not _are_hashes(self.hashes):
            raise Invalid("edge-malformed", "The edge of a tree does not fit its size.", f"size {self.size}")

    def append_many(self, leaf_hashes: Sequence[bytes]) -> Edge:
        """The edge after appending these leaf hashes. Raises `Invalid` ("hash-malformed", "tree-full")."""
        if not _are_hashes(leaf_hashes):
            raise Invalid("hash-malformed", "A leaf hash must have 32 bytes.")
        size = self.size + len(leaf_hashes)
        if size > MAX_SIZE:
            raise Invalid("tree-full", "The tree cannot hold more entries.", f"size {size}")
        kept = list(self.hashes)
        fresh: list[bytes] = []  # the new edge from the leaf side
        nodes = list(leaf_hashes)
        level = 0
        while nodes:
            if self.size >> level & 1:  # a complete left neighbour was waiting at this level
                nodes.insert(0, kept.pop())
            if len(nodes) & 1:
                fresh.append(nodes.pop())
            nodes = pair_up(nodes)
            level += 1
        fresh.reverse()
        return Edge(size, (*kept, *fresh))

    def root(self) -> bytes:
        """The tree's root hash."""
        return fold(self.hashes)

    def encode(self) -> bytes:
        """The size as 8 bytes, big-endian, and the hashes one after the other."""
        return self.size.to_bytes(8, "big") + b"".join(self.hashes)

    @classmethod
    def decode(cls, data: bytes) -> Edge:
        """The inverse of `encode`; raises `Corrupt` ("edge-damaged") for anything else."""
        size = int.from_bytes(data[:8], "big")
        if len(data) < 8 or size > MAX_SIZE or len(data) != 8 + HASH_BYTES * size.bit_count():
            raise Corrupt("edge-damaged", "The stored edge of the tree is damaged.", f"{len(data)} bytes")
        return cls(size, tuple(data[at : at + HASH_BYTES] for at in range(8, len(data), HASH_BYTES)))


def inclusion_path(index: int, size: int, hash_at: HashAt) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves (RFC 6962 §2.1.1), from its sibling up.

    Raises `Invalid` ("proof-range") unless 0 ≤ index < size, and whatever `hash_at` raises.
    """
    _check_index(index, size)
    low, high = 0, size
    above: list[bytes] = []
    while (width := high - low) & (width - 1):  # descend until the subtree that holds the leaf is complete
        level = width.bit_length() - 1
        split = low + (1 << level)
        if index < split:
            above.append(_range_root(split, high, hash_at))
            high = split
        else:
            above.append(hash_at(level, low >> level))
            low = split
    path = [hash_at(level, index >> level ^ 1) for level in range((high - low).bit_length() - 1)]
    path.extend(reversed(above))
    return path


def consistency_path(old: int, new: int, hash_at: HashAt) -> list[bytes]:
    """The proof that the first `old` of `new` leaves are the older tree (RFC 6962 §2.1.2).

    Empty when the sizes are equal. Raises `Invalid` ("proof-range") unless 1 ≤ old ≤ new, and whatever
    `hash_at` raises.
    """
    _check_sizes(old, new)
    low, high = 0, new
    above: list[bytes] = []
    whole = True  # the old tree's root itself is known to the verifier and is not part of the proof
    while old != high:
        level = (high - low - 1).bit_length() - 1
        split = low + (1 << level)
        if old <= split:
            above.append(_range_root(split, high, hash_at))
            high = split
        else:
            above.append(hash_at(level, low >> level))
            low = split
            whole = False
    if not whole:
        above.append(_range_root(low, high, hash_at))
    above.reverse()
    return above


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that the leaf with hash `leaf` stands at `index` in the tree of `size`, `root`.

    Raises `Invalid` ("proof-range") unless 0 ≤ index < size: no proof can be about such a place.
    """
    _check_index(index, size)
    inner = (index ^ (size - 1)).bit_length()  # levels below where the leaf's way meets the right edge
    if len(path) != inner + (index >> inner).bit_count() or not _are_hashes((leaf, root, *path)):
        return False
    node = leaf
    for level, sibling in enumerate(path):
        left = level >= inner or index >> level & 1
        node = node_hash(sibling, node) if left else node_hash(node, sibling)
    return node == root


def verify_consistency(old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether `path` proves that the tree of `new` leaves extends the tree of `old` (RFC 9162 §2.1.4.2).

    Raises `Invalid` ("proof-range") unless 1 ≤ old ≤ new: everything is consistent with the empty tree, and
    saying so would look like evidence.
    """
    _check_sizes(old, new)
    if not _are_hashes((old_root, new_root, *path)):
        return False
    if old == new:
        return not path and old_root == new_root
    return _climb(old, new, [old_root, *path] if is_complete(old) else path) == (old_root, new_root)


def proven_root(old: int, new: int, path: Sequence[bytes], new_root: bytes) -> bytes | None:
    """The root at `old` leaves that `path` proves for the tree of `new` leaves with `new_root`, whatever it is.

    None when it proves none: it does not lead to `new_root`; or `old` is a power of two, whose root a consistency proof
    leaves out, so that it only says whether a given one is right. Raises `Invalid` ("proof-range") as
    `verify_consistency`.
    """
    _check_sizes(old, new)
    if old == new or is_complete(old) or not _are_hashes((new_root, *path)):
        return None
    roots = _climb(old, new, path)
    return roots[0] if roots is not None and roots[1] == new_root else None


def root_at(size: int, hash_at: HashAt) -> bytes:
    """The root over the first `size` leaves, from the hashes of complete subtrees; `EMPTY_ROOT` for none."""
    return _range_root(0, size, hash_at)


def is_complete(size: int) -> bool:
    """Whether a tree of so many leaves is one complete subtree: a power of two."""
    return size & (size - 1) == 0


def _climb(old: int, new: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The roots at both sizes that these hashes give, the first of them being a node of both trees; None if none."""
    if not hashes:
        return None
    last, end = old - 1, new - 1
    while last & 1:
        last >>= 1
        end >>= 1
    older = newer = hashes[0]
    for sibling in hashes[1:]:
        if end == 0:
            return None
        if last & 1 or last == end:
            older = node_hash(sibling, older)
            newer = node_hash(sibling, newer)
            while last and not last & 1:
                last >>= 1
                end >>= 1
        else:
            newer = node_hash(newer, sibling)
        last >>= 1
        end >>= 1
    return (older, newer) if end == 0 else None


def _range_root(low: int, high: int, hash_at: HashAt) -> bytes:
    """The root over leaves low up to high; low is a multiple of a power of two not below their number."""
    peaks = []
    while low < high:
        level = (high - low).bit_length() - 1
        peaks.append(hash_at(level, low >> level))
        low += 1 << level
    return fold(peaks)


def _are_hashes(values: Sequence[bytes]) -> bool:
    return set(map(len, values)) <= {HASH_BYTES}


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size <= MAX_SIZE:
        raise Invalid("proof-range", "There is no such entry in a ledger of that size.", f"{index} of {size}")


def _check_sizes(old: int, new: int) -> None:
    if not 1 <= old <= new <= MAX_SIZE:
        raise Invalid("proof-range", "These two sizes cannot be compared.", f"{old} and {new}")
