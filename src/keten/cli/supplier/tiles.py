"""The public tree of a ledger, read over HTTPS (c2sp.org/tlog-tiles).

What comes back is believed by nobody: it only fills proofs, which either lead to a signed root or do not.
"""

from __future__ import annotations

from collections.abc import Callable

from keten.core.errors import Corrupt, Unavailable
from keten.ledger.merkle import HASH_BYTES
from keten.ledger.tiles import ENTRIES, HEIGHT, WIDTH, Tile, damaged, decode_bundle, expand, tile_at

PREFIX = "/ledger/"
Fetch = Callable[[str], bytes | None]


class HttpTiles:
    """The tree of the first `size` leaves. `fetch(path)`: a file of the instance, None when it is not there."""

    def __init__(self, fetch: Fetch, size: int) -> None:
        self._fetch = fetch
        self.size = size
        self._rows: dict[tuple[int, int], list[bytes]] = {}

    def hash_at(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree over the leaves index * 2^level up to (index + 1) * 2^level.

        Raises `Corrupt` ("tile-missing", "tile-damaged"), `Invalid` for a place outside the tree, `Unavailable`.
        """
        inside = level & (HEIGHT - 1)
        row = self._tile(level // HEIGHT, index >> HEIGHT - inside)[inside]
        at = (index & (WIDTH >> inside) - 1) * HASH_BYTES
        found = row[at : at + HASH_BYTES]
        if len(found) != HASH_BYTES:
            raise Corrupt("tile-damaged", "A file of the ledger lacks a hash.", f"level {level}, index {index}")
        return found

    def leaf(self, index: int) -> bytes:
        """A leaf's bytes, as the bundle has them."""
        tile, data = self._read(tile_at(ENTRIES, index // WIDTH, self.size))
        return decode_bundle(data, tile.width, tile.path())[index % WIDTH]

    def _tile(self, level: int, index: int) -> list[bytes]:
        key = (level, index)
        if key not in self._rows:
            asked = tile_at(level, index, self.size)
            tile, data = self._read(asked)
            if len(data) != tile.width * HASH_BYTES:
                raise damaged(tile.path(), f"{len(data)} bytes instead of {tile.width * HASH_BYTES}")
            self._rows[key] = expand(data[: asked.width * HASH_BYTES])
        return self._rows[key]

    def _read(self, tile: Tile) -> tuple[Tile, bytes]:
        """A tile, or the full one that has taken its place meanwhile."""
        for one in dict.fromkeys((tile, tile.full())):
            data = self._fetch(PREFIX + one.path())
            if data is not None:
                return one, data
        raise Corrupt("tile-missing", f"A file of the ledger is missing: {tile.path()}")


def fetched(fetch: Fetch, name: str) -> bytes:
    """A file of the tree that must be there, such as the checkpoint. Raises `Unavailable` ("no-ledger")."""
    data = fetch(PREFIX + name)
    if data is None:
        raise Unavailable("no-ledger", f"The instance does not publish {name} of its ledger.")
    return data
