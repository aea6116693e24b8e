"""From drafts to sealed entries and a new signed head. Pure: reads no clock, touches no database.

An entry's id looks random to everyone but the keeper: it is the entry's index, encrypted as one AES block under a
key that only the keeper has, so an id is found again without an index on 128-bit random keys, whose upkeep would
rewrite a database page for every entry (docs/decisions/0002-entry-ids.md).
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Sequence
from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from keten.core.clock import rfc3339
from keten.core.errors import Corrupt
from keten.core.ids import decode_id, encode_id, is_id
from keten.ledger.merkle import Edge, leaf_hash
from keten.ledger.model import Draft, Payload, Sealed
from keten.ledger.notes import Signer, Verifier, checkpoint_text, parse_checkpoint

SALT_BYTES = 32
LEAF_VERSION = 1
_BLOCK_BYTES = 64  # of SHA-256
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
_encode = msgspec.json.Encoder().encode


class Head(msgspec.Struct, frozen=True):
    """The newest signed head. `edge`: the right edge of the tree, enough to append to it."""

    size: int
    root: bytes
    edge: Edge
    note: str
    time_us: int


class Batch(msgspec.Struct, frozen=True):
    """What one commit seals. `rows`: of table `entries`, in the order of its columns."""

    first: int
    drafts: Sequence[Draft]
    rows: list[tuple[object, ...]]
    leaves: list[bytes]
    leaf_hashes: list[bytes]
    sealed: list[Sealed]
    head: Head


class EntryIds:
    """Entry ids for one log: a pseudo-random permutation of (log, index).

    `before`: the names of the logs that it goes on from, each with the index at which the next one begins.
    """

    def __init__(self, key: bytes, origin: str, before: Sequence[tuple[str, int]] = ()) -> None:
        # One block each, never a message: here ECB is the permutation itself.
        self._cipher = Cipher(AES(key[:16]), ECB())  # noqa: S305  # see above
        self._log = sha256(origin.encode()).digest()[:8]
        self._log_number = int.from_bytes(self._log, "big")
        starts = [0, *(end for _name, end in before)]
        self._before = {
            sha256(name.encode()).digest()[:8]: range(start, end)
            for start, (name, end) in zip(starts, before, strict=False)
        }
        self._first = starts[-1]

    def many(self, first: int, count: int) -> list[str]:
        """The ids of `count` entries from index `first`."""
        halves = [self._log_number] * (2 * count)
        halves[1::2] = range(first, first + count)
        raw = self._cipher.encryptor().update(struct.pack(f">{2 * count}Q", *halves))
        return [encode_id(raw[at : at + 16]) for at in range(0, len(raw), 16)]

    def index(self, entry_id: str) -> int | None:
        """The index of an id, or None when it is not an id of this log, nor of one before it that it holds."""
        if not is_id(entry_id):
            return None
        plain = self._cipher.decryptor().update(decode_id(entry_id))
        index = int(struct.unpack(">Q", plain[8:])[0])
        if hmac.compare_digest(plain[:8], self._log):
            return index if index >= self._first else None
        earlier = self._before.get(plain[:8])
        return index if earlier is not None and index in earlier else None


class Sealer:
    """Seals drafts after a head."""

    def __init__(self, signer: Signer, origin: str, ids: EntryIds) -> None:
        self._signer = signer
        self.origin = origin
        self.ids = ids

    def empty(self) -> Head:
        """The head of a log without entries."""
        edge = Edge(0, ())
        return Head(0, edge.root(), edge, self._signer.sign(checkpoint_text(self.origin, 0, edge.root())), 0)

    def checkpoint(self, size: int, root: bytes) -> str:
        """The signed note of a head that this log had; the same bytes as when it was sealed (Ed25519 is deterministic).

        Never for what is not known to have been signed before.
        """
        return self._signer.sign(checkpoint_text(self.origin, size, root))

    def seal(self, head: Head, drafts: Sequence[Draft], time_us: int) -> Batch:
        """Seal `drafts`, all at `time_us` (never before the head's own time).

        1. Encode each payload; from here on its bytes are what counts.
        2. Commit to it: HMAC-SHA256 under a fresh 256-bit salt, over id ‖ 0x00 ‖ payload.
        3. The leaf is {"id", "v", "commitment"}; its RFC 6962 hash goes into the tree.
        4. Sign the new size and root as a checkpoint.
        """
        time_us = max(time_us, head.time_us)
        time = rfc3339(time_us)
        first = head.size
        ids = self.ids.many(first, len(drafts))
        salts = os.urandom(SALT_BYTES * len(drafts))
        rows: list[tuple[object, ...]] = []
        leaves: list[bytes] = []
        for offset, draft in enumerate(drafts):
            entry_id = ids[offset]
            payload = _encode(  # 1
                Payload(time, draft.kind.name, draft.actor, draft.subjects, draft.refs, draft.details, draft.personal)
            )
            salt = salts[offset * SALT_BYTES : (offset + 1) * SALT_BYTES]
            leaf = leaf_bytes(entry_id, commitment(salt, entry_id, payload))  # 2, 3
            leaves.append(leaf)
            rows.append((first + offset, entry_id, time_us, draft.kind.name, payload, salt, leaf))
        hashes = [leaf_hash(leaf) for leaf in leaves]
        edge = head.edge.append_many(hashes)
        root = edge.root()
        size = first + len(drafts)
        note = self._signer.sign(checkpoint_text(self.origin, size, root))  # 4
        sealed = [Sealed(first + offset, entry_id, time_us) for offset, entry_id in enumerate(ids)]
        return Batch(first, drafts, rows, leaves, hashes, sealed, Head(size, root, edge, note, time_us))


def commitment(salt: bytes, entry_id: str, payload: bytes) -> str:
    """Hex of HMAC-SHA256(salt, id ‖ 0x00 ‖ payload).

    Written out (RFC 2104 §2), for `hmac.digest` looks its hash up by name at every call: three quarters of its time.
    """
    key = (salt if len(salt) <= _BLOCK_BYTES else sha256(salt).digest()).ljust(_BLOCK_BYTES, b"\0")
    inner = sha256(key.translate(_INNER) + entry_id.encode("ascii") + b"\0" + payload).digest()
    return sha256(key.translate(_OUTER) + inner).hexdigest()


def leaf_bytes(entry_id: str, commitment_hex: str) -> bytes:
    """The leaf's bytes: compact JSON with a fixed order."""
    return f'{{"id":"{entry_id}","v":{LEAF_VERSION},"commitment":"{commitment_hex}"}}'.encode("ascii")


def head_from_row(row: dict[str, object], verifier: Verifier) -> Head:
    """A stored head, checked.

    1. Each column is of its type: a damaged SQLite row can hold any value.
    2. The signature is ours and over this size and root.
    3. The edge is of this size and hashes to this root.

    Raises `Corrupt` ("head-damaged", and what `parse_checkpoint` raises).
    """
    size, root, encoded, note, time_us = (row[name] for name in ("size", "root", "edge", "note", "time_us"))
    if not (  # 1
        isinstance(size, int)
        and isinstance(root, bytes)
        and isinstance(encoded, bytes)
        and isinstance(note, str)
        and isinstance(time_us, int)
    ):
        raise Corrupt("head-damaged", "The ledger's head is damaged.", "a column is of another type")
    checkpoint = parse_checkpoint(note, verifier)  # 2
    edge = Edge.decode(encoded)
    if (checkpoint.size, checkpoint.root) != (size, root) or edge.size != size or edge.root() != root:  # 3
        raise Corrupt("head-damaged", "The ledger's head does not match its signature.", f"at size {size}")
    return Head(size, root, edge, note, time_us)
