"""A small ledger that grows and publishes as the keeper would, without a database."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from keten.core.ids import encode_id
from keten.ledger.merkle import Edge, leaf_hash
from keten.ledger.notes import Signer, checkpoint_text
from keten.ledger.publish import Publisher
from keten.ledger.tiles import ENTRIES, TileReader, read_bundle, read_hashes, tiles_between
from keten.ledger.treefiles import TreeFiles

START = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)


class Log:
    """Entries with payloads, their leaves, the heads that were signed, and the folder in which they appear."""

    def __init__(self, root: Path, signer: Signer, files: TreeFiles | None = None) -> None:
        self.root = root
        self.signer = signer
        self.edge = Edge()
        self.leaves: list[bytes] = []
        self.payloads: list[str] = []
        self.salts: list[bytes] = []
        self.ids: list[str] = []
        self.notes: dict[int, str] = {}
        self.roots: dict[int, bytes] = {}
        self.publisher = Publisher(root, files)

    def seal(self, size: int, erased: Sequence[int] = ()) -> None:
        """Add entries up to `size` and sign the head; the last one says that the entries `erased` are."""
        first = len(self.leaves)
        for index in range(first, size):
            entry_id = encode_id(hashlib.sha256(b"id %d" % index).digest()[:16])
            time = START + timedelta(microseconds=index // 3)
            details: dict[str, object] = {"count": index, "note": 'quotes " and \\ and é'}
            kind = "test.entry.made"
            if erased and index == size - 1:
                kind, details = "ledger.payloads.erased", {"erased": [[each, kind, 1] for each in erased]}
            payload = json.dumps(
                {"time": time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "kind": kind, "details": details},
                separators=(",", ":"),
                ensure_ascii=False,
            )
            salt = hashlib.sha256(b"salt %d" % index).digest()
            mac = hmac.digest(salt, entry_id.encode() + b"\0" + payload.encode(), "sha256").hex()
            self.ids.append(entry_id)
            self.payloads.append(payload)
            self.salts.append(salt)
            self.leaves.append(f'{{"id":"{entry_id}","v":1,"commitment":"{mac}"}}'.encode())
        self.edge = self.edge.append_many([leaf_hash(leaf) for leaf in self.leaves[first:]])
        self._sign()

    def seal_anew(self) -> None:
        """Sign the leaves as they are now, as somebody does who rewrites the log and has its key."""
        self.edge = Edge().append_many([leaf_hash(leaf) for leaf in self.leaves])
        self._sign()

    def _sign(self) -> None:
        size = len(self.leaves)
        self.roots[size] = self.edge.root()
        self.notes[size] = self.signer.sign(checkpoint_text(self.signer.name, size, self.roots[size]))

    def publish(self, size: int, first: int, publisher: Publisher | None = None) -> None:
        """Publish the head of `size`, which was sealed, sending the leaves from `first` on."""
        leaves = self.leaves[first:size]
        hashes = [leaf_hash(leaf) for leaf in leaves]
        (publisher or self.publisher).advance(leaves, hashes, first, self.notes[size], size, self.roots[size])

    def grow(self, sizes: Sequence[int]) -> None:
        """Seal and publish each of these sizes in turn."""
        for size in sizes:
            first = len(self.leaves)
            self.seal(size)
            self.publish(size, first)


def assert_published(log: Log, root: Path | None = None) -> int:
    """Everything that the checkpoint promises is there and right; its size."""
    folder = root or log.root
    checkpoint = Publisher(folder).published()
    if checkpoint is None:
        return 0
    assert checkpoint.note == log.notes[checkpoint.size]
    reader = TileReader(folder, checkpoint.size, checkpoint.root)
    assert reader.tree_hash() == log.roots[checkpoint.size]
    for tile in tiles_between(0, checkpoint.size):
        first = tile.index * 256
        if tile.level == ENTRIES:
            assert read_bundle(folder, tile) == log.leaves[first : first + tile.width]
        else:
            expected = [reader.hash_at(8 * tile.level, first + at) for at in range(tile.width)]
            assert read_hashes(folder, tile) == b"".join(expected)
            if tile.level == 0:
                assert expected == [leaf_hash(leaf) for leaf in log.leaves[first : first + tile.width]]
    return checkpoint.size


def assert_tidy(log: Log) -> None:
    """Nothing lies about: no staged file, no partial tile beside its full tile."""
    assert list((log.root / ".staging").iterdir()) == []
    for folder in log.root.rglob("*.p"):
        assert not folder.with_suffix("").exists(), folder


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
