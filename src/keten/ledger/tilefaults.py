"""Verification of the published tree: its files against what the entries in the database say they must hold."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from keten.core.errors import Corrupt, Invalid, KetenError, Unavailable
from keten.ledger.faults import Fault
from keten.ledger.merkle import HASH_BYTES, pair_up
from keten.ledger.notes import MAX_NOTE_BYTES, Checkpoint, Verifier, parse_checkpoint
from keten.ledger.publish import CHECKPOINT, WITNESSED
from keten.ledger.succession import PREDECESSORS
from keten.ledger.tiles import (
    ENTRIES,
    HEIGHT,
    MAX_BUNDLE_BYTES,
    WIDTH,
    Tile,
    decode_bundle,
    encode_bundle,
    parse_path,
    read_bundle,
    read_file,
    read_hashes,
    tile_at,
    tiles_between,
)

KEY_FILE = "key.pub"
_OWN = frozenset({".staging", ".publisher.lock"})  # the publisher's, not served
# What a power cut left of writing one of the other files (`core.files.Files.write`): never read, and not served.
_UNFINISHED = re.compile(r"\.(?P<name>.+)\.[a-z2-7]{8}\.tmp\Z")
_UNREADABLE = frozenset({errno.EACCES, errno.EPERM, errno.EIO})


class Difference(msgspec.Struct, frozen=True):
    """A file that holds something else than the entries say: in which places, or `what` is wrong with all of it.

    `places`: indexes of entries for bundles and lowest tiles, of hashes within the tile above.
    """

    tile: Tile
    places: tuple[int, ...] = ()
    what: str = ""
    unreadable: bool = False

    def fault(self) -> Fault:
        """As a fault of the file."""
        where = "bundle" if self.tile.level == ENTRIES else "tile"
        what = self.what
        if not what:
            of = "entry" if self.tile.level <= 0 else "its hash"
            shown = ", ".join(map(str, self.places[:10])) + (" …" if len(self.places) > 10 else "")
            what = f"it differs from the database's entries, at {of} {shown}"
        index = self.places[0] if self.places and self.tile.level <= 0 else None
        return Fault(where, what, index=index, file=self.tile.path(), unreadable=self.unreadable)


def read_verifier(folder: Path, trusted_key: str) -> tuple[Verifier | None, list[Fault]]:
    """The key to verify with: the one that the caller trusts, which the published one must equal, or else that one."""
    trusted = Verifier.parse(trusted_key) if trusted_key else None
    try:
        text = read_file(folder, KEY_FILE, MAX_NOTE_BYTES).decode("utf-8", "replace")
        published = Verifier.parse(text)
    except KetenError as error:
        return trusted, [Fault("key", _reason(error), file=KEY_FILE, unreadable=_unreadable(error))]
    if trusted is not None and text.strip() != trusted_key.strip():
        return trusted, [Fault("key", "it is not the key that signs this ledger", file=KEY_FILE)]
    return trusted or published, []


def verifier_key(folder: Path) -> str:
    """The published verifier key as text; "" when it cannot be read, which `read_verifier` names."""
    try:
        return read_file(folder, KEY_FILE, MAX_NOTE_BYTES).decode("utf-8", "replace").strip()
    except KetenError:
        return ""


def read_checkpoint(folder: Path, verifier: Verifier) -> tuple[Checkpoint | None, list[Fault]]:
    """The published checkpoint, verified."""
    try:
        return parse_checkpoint(read_file(folder, CHECKPOINT, MAX_NOTE_BYTES), verifier), []
    except KetenError as error:
        fault = Fault("checkpoint", _reason(error), file=CHECKPOINT, unreadable=_unreadable(error))
        return None, [fault]


def list_tiles(folder: Path) -> tuple[list[Tile], list[Fault]]:
    """Every file below `tile/` by its place, and what should not be in the folder."""
    tiles: list[Tile] = []
    faults: list[Fault] = []

    def failed(error: OSError) -> None:
        name = os.path.relpath(error.filename, folder) if error.filename else "tile"
        if not isinstance(error, FileNotFoundError):
            faults.append(Fault("file", f"it cannot be read: {error.strerror}", file=name, unreadable=True))

    for at, folders, names in os.walk(folder, onerror=failed):
        below = Path(at).relative_to(folder).as_posix()
        if below == ".":
            folders[:] = sorted(name for name in folders if name not in _OWN)
            known = {CHECKPOINT, KEY_FILE, WITNESSED, PREDECESSORS}
            strangers = sorted(name for name in set(names) - _OWN - known if not _unfinished(name, known))
            faults += [Fault("file", "it does not belong to the ledger", file=name) for name in strangers]
            continue
        folders.sort()
        links = [name for name in folders if (Path(at) / name).is_symlink()]
        for name in sorted((*names, *links)):
            path = f"{below}/{name}"
            try:
                tiles.append(parse_path(path))
            except Invalid:
                faults.append(Fault("file", "it does not belong to the ledger", file=path))
    return tiles, faults


def _unfinished(name: str, known: Collection[str]) -> bool:
    found = _UNFINISHED.match(name)
    return found is not None and found["name"] in known


def missing_tiles(tiles: Sequence[Tile], size: int) -> Iterator[Tile]:
    """The files that a published ledger of `size` must have and that are not among `tiles`.

    Full tiles stand in for partial ones.
    """
    there = set(tiles)
    for tile in tiles_between(0, size):
        if tile not in there and tile.full() not in there:
            yield tile


def differences(
    folder: Path,
    tiles: Sequence[Tile],
    first: int,
    leaves: Sequence[bytes | None],
    hashes: Sequence[bytes | None],
) -> Iterator[Difference]:
    """How bundles and lowest tiles differ from the leaves from index `first` on (None: not known)."""
    for tile in tiles:
        at = tile.index * WIDTH - first
        span = slice(at, at + tile.width)
        if tile.level == ENTRIES:
            yield from _bundle(folder, tile, leaves[span])
        else:
            yield from hash_differences(folder, tile, hashes[span], tile.index * WIDTH)


def hash_differences(
    folder: Path, tile: Tile, hashes: Sequence[bytes | None], first: int = 0
) -> Iterator[Difference]:
    """How a hash tile differs from the hashes that it must hold; places are counted from `first`."""
    try:
        data = read_file(folder, tile.path(), WIDTH * HASH_BYTES)
    except (Corrupt, Unavailable) as error:
        yield from _not_read(tile, error)
        return
    if len(data) != tile.width * HASH_BYTES:
        yield Difference(tile, what=f"it has {len(data)} bytes instead of {tile.width * HASH_BYTES}")
        return
    if None not in hashes and data == b"".join(each for each in hashes if each is not None):
        return
    places = tuple(
        first + at
        for at, each in enumerate(hashes)
        if each is not None and data[at * HASH_BYTES : (at + 1) * HASH_BYTES] != each
    )
    if places:
        yield Difference(tile, places)


def _bundle(folder: Path, tile: Tile, leaves: Sequence[bytes | None]) -> Iterator[Difference]:
    try:
        data = read_file(folder, tile.path(), MAX_BUNDLE_BYTES)
    except (Corrupt, Unavailable) as error:
        yield from _not_read(tile, error)
        return
    if None not in leaves and data == _encoded([each for each in leaves if each is not None]):
        return
    try:
        found = decode_bundle(data, tile.width, tile.path())
    except Corrupt as error:
        yield Difference(tile, what=f"it does not hold {tile.width} leaves: {error.reason}")
        return
    first = tile.index * WIDTH
    pairs = zip(leaves, found, strict=True)
    places = tuple(
        first + at for at, (leaf, there) in enumerate(pairs) if leaf is not None and leaf != there
    )
    if places:
        yield Difference(tile, places)


def fill(folder: Path, tiles: Sequence[Tile], first: int, hashes: list[bytes | None]) -> None:
    """Take the hashes that are not known from the lowest tiles, so that what is over them can be verified."""
    for tile in tiles:
        at = tile.index * WIDTH - first
        if tile.level != 0 or None not in hashes[at : at + tile.width]:
            continue
        try:
            data = read_hashes(folder, tile)
        except (Corrupt, Unavailable):
            continue  # a difference already
        for place in range(tile.width):
            if hashes[at + place] is None:
                hashes[at + place] = data[place * HASH_BYTES : (place + 1) * HASH_BYTES]


def _encoded(leaves: list[bytes]) -> bytes | None:
    try:
        return encode_bundle(leaves)
    except Invalid:
        return None  # a leaf of an impossible size, which differs from any that was published


def _not_read(tile: Tile, error: KetenError) -> Iterator[Difference]:
    """Gone since it was listed is no difference: a full tile has taken a partial one's place."""
    if error.code != "tile-missing":
        yield Difference(tile, what=_reason(error), unreadable=_unreadable(error))


