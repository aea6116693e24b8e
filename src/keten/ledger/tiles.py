"""The files of a tiled log (c2sp.org/tlog-tiles): their paths, their content, and reading them.

A hash tile holds up to 256 neighbouring hashes of tree level 8L; an entry bundle holds up to 256 leaves.
Every tile but the rightmost of its level is full. `TileReader` answers with hashes of complete subtrees, as
the proofs of `keten.ledger.merkle` need them, and believes no file that its parents do not vouch for.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from keten.core.errors import Corrupt, Invalid, Unavailable
from keten.ledger.merkle import HASH_BYTES, MAX_SIZE, fold, leaf_hash, pair_up

WIDTH = 256
HEIGHT = 8  # tree levels in one tile
ENTRIES = -1  # the "level" of entry bundles, one below the leaf hashes
MAX_LEAF_BYTES = 65_535  # its length is a uint16
MAX_BUNDLE_BYTES = WIDTH * (2 + MAX_LEAF_BYTES)
_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?\Z")
# What the disk says when a file is not what we left there, as against the system being short of something.
_DAMAGE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.EIO,
        errno.EACCES,
        errno.EPERM,
        errno.ENXIO,
    }
)


class Tile(msgspec.Struct, frozen=True, order=True):
    """A tile's place: `level` (`ENTRIES` for a bundle), `index` in the level, `width` in hashes or leaves."""

    level: int
    index: int
    width: int = WIDTH

    def path(self) -> str:
        """The path below the log's prefix, such as tile/0/x001/x234/067 or tile/entries/273.p/112."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        part = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_number(self.index)}{part}"

    def full(self) -> Tile:
        """The full tile at the same place."""
        return Tile(self.level, self.index)


def parse_path(path: str) -> Tile:
    """The tile that a path names; `Invalid` ("tile-path") for all but the one spelling of a tile's path."""
    match = _PATH.match(path)
    if match:
        level = ENTRIES if match[1] == "entries" else int(match[1])
        index = int(match[2].replace("x", "").replace("/", ""))
        tile = Tile(level, index, int(match[3]) if match[3] else WIDTH)
        if level < 64 and 1 <= tile.width <= WIDTH and index <= MAX_SIZE and tile.path() == path:
            return tile
    raise Invalid("tile-path", "This is not the path of a tile.", repr(path[:120]))


def tile_at(level: int, index: int, size: int) -> Tile:
    """The tile at a place in a log of `size` leaves, as wide as it is there; `Invalid` ("tile-range")."""
    width = min((size >> HEIGHT * max(level, 0)) - index * WIDTH, WIDTH)
    if width < 1 or index < 0:
        raise Invalid("tile-range", "The ledger is too small to have this tile.", f"{level}/{index} at {size}")
    return Tile(level, index, width)


def tiles_between(old: int, new: int) -> Iterator[Tile]:
    """Every tile and bundle that a log of `new` leaves has and one of `old` does not, lowest level first.

    `old` 0 gives all that a log of `new` leaves consists of.
    """
    for level in (ENTRIES, *range(64)):
        shift = HEIGHT * max(level, 0)
        before, count = old >> shift, new >> shift
        if count == 0:
            return
        for index in range(before >> HEIGHT, count >> HEIGHT):
            yield Tile(level, index)
        if count % WIDTH and count != before:
            yield Tile(level, count >> HEIGHT, count % WIDTH)


def encode_bundle(leaves: Sequence[bytes]) -> bytes:
    """An entry bundle: each leaf after its length as a big-endian uint16. `Invalid` ("leaf-too-large")."""
    lengths = {*map(len, leaves)}
    if not 1 <= len(leaves) <= WIDTH or max(lengths) > MAX_LEAF_BYTES:
        raise Invalid("leaf-too-large", "An entry is too large for the ledger, or there are too many.")
    if len(lengths) == 1:  # as good as always
        length = len(leaves[0]).to_bytes(2, "big")
        return length + length.join(leaves)
    return b"".join([len(leaf).to_bytes(2, "big") + leaf for leaf in leaves])


def decode_bundle(data: bytes, width: int, name: str) -> list[bytes]:
    """The leaves of a bundle that has just `width` of them; `Corrupt` ("tile-damaged", naming `name`)."""
    leaves: list[bytes] = []
    at, end = 0, len(data)
    while at < end and len(leaves) <= width:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        leaves.append(data[start:at])
    if at != end or len(leaves) != width:
        raise damaged(name, f"{len(leaves)} of {width} leaves in {end} bytes")
    return leaves


