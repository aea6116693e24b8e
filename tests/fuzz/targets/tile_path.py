"""Paths of tiles: one spelling for one place, and the auditor's names are the same."""

from __future__ import annotations

from keten.core.errors import Invalid
from keten.ledger.tiles import ENTRIES, Tile, parse_path
from tests.fuzz.target import Target, text_of
from tests.fuzz.targets.log_keys import tool

PLACES = (Tile(0, 0), Tile(ENTRIES, 273, 112), Tile(1, 1_234_067), Tile(63, 999, 1), Tile(0, 1000, 255))


def check(data: bytes) -> bool:
    auditor = tool()
    text = text_of(data)
    match = auditor.TILE.fullmatch(text)
    try:
        tile = parse_path(text)
    except Invalid:
        return False
    assert tile.path() == text
    level = "entries" if tile.level == ENTRIES else str(tile.level)
    assert match is not None, "the auditor does not know it as a tile"
    assert auditor.tile_name(level, tile.index, tile.width) == text
    return True


TARGET = Target(
    "tile-path",
    check,
    lambda: [tile.path().encode() for tile in PLACES],
    words=(b"tile/", b"entries/", b"x000/", b"x001/", b".p/", b"256", b"000", b"\n", "\u0663".encode(), b"x", b"/"),
    longest=200,
)
