"""Which side is wrong where the public tree and the database differ: a file, or an entry's leaf."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from keten.core.errors import Corrupt, Unavailable
from keten.ledger.faults import Fault
from keten.ledger.merkle import HASH_BYTES
from keten.ledger.tilefaults import Difference
from keten.ledger.tiles import ENTRIES, HEIGHT, WIDTH, Tile, expand, read_hashes

_LEAVES = 0  # the level of the tiles whose hashes are those of leaves


def blamed(
    folder: Path, different: Sequence[Difference], tiles: Sequence[Tile], *, sound: bool
) -> Iterator[Fault]:
    """The faults behind these differences between `tiles` below `folder` and the database.

    1. When the leaves in the database have the signed root (`sound`), every file that differs is wrong.
    2. Otherwise an entry's leaf is wrong when its bundle and its tile both differ from it. When only one of them
       does, that file is wrong; when the other one cannot be asked, both leaf and file are named.
    3. Tiles above follow from those below: they are wrong where the leaves below them are not, and where the tiles
       below them say something else.
    """
    leaves: set[int] = set()
    doubtful: set[int] = set()
    if not sound:  # 2
        asked = _Asked(different, tiles)
        for index in sorted(asked.places(ENTRIES) | asked.places(_LEAVES)):
            answers = [asked.differs(level, index) for level in (ENTRIES, _LEAVES)]
            if False not in answers:
                leaves.add(index)
            if None in answers:
                doubtful.add(index)
        yield from (Fault("leaf", "it is not the leaf that was published", index=index) for index in sorted(leaves))
    certain = leaves - doubtful
    blocks = {index // WIDTH for index in leaves}
    for each in different:
        if each.tile.level <= _LEAVES:
            follows = bool(each.places) and certain.issuperset(each.places)
        else:
            follows = bool(each.places) and _follows(folder, each, blocks)  # 3
        if not follows:
            yield each.fault()


class _Asked:
    """What the files over a leaf say of it."""

    def __init__(self, different: Sequence[Difference], tiles: Sequence[Tile]) -> None:
        silent = {each.tile for each in different if each.what}
        self._widths: dict[tuple[int, int], int] = {}
        for tile in tiles:
            if tile not in silent:
                place = (tile.level, tile.index)
                self._widths[place] = max(tile.width, self._widths.get(place, 0))
        self._places = {
            level: {place for each in different if each.tile.level == level for place in each.places}
            for level in (ENTRIES, _LEAVES)
        }

    def places(self, level: int) -> set[int]:
        """The entries for which some file of a level differs."""
        return self._places[level]

    def differs(self, level: int, index: int) -> bool | None:
        """Whether the files of a level differ for an entry; None when none of them can be asked."""
        if index in self._places[level]:
            return True
        return None if self._widths.get((level, index // WIDTH), 0) <= index % WIDTH else False


def _follows(folder: Path, each: Difference, blocks: set[int]) -> bool:
    """Whether a tile above differs only over blocks of which a leaf is wrong, and agrees with the tiles below it."""
    tile = each.tile
    above = {block >> HEIGHT * (tile.level - 1) for block in blocks}
    return all(tile.index * WIDTH + place in above and _agrees(folder, tile, place) for place in each.places)


def _agrees(folder: Path, tile: Tile, place: int) -> bool:
    """Whether a hash in a tile is the root of the tile below it; what cannot be read says nothing against it."""
    try:
        above = read_hashes(folder, tile)[place * HASH_BYTES : (place + 1) * HASH_BYTES]
        below = expand(read_hashes(folder, Tile(tile.level - 1, tile.index * WIDTH + place)))
    except (Corrupt, Unavailable):
        return True
    return below[HEIGHT] == above
