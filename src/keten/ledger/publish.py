"""Publishing the ledger as files (c2sp.org/tlog-tiles): tiles and bundles, then the checkpoint over them."""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from keten.core.errors import Busy, Conflict, Corrupt, FsyncFailed, Invalid
from keten.core.files import disk_error
from keten.ledger.merkle import Edge, fold, leaf_hash, pair_up, root_at
from keten.ledger.notes import (
    MAX_NOTE_BYTES,
    Checkpoint,
    Verifier,
    parse_checkpoint,
    unverified_checkpoint,
)
from keten.ledger.tiles import (
    ENTRIES,
    HEIGHT,
    WIDTH,
    Tile,
    TileReader,
    edge_tiles,
    encode_bundle,
    read_bundle,
    read_file,
    tile_at,
)
from keten.ledger.treefiles import TreeFiles

CHECKPOINT = "checkpoint"
WITNESSED = "witnessed"
_STAGING = ".staging"
_LOCK = ".publisher.lock"
_REBUILD_LEAVES = 16 * WIDTH

LeavesOf = Callable[[int, int], Sequence[bytes]]


class _Right(msgspec.Struct, frozen=True):
    """What must be known to go on: the leaves and hashes of the rightmost tiles that are not full."""

    size: int = 0
    leaves: tuple[bytes, ...] = ()
    levels: tuple[tuple[bytes, ...], ...] = ()

    def root(self) -> bytes:
        """The root of the tree."""
        return fold([peak for level in reversed(self.levels) for peak in Edge().append_many(level).hashes])

    def files(self) -> list[tuple[Tile, bytes]]:
        """The rightmost bundle and tiles, as far as they are partial."""
        rows = [(ENTRIES, encode_bundle(self.leaves))] if self.leaves else []
        rows += [(level, b"".join(row)) for level, row in enumerate(self.levels) if row]
        return [(tile_at(level, self.size >> HEIGHT * (max(level, 0) + 1), self.size), row) for level, row in rows]


