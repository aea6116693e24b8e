"""Verification of 256 neighbouring entries at a glance: either all of them hold, or each has to be looked at.

Nearly always all of them hold, and to see that takes less than half of the work of looking at each for what could be
wrong with it. Nothing is left out: whatever `keten.ledger.ranges` finds in an entry makes its block fail here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec

from keten.core.clock import rfc3339
from keten.ledger.merkle import leaf_hashes
from keten.ledger.postings import kind_ref
from keten.ledger.reading import UNREADABLE
from keten.ledger.sealing import SALT_BYTES, leaf_bytes

# HMAC (RFC 2104) by hand, for a key that is shorter than SHA-256's block: as `keten.ledger.sealing.commitment`, in two
# thirds of its time.
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
_INNER_REST = b"\x36" * (64 - SALT_BYTES)
_OUTER_REST = b"\x5c" * (64 - SALT_BYTES)
_LEAF = leaf_bytes("%s", "%s").decode("ascii")
_TYPES = (int, str, int, str, bytes, bytes, bytes)  # of the columns of `entries`


class Read(msgspec.Struct, frozen=True, gc=False):
    """What verification needs of every payload."""

    time: str
    kind: str
    actor: str
    subjects: tuple[str, ...] = ()
    refs: dict[str, str] = {}


read = msgspec.json.Decoder(Read).decode


class Block(msgspec.Struct, frozen=True, gc=False):
    """Entries that hold: `read` is of their payloads."""

    times: Sequence[int]
    kinds: Sequence[str]
    payloads: Sequence[bytes]
    leaves: Sequence[bytes]
    hashes: Sequence[bytes]
    read: Sequence[Read]

    def lists(self) -> dict[str, bytearray]:
        """The lists that they belong in, as `listfaults.Wanted` takes them → their places in the block."""
        lists: dict[str, bytearray] = defaultdict(bytearray)
        names = {kind: kind_ref(kind) for kind in set(self.kinds)}
        for place, what in enumerate(self.read):
            for ref in {names[what.kind], what.actor, *what.subjects, *what.refs.values()}:
                lists[ref].append(place)
        return lists


def holding(rows: Sequence[Sequence[Any]], first: int, since_us: int) -> Block | None:
    """These rows of `entries`, from index `first` on, when every one of them holds; None when one may not.

    1. Every index is there once, every column is of its type, and no time is before the one before it, nor before
       `since_us` (microseconds).
    2. Each leaf is the one that commits to the payload, under the salt and the id beside it.
    3. Each payload is that of an entry, with the time and kind that the columns say.
    """
    indexes, ids, times, kinds, payloads, salts, leaves = columns = tuple(zip(*rows, strict=True))
    if indexes != tuple(range(first, first + len(rows))):  # 1
        return None
    if any({*map(type, each)} != {kind} for each, kind in zip(columns, _TYPES, strict=True)):
        return None
    if times[0] < since_us or tuple(sorted(times)) != times or {*map(len, salts)} != {SALT_BYTES}:
        return None
    try:
        if _leaves(ids, salts, payloads) != list(leaves):  # 2
            return None
        found = list(map(read, payloads))  # 3
        texts = {each: rfc3339(each) for each in set(times)}
    except UNREADABLE:
        return None
    if [each.kind for each in found] != list(kinds) or [each.time for each in found] != [texts[at] for at in times]:
        return None
    return Block(times, kinds, payloads, leaves, leaf_hashes(leaves), found)


def _leaves(ids: Sequence[str], salts: Sequence[bytes], payloads: Sequence[bytes]) -> list[bytes]:
    """The leaves that these entries must have."""
    inner = [
        sha256(salt.translate(_INNER) + _INNER_REST + entry_id.encode("ascii") + b"\0" + payload).digest()
        for entry_id, salt, payload in zip(ids, salts, payloads, strict=True)
    ]
    return [
        (_LEAF % (entry_id, sha256(salt.translate(_OUTER) + _OUTER_REST + digest).hexdigest())).encode("ascii")
        for entry_id, salt, digest in zip(ids, salts, inner, strict=True)
    ]