def damaged(name: str, reason: str) -> Corrupt:
    """The error that names a file of the ledger whose content does not hold."""
    return Corrupt("tile-damaged", f"A file of the ledger is damaged: {name}", reason)


def read_file(root: Path, name: str, limit: int) -> bytes:
    """A regular file of at most `limit` bytes below `root`, never through a link in its last place.

    Raises `Corrupt` ("tile-missing", or "tile-damaged" for what is no such file), naming it; `Unavailable`
    ("ledger-unreadable") when the system is short of something.
    """
    try:
        descriptor = os.open(root / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
                raise damaged(name, f"no regular file, or {status.st_size} bytes where {limit} would be many")
            return stream.read(limit + 1)
    except FileNotFoundError as error:
        raise Corrupt("tile-missing", f"A file of the ledger is missing: {name}", str(root)) from error
    except OSError as error:
        if error.errno in _DAMAGE:
            raise damaged(name, str(error)) from error
        raise Unavailable("ledger-unreadable", "The ledger cannot be read now.", f"{name}: {error}") from error


def read_hashes(root: Path, tile: Tile) -> bytes:
    """A hash tile's bytes. `Corrupt` names the file when it is missing or has another length.

    A partial tile that is gone is read from the full tile that replaced it, as the specification allows.
    """
    found, data = _read(root, tile, WIDTH * HASH_BYTES)
    if len(data) != found.width * HASH_BYTES:
        raise damaged(found.path(), f"{len(data)} bytes instead of {found.width * HASH_BYTES}")
    return data[: tile.width * HASH_BYTES]


def read_bundle(root: Path, tile: Tile) -> list[bytes]:
    """An entry bundle's leaves, as `read_hashes` reads hashes."""
    found, data = _read(root, tile, MAX_BUNDLE_BYTES)
    return decode_bundle(data, found.width, found.path())[: tile.width]


def _read(root: Path, tile: Tile, limit: int) -> tuple[Tile, bytes]:
    """A tile's file, or that of the full tile in its place; which one it was, and its bytes."""
    try:
        return tile, read_file(root, tile.path(), limit)
    except Corrupt as missing:
        if missing.code != "tile-missing" or tile.width == WIDTH:
            raise
        try:
            return tile.full(), read_file(root, tile.full().path(), limit)
        except Corrupt as error:
            raise (missing if error.code == "tile-missing" else error) from error


class TileReader:
    """Reads the tree of `size` leaves below the folder `root`, which may have grown further since.

    A full tile is used only when its root is the hash that its parent tile has for it, and the rightmost
    tiles only when they give `root_hash` (left out: they are believed). Expanded tiles are kept, 16 KiB each,
    the least recently used leave first. Safe to use from several threads. Its methods raise `Invalid`
    ("proof-range", "tile-range") for places outside the tree, `Corrupt` naming the damaged file, and
    `Unavailable`.
    """

    def __init__(self, root: Path, size: int, root_hash: bytes | None = None, *, cached_tiles: int = 4096) -> None:
        if not 0 <= size <= MAX_SIZE:
            raise Invalid("proof-range", "A ledger cannot have this size.", str(size))
        self.root = root
        self.size = size
        self._root_hash = root_hash
        self._edge_rows: dict[int, list[bytes]] | None = None
        self._expanded = lru_cache(cached_tiles)(self._load)
        self._bundle = lru_cache(64)(self._load_bundle)

    def hash_at(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree over the leaves index * 2^level up to (index + 1) * 2^level."""
        if level < 0 or index < 0 or (index + 1) << level > self.size:
            raise Invalid("proof-range", "There is no such subtree.", f"({level}, {index}) of {self.size}")
        inside = level & 7
        row = self._expanded(level >> 3, index >> HEIGHT - inside)[inside]
        at = (index & (WIDTH >> inside) - 1) * HASH_BYTES
        return row[at : at + HASH_BYTES]

    def tree_hash(self) -> bytes:
        """The root hash as the rightmost tiles give it."""
        return fold(_peaks(self._edge(), self.size))

    def edge_hashes(self, level: int) -> list[bytes]:
        """The hashes in the rightmost tile of a level if it is partial; none if it is full."""
        row = self._edge().get(level, [b""])[0]
        return [row[at : at + HASH_BYTES] for at in range(0, len(row), HASH_BYTES)]

    def leaf(self, index: int) -> bytes:
        """A leaf's bytes, checked against the tree."""
        expected = self.hash_at(0, index)
        leaf = self._bundle(index >> HEIGHT)[index % WIDTH]
        if leaf_hash(leaf) != expected:
            raise damaged(tile_at(ENTRIES, index >> HEIGHT, self.size).path(), f"leaf {index} is not in the tree")
        return leaf

    def _load_bundle(self, index: int) -> list[bytes]:
        return read_bundle(self.root, tile_at(ENTRIES, index, self.size))

    def _load(self, level: int, index: int) -> list[bytes]:
        """A tile's rows, row r being the hashes r levels up, one after the other."""
        tile = tile_at(level, index, self.size)
        if tile.width < WIDTH:
            return self._edge()[level]
        rows = expand(read_hashes(self.root, tile))
        if rows[HEIGHT] != self.hash_at(HEIGHT * (level + 1), index):
            raise damaged(tile.path(), "its root is not the hash that its parent tile has for it")
        return rows

    def _edge(self) -> dict[int, list[bytes]]:
        """The rightmost, partial tile of each level that has one, together checked against the root hash."""
        if self._edge_rows is None:
            tiles = edge_tiles(self.size)
            rows = {tile.level: expand(read_hashes(self.root, tile)) for tile in tiles}
            if self._root_hash is not None and fold(_peaks(rows, self.size)) != self._root_hash:
                raise self._blame(tiles)
            self._edge_rows = rows
        return self._edge_rows

    def _blame(self, tiles: Sequence[Tile]) -> Corrupt:
        """Which file is why the rightmost tiles do not give the root: one that disagrees with those below it.

        1. A rightmost tile that agrees with what lies below it is not to blame.
        2. Where one disagrees with a tile below, that tile is to blame if it disagrees with what is below it.
        """
        for tile in reversed(tiles):
            stranger = self._disagrees(tile)
            if stranger is None:  # 1
                continue
            if stranger.level != ENTRIES and self._disagrees(stranger) is not None:  # 2
                return damaged(stranger.path(), "it does not follow from the files below it")
            return damaged(tile.path(), f"it does not follow from {stranger.path()}")
        return damaged("checkpoint", f"its root is not that of the {self.size} leaves that are there")

    def _disagrees(self, tile: Tile) -> Tile | None:
        """The first file one level below that does not give this tile's hash for it."""
        hashes = read_hashes(self.root, tile)
        if tile.level == 0:
            below = tile_at(ENTRIES, tile.index, self.size)
            return None if b"".join(map(leaf_hash, read_bundle(self.root, below))) == hashes else below
        for at in range(tile.width):
            below = Tile(tile.level - 1, tile.index * WIDTH + at)
            if expand(read_hashes(self.root, below))[HEIGHT] != hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES]:
                return below
        return None


def edge_tiles(size: int) -> list[Tile]:
    """The partial hash tiles of a log of `size` leaves, highest level first."""
    levels = range(63 // HEIGHT, -1, -1)
    counts = [(level, size >> HEIGHT * level) for level in levels]
    return [Tile(level, count >> HEIGHT, count % WIDTH) for level, count in counts if count % WIDTH]


def expand(data: bytes) -> list[bytes]:
    """The nine rows of a tile: its hashes, their parents, up to the root of a full one; each row joined."""
    nodes = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
    rows = [data]
    for _ in range(HEIGHT):
        nodes = pair_up(nodes)
        rows.append(b"".join(nodes))
    return rows


def _peaks(rows: dict[int, list[bytes]], size: int) -> list[bytes]:
    """The largest complete subtrees, left to right, out of the expanded rightmost tiles."""
    peaks = []
    for level in sorted(rows, reverse=True):
        width = (size >> HEIGHT * level) % WIDTH
        for row in range(HEIGHT - 1, -1, -1):
            if width >> row & 1:
                at = ((width >> row) - 1) * HASH_BYTES
                peaks.append(rows[level][row][at : at + HASH_BYTES])
    return peaks


def _number(index: int) -> str:
    """Groups of three digits, all but the last after an x: 1234067 is x001/x234/067."""
    text = f"{index % 1000:03}"
    while index := index // 1000:
        text = f"x{index % 1000:03}/{text}"
    return text
