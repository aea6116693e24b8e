"""Tile paths, bundles, and reading a published tree: right, damaged and missing files."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keten.core.errors import Corrupt, Invalid, Unavailable
from keten.ledger.merkle import inclusion_path, verify_inclusion
from keten.ledger.tiles import (
    ENTRIES,
    MAX_LEAF_BYTES,
    WIDTH,
    Tile,
    TileReader,
    decode_bundle,
    edge_tiles,
    encode_bundle,
    parse_path,
    read_file,
    tile_at,
    tiles_between,
)
from tests.unit.ledger.published_log import Log

KEPT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def reader(log: Log, size: int | None = None) -> TileReader:
    at = size or len(log.leaves)
    return TileReader(log.root, at, log.roots.get(at))


def spoil(path: Path, at: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(63, 999, 255), "tile/63/999.p/255"),
        (Tile(1, 1000, 1), "tile/1/x001/000.p/1"),
        (Tile(ENTRIES, 273, 112), "tile/entries/273.p/112"),
        (Tile(ENTRIES, 1_000_000), "tile/entries/x001/x000/000"),
    ],
)
def test_paths_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path() == path
    assert parse_path(path) == tile


@given(level=st.integers(ENTRIES, 63), index=st.integers(0, 2**55), width=st.integers(1, 256))
def test_every_path_comes_back(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert parse_path(tile.path()) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/000\n",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/8/0/000",
        "tile/data/000",
        "tile/0/x000/000",
        "tile/0/x001",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.P/1",
        "tile/0/../../key.pub",
        "tile/entries/../0/000",
        "tile//0/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/" + "x001/" * 500 + "000",
        "checkpoint",
        "tile/0/000\x00",
    ],
)
def test_other_paths_name_no_tile(path: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_path(path)
    assert caught.value.code == "tile-path"


def test_the_tiles_of_the_specifications_example() -> None:
    tiles = list(tiles_between(0, 70_000))
    assert [tile for tile in tiles if tile.level == 0] == [*[Tile(0, n) for n in range(273)], Tile(0, 273, 112)]
    assert [tile for tile in tiles if tile.level == 1] == [Tile(1, 0), Tile(1, 1, 17)]
    assert [tile for tile in tiles if tile.level == 2] == [Tile(2, 0, 1)]
    assert len([tile for tile in tiles if tile.level == ENTRIES]) == 274
    assert list(tiles_between(0, 256)) == [Tile(ENTRIES, 0), Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles_between(0, 0)) == list(tiles_between(7, 7)) == []
    assert list(tiles_between(255, 257)) == [
        Tile(ENTRIES, 0),
        Tile(ENTRIES, 1, 1),
        Tile(0, 0),
        Tile(0, 1, 1),
        Tile(1, 0, 1),
    ]


@given(st.integers(0, 2**40))
def test_every_tile_of_a_size_is_as_wide_as_it_is_there(size: int) -> None:
    for tile in edge_tiles(size):
        assert tile == tile_at(tile.level, tile.index, size)
        assert tile.width < WIDTH


@pytest.mark.parametrize(("level", "index", "size"), [(0, 0, 0), (0, 1, 256), (1, 0, 255), (0, -1, 9), (-1, 1, 256)])
def test_places_without_a_tile(level: int, index: int, size: int) -> None:
    with pytest.raises(Invalid) as caught:
        tile_at(level, index, size)
    assert caught.value.code == "tile-range"


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=WIDTH))
def test_bundles_come_back(leaves: list[bytes]) -> None:
    data = encode_bundle(leaves)
    assert decode_bundle(data, len(leaves), "it") == leaves
    assert int.from_bytes(data[:2], "big") == len(leaves[0])


def test_the_largest_leaf() -> None:
    leaf = b"x" * MAX_LEAF_BYTES
    assert decode_bundle(encode_bundle([leaf, b""]), 2, "it") == [leaf, b""]
    for leaves in ([leaf + b"x"], [], [b""] * 257):
        with pytest.raises(Invalid) as caught:
            encode_bundle(leaves)
        assert caught.value.code == "leaf-too-large"


@pytest.mark.parametrize(
    ("data", "width"),
    [
        (b"", 1),
        (b"\0", 1),
        (b"\0\0", 2),
        (b"\0\0\0\0", 1),
        (b"\0\5abc", 1),
        (b"\xff\xff", 1),
        (b"\0\1a\0", 1),
        (b"\0" * 600, 256),
        (b"\0" * 1_000_000, 256),
    ],
)
def test_malformed_bundles_are_named(data: bytes, width: int) -> None:
    with pytest.raises(Corrupt) as caught:
        decode_bundle(data, width, "tile/entries/007")
    assert caught.value.code == "tile-damaged"
    assert "tile/entries/007" in caught.value.public


@KEPT
@given(data=st.data())
def test_the_reader_has_the_hash_of_every_subtree(large_log: Log, naive: object, data: st.DataObject) -> None:
    tree = reader(large_log)
    level = data.draw(st.integers(0, 9))
    index = data.draw(st.integers(0, (tree.size >> level) - 1))
    low, high = index << level, (index + 1) << level
    assert tree.hash_at(level, index) == naive.root(large_log.leaves[low:high])  # type: ignore[attr-defined]  # a fixture's own class


def test_the_reader_has_the_root_and_the_leaves(large_log: Log) -> None:
    tree = reader(large_log)
    assert tree.tree_hash() == large_log.roots[70_000]
    for index in (0, 255, 256, 65_535, 69_887, 69_888, 69_999):
        assert tree.leaf(index) == large_log.leaves[index]
    assert tree.edge_hashes(3) == []
    assert len(tree.edge_hashes(0)) == 112


def test_a_reader_of_an_older_size_reads_on_when_its_partial_tiles_are_gone(large_log: Log) -> None:
    for size in (1, 255, 257, 65_535):
        tree = reader(large_log, size)
        assert tree.tree_hash() == large_log.roots[size]
        assert tree.leaf(size - 1) == large_log.leaves[size - 1]
        assert not (large_log.root / edge_tiles(size)[-1].path()).exists()


@pytest.mark.parametrize("place", [(0, 70_000), (0, -1), (-1, 0), (17, 0), (16, 1), (8, 273), (200, 0)])
def test_subtrees_outside_the_tree(large_log: Log, place: tuple[int, int]) -> None:
    with pytest.raises(Invalid) as caught:
        reader(large_log).hash_at(*place)
    assert caught.value.code == "proof-range"


def test_an_empty_tree(tmp_path: Path) -> None:
    tree = TileReader(tmp_path, 0)
    assert tree.tree_hash().hex().startswith("e3b0c442")
    with pytest.raises(Invalid):
        tree.hash_at(0, 0)
    with pytest.raises(Invalid):
        TileReader(tmp_path, -1)


@pytest.fixture
def copy(log: Log) -> Log:
    """600 entries that may be spoilt: full tiles 0/000 and 0/001, partial 0/002.p/88 and 1/000.p/2."""
    log.grow([600])
    log.publisher.close()
    return log


@pytest.mark.parametrize("spoilt", ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"])
@pytest.mark.parametrize("at", [0, 33, -1])
def test_a_flipped_byte_is_found_and_its_tile_named(copy: Log, spoilt: str, at: int) -> None:
    spoil(copy.root / spoilt, at)
    tree = reader(copy)
    errors = []
    for index in range(0, 600, 37):
        try:
            path = inclusion_path(index, 600, tree.hash_at)
        except Corrupt as error:
            errors.append(error)
        else:
            assert verify_inclusion(tree.hash_at(0, index), index, 600, path, copy.roots[600])
    assert errors
    assert all(error.code == "tile-damaged" and error.public.endswith(spoilt) for error in errors)


def test_a_flipped_byte_in_an_entry_is_found(copy: Log) -> None:
    spoil(copy.root / "tile/entries/001", 2000)
    tree = reader(copy)
    assert tree.leaf(0) == copy.leaves[0]
    with pytest.raises(Corrupt) as caught:
        [tree.leaf(index) for index in range(256, 512)]
    assert caught.value.public.endswith("tile/entries/001")


def test_a_wrong_checkpoint_is_named_when_all_files_agree(copy: Log) -> None:
    with pytest.raises(Corrupt) as caught:
        TileReader(copy.root, 600, b"r" * 32).hash_at(0, 0)
    assert caught.value.public.endswith("checkpoint")


@pytest.mark.parametrize(
    ("name", "length"), [("tile/0/000", 8191), ("tile/0/000", 0), ("tile/0/002.p/88", 89 * 32), ("tile/1/000.p/2", 63)]
)
def test_a_tile_of_another_length_is_named(copy: Log, name: str, length: int) -> None:
    path = copy.root / name
    path.write_bytes((path.read_bytes() * 2)[:length])
    with pytest.raises(Corrupt) as caught:
        reader(copy).hash_at(0, 5)
    assert caught.value.public.endswith(name)


@pytest.mark.parametrize("name", ["tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2"])
def test_a_missing_tile_is_named(copy: Log, name: str) -> None:
    (copy.root / name).unlink()
    with pytest.raises(Corrupt) as caught:
        reader(copy).hash_at(0, 5)
    assert caught.value.code == "tile-missing"
    assert caught.value.public.endswith(name)


def test_what_stands_in_for_a_file_is_refused(copy: Log, tmp_path: Path) -> None:
    for make in (
        lambda path: path.symlink_to(tmp_path / "elsewhere"),
        lambda path: path.mkdir(),
        os.mkfifo,
        lambda path: path.write_bytes(b"x" * 8193),
    ):
        path = copy.root / "tile/0/000"
        shutil.copy(path, tmp_path / "elsewhere")
        path.unlink()
        make(path)
        with pytest.raises(Corrupt) as caught:
            reader(copy).hash_at(0, 5)
        assert caught.value.public.endswith("tile/0/000")
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copy(tmp_path / "elsewhere", path)
    assert reader(copy).hash_at(0, 5)


def test_a_file_beyond_its_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_bytes(b"x" * 100)
    assert read_file(tmp_path, "checkpoint", 100) == b"x" * 100
    with pytest.raises(Corrupt) as caught:
        read_file(tmp_path, "checkpoint", 99)
    assert caught.value.public.endswith("checkpoint")


def test_a_system_short_of_descriptors_is_not_called_damage(copy: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(Unavailable):
        read_file(copy.root, "checkpoint", 100)


def test_many_threads_and_a_small_memory(large_log: Log) -> None:
    tree = TileReader(large_log.root, 70_000, large_log.roots[70_000], cached_tiles=3)
    wrong: list[int] = []

    def work(start: int) -> None:
        for index in range(start, 70_000, 1777):
            path = inclusion_path(index, 70_000, tree.hash_at)
            if not verify_inclusion(tree.hash_at(0, index), index, 70_000, path, large_log.roots[70_000]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