def stale_and_wrong(folder: Path, size: int) -> Iterator[Tile]:
    """Partial files of earlier checkpoints that are not the beginning of what now stands in their place.

    Raises `Corrupt` when one of the files of the present checkpoint cannot be read.
    """
    for tile in list_tiles(folder)[0]:
        if last_leaf(tile) > size:
            continue
        now = tile_at(tile.level, tile.index, size)
        if tile.width == now.width:
            continue
        if tile.level == ENTRIES:
            leaves: list[bytes | None] = [*read_bundle(folder, now)[: tile.width]]
            wrong = any(_bundle(folder, tile, leaves))
        else:
            wrong = any(hash_differences(folder, tile, _split(read_hashes(folder, now)[: tile.width * HASH_BYTES])))
        if wrong:
            yield tile


def _split(data: bytes) -> list[bytes | None]:
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def last_leaf(tile: Tile) -> int:
    """How many entries a ledger must have for a tile to be in it."""
    return (tile.index * WIDTH + tile.width) << HEIGHT * max(tile.level, 0)


def upper_tiles(
    folder: Path, tiles: Sequence[Tile], blocks: Sequence[bytes | None], size: int
) -> Iterator[Difference]:
    """How the tiles above the lowest level differ from the hashes of full blocks of 256 entries."""
    levels: Mapping[int, Sequence[bytes | None]] = _levels(blocks, size)
    for tile in tiles:
        if tile.level > 0:
            first = tile.index * WIDTH
            yield from hash_differences(folder, tile, levels[tile.level][first : first + tile.width])


def _levels(blocks: Sequence[bytes | None], size: int) -> dict[int, Sequence[bytes | None]]:
    levels: dict[int, Sequence[bytes | None]] = {}
    level, row = 1, blocks
    while size >> HEIGHT * level:
        levels[level] = row
        row = [block_root(row[at : at + WIDTH]) for at in range(0, len(row) // WIDTH * WIDTH, WIDTH)]
        level += 1
    return levels


def block_root(block: Sequence[bytes | None]) -> bytes | None:
    """The tree hash over 256 hashes; None when one is not known."""
    nodes = [each for each in block if each is not None]
    if len(nodes) != WIDTH:
        return None
    for _ in range(HEIGHT):
        nodes = pair_up(nodes)
    return nodes[0]


def _reason(error: KetenError) -> str:
    return f"{error.public} {error.reason}".strip()


def _unreadable(error: KetenError) -> bool:
    cause = error.__cause__
    return isinstance(error, Unavailable) or (isinstance(cause, OSError) and cause.errno in _UNREADABLE)