class Publisher:
    """The only writer of a published ledger, in the folder `root`.

    `published` may be asked by anyone; the first write takes the writer's lock, which is held until `close`.
    With a `verifier`, checkpoints that this log's key did not sign are refused, in the folder and as
    argument.
    """

    def __init__(self, root: Path, files: TreeFiles | None = None, verifier: Verifier | None = None) -> None:
        self.root = root
        self._files = files or TreeFiles(root / _STAGING)
        self._verifier = verifier
        self._right: _Right | None = None
        self._lock: weakref.finalize[[int], Publisher] | None = None
        self._superseded: set[Path] = set()
        self._stopped = False

    def published(self) -> Checkpoint | None:
        """The checkpoint in the folder, or None before the first one.

        Raises `Corrupt` when the file is not a checkpoint or not of this log, `Unavailable` when unreadable.
        """
        try:
            note = read_file(self.root, CHECKPOINT, MAX_NOTE_BYTES)
        except Corrupt as error:
            if error.code == "tile-missing":
                return None
            raise
        return self._read(note)

    def advance(
        self,
        leaves: Sequence[bytes],
        leaf_hashes: Sequence[bytes] | None,
        first_index: int,
        checkpoint_note: str,
        new_size: int,
        new_root: bytes,
    ) -> None:
        """Publish the leaves from `first_index` up to `new_size`, and then the checkpoint over them.

        Leaves that are published already may come again. After a crash or an error at any point the same
        call, or one that reaches further, completes it.

        1. Take the writer's lock; find out from the last checkpoint's files where to go on.
        2. The checkpoint is of this size and root, and neither older than the published one nor another of
           the same size.
        3. Compute the new tiles. Leaf hashes and root must come out as given.
        4. Write bundles and tiles durably.
        5. Write the checkpoint durably.
        6. Remove the partial tiles that full ones now stand in for.

        Raises `Busy` (1), `Corrupt` (1, 2, 3: nothing was written), `Conflict` and `Invalid` (2),
        `Unavailable` (4, 5: the old checkpoint holds), `FsyncFailed` (only a new process may go on).
        """
        right = self._ready()  # 1
        self._check(checkpoint_note, right, new_size, new_root)  # 2
        if first_index < 0 or first_index + len(leaves) != new_size:
            raise Invalid("ledger-range", "These entries do not end at the new size.", f"{first_index} {new_size}")
        if first_index > right.size:
            raise Conflict("ledger-gap", "Entries before these are not published.", f"{right.size}, {first_index}")
        fresh = leaves[right.size - first_index :]
        hashes = [leaf_hash(leaf) for leaf in fresh]  # 3
        if leaf_hashes is not None and list(leaf_hashes[right.size - first_index :]) != hashes:
            raise Corrupt("leaf-hash-wrong", "A stored leaf hash is not that of its leaf.", f"from {right.size}")
        tiles, after = _grow(right, fresh, hashes)
        self._publish(tiles, after, right.size, checkpoint_note, new_root)

    def cosigned(self, note: str, *, enough: bool) -> None:
        """Publish a checkpoint that was published before, with cosignatures.

        1. It is this log's, and of the published tree or of a part of it.
        2. Where it is the newest one still, it takes the place of `checkpoint`.
        3. With `enough` cosignatures it is `witnessed`, unless a newer one is.

        Raises `Busy`, `Corrupt`, `Conflict` ("checkpoint-newer"), `Unavailable`, `FsyncFailed`.
        """
        right = self._ready()  # 1
        checkpoint = self._read(note)
        if checkpoint.size > right.size:
            raise Conflict("checkpoint-newer", "This checkpoint is not published yet.", f"{checkpoint.size}")
        reader = TileReader(self.root, right.size, right.root(), cached_tiles=16)
        if root_at(checkpoint.size, reader.hash_at) != checkpoint.root:
            raise Corrupt("checkpoint-split", "Another root is published for this size.", f"size {checkpoint.size}")
        if checkpoint.size == right.size:  # 2
            self._write([(self.root / CHECKPOINT, note.encode())])
        if enough and checkpoint.size >= self._witnessed_size():  # 3
            self._write([(self.root / WITNESSED, note.encode())])

    def _witnessed_size(self) -> int:
        try:
            return self._read(read_file(self.root, WITNESSED, MAX_NOTE_BYTES)).size
        except Corrupt:
            return 0  # none yet, or one that is no use

    def rebuild(self, leaves_of: LeavesOf, checkpoint_note: str, size: int, root: bytes) -> None:
        """Write everything anew from the leaves, whatever lies in the folder, and then the checkpoint.

        `leaves_of(first, end)` gives the leaves from `first` up to, not including, `end`. It is asked twice
        for each: nothing is written unless they have this root. A checkpoint in the folder that can be read
        must not be newer. Raises as `advance` does.
        """
        self._take_lock()
        self._right = None
        try:
            before = self.published()
        except Corrupt:
            before = None  # what a rebuild is for
        self._check(checkpoint_note, before or _Right(), size, root)
        edge = Edge()
        for leaves in _runs(leaves_of, size):
            edge = edge.append_many([leaf_hash(leaf) for leaf in leaves])
        if edge.root() != root:
            raise Corrupt("root-wrong", "The entries do not have the root that was signed.", f"at size {size}")
        right = _Right()
        for leaves in _runs(leaves_of, size):
            tiles, right = _grow(right, leaves, [leaf_hash(leaf) for leaf in leaves])
            self._write(self._place([pair for pair in tiles if pair[0].width == WIDTH]))
        self._publish(right.files(), right, 0, checkpoint_note, root)

    def close(self) -> None:
        """Give up the writer's lock. What was published stays; the next write takes the lock again."""
        self._right = None
        if self._lock is not None:
            self._lock()
            self._lock = None

    def _ready(self) -> _Right:
        """Step 1 of `advance`."""
        self._take_lock()
        if self._right is None:
            checkpoint = self.published()
            self._right = self._recover(checkpoint) if checkpoint else _Right()
            self._superseded.update(self._left_behind(self._right.size))
        return self._right

    def _recover(self, checkpoint: Checkpoint) -> _Right:
        """The rightmost tiles of the published log, checked against its checkpoint's root."""
        size = checkpoint.size
        reader = TileReader(self.root, size, checkpoint.root, cached_tiles=1)
        if reader.tree_hash() != checkpoint.root:  # an empty log has no tiles to check
            raise Corrupt("root-wrong", "The published checkpoint is not over the published entries.", str(size))
        height = max([tile.level for tile in edge_tiles(size)], default=-1) + 1
        levels = tuple(tuple(reader.edge_hashes(level)) for level in range(height))
        leaves: list[bytes] = []
        if size % WIDTH:
            tile = tile_at(ENTRIES, size // WIDTH, size)
            leaves = read_bundle(self.root, tile)
            if tuple(map(leaf_hash, leaves)) != levels[0]:
                raise Corrupt("tile-damaged", f"A file of the ledger is damaged: {tile.path()}", "not in the tree")
        return _Right(size, tuple(leaves), levels)

    def _check(self, note: str, before: _Right | Checkpoint, size: int, root: bytes) -> None:
        """Step 2 of `advance`."""
        checkpoint = self._read(note)
        if (checkpoint.size, checkpoint.root) != (size, root):
            raise Invalid("checkpoint-other", "The checkpoint is not of this size and root.", f"size {size}")
        if size < before.size:
            raise Conflict("checkpoint-older", "A newer checkpoint is published.", f"{size} < {before.size}")
        known = before.root() if isinstance(before, _Right) else before.root
        if size == before.size and root != known:
            raise Corrupt("checkpoint-split", "Another root is published for this size.", f"size {size}")

    def _publish(self, tiles: Sequence[tuple[Tile, bytes]], after: _Right, before: int, note: str, root: bytes) -> None:
        """Steps 3 (the root) to 6 of `advance`."""
        if after.root() != root:
            raise Corrupt("root-wrong", "The entries do not have the root that was signed.", f"size {after.size}")
        self._right = None  # until all is written: after an error, the disk says where to go on
        self._write(self._place(tiles))  # 4
        self._write([(self.root / CHECKPOINT, note.encode())])  # 5
        self._right = after
        self._superseded.update(self._replaced(before, after.size))  # 6
        self._tidy()

    def _write(self, files: Iterable[tuple[Path, bytes]]) -> None:
        """After a failed fsync nobody knows what the disk holds, so nothing more is written (law 13)."""
        try:
            self._files.write_all(files)
        except FsyncFailed:
            self._stopped = True
            raise

    def _place(self, tiles: Sequence[tuple[Tile, bytes]]) -> Iterator[tuple[Path, bytes]]:
        return ((self.root / tile.path(), content) for tile, content in tiles)

    def _read(self, note: str | bytes) -> Checkpoint:
        return parse_checkpoint(note, self._verifier) if self._verifier else unverified_checkpoint(note)

    def _take_lock(self) -> None:
        if self._stopped:
            raise FsyncFailed("fsync-failed", "The disk failed; the process stops.", "publishing was stopped")
        if self._lock is not None:
            return
        path = self.root / _LOCK
        try:
            self._files.make_folder(self.root)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise disk_error(error, path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise Busy("ledger-locked", "Another process publishes this ledger.", f"{path}: {error}") from error
        self._lock = weakref.finalize(self, os.close, descriptor)
        self._files.clear_staging()

    def _replaced(self, before: int, after: int) -> Iterator[Path]:
        """The folders of partial tiles for every tile that became full between two sizes."""
        for level in range(ENTRIES, HEIGHT):
            shift = HEIGHT * (max(level, 0) + 1)
            for index in range(before >> shift, after >> shift):
                yield self.root / Tile(level, index, 1).path().rpartition("/")[0]

    def _left_behind(self, size: int) -> Iterator[Path]:
        """What `_replaced` would name, as far as a crash can have left it beside the newest full tiles."""
        for level in range(ENTRIES, HEIGHT):
            full = size >> HEIGHT * (max(level, 0) + 1)
            folder = (self.root / Tile(level, max(full - 1, 0)).path()).parent
            for path in folder.glob("[0-9][0-9][0-9].p"):
                if (folder / path.stem).is_file() and int(path.stem) <= (full - 1) % 1000 and full:
                    yield path

    def _tidy(self) -> None:
        """Step 6 of `advance`. A folder that cannot be removed now is tried again the next time."""
        for folder in list(self._superseded):
            try:
                self._files.remove_folder(folder)
            except OSError:
                continue
            self._superseded.discard(folder)


def _grow(right: _Right, leaves: Sequence[bytes], hashes: Sequence[bytes]) -> tuple[list[tuple[Tile, bytes]], _Right]:
    """The bundles and tiles that these leaves add or widen, full and partial, and the new right side."""
    files: list[tuple[Tile, bytes]] = []
    if not leaves:
        return files, right
    bundle = [*right.leaves, *leaves]
    for at, tile in _cut(ENTRIES, right.size // WIDTH, len(bundle)):
        files.append((tile, encode_bundle(bundle[at : at + WIDTH])))
    levels = list(right.levels)
    nodes = list(hashes)
    level = 0
    while nodes:
        if level == len(levels):
            levels.append(())
        nodes = [*levels[level], *nodes]
        roots: list[bytes] = []
        for at, tile in _cut(level, right.size >> HEIGHT * (level + 1), len(nodes)):
            row = nodes[at : at + WIDTH]
            files.append((tile, b"".join(row)))
            if tile.width == WIDTH:
                roots.append(_tile_root(row))
        levels[level] = tuple(nodes[len(roots) * WIDTH :])
        nodes = roots
        level += 1
    rest = bundle[len(bundle) // WIDTH * WIDTH :]
    return files, _Right(right.size + len(leaves), tuple(rest), tuple(levels))


def _cut(level: int, first: int, count: int) -> Iterator[tuple[int, Tile]]:
    """The tiles from index `first` on that `count` items fill, each with the place of its first item."""
    for number, at in enumerate(range(0, count, WIDTH)):
        yield at, Tile(level, first + number, min(WIDTH, count - at))


def _tile_root(row: list[bytes]) -> bytes:
    nodes = row
    for _ in range(HEIGHT):
        nodes = pair_up(nodes)
    return nodes[0]


def _runs(leaves_of: LeavesOf, size: int) -> Iterator[Sequence[bytes]]:
    for first in range(0, size, _REBUILD_LEAVES):
        end = min(first + _REBUILD_LEAVES, size)
        leaves = leaves_of(first, end)
        if len(leaves) != end - first:
            raise Corrupt("entries-missing", "Entries of the ledger are missing.", f"between {first} and {end}")
        yield leaves
