"""Proofs made from published tiles."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Corrupt, Invalid
from keten.ledger.merkle import leaf_hash
from keten.ledger.proofs import prove_consistency, prove_inclusion
from keten.ledger.tiles import TileReader
from tests.unit.ledger.published_log import Log

SIZES = [1, 255, 256, 257, 512, 65_535, 65_536, 69_999, 70_000]


@pytest.fixture(scope="session")
def large_reader(large_log: Log) -> TileReader:
    return TileReader(large_log.root, 70_000, large_log.roots[70_000])


@given(index=st.integers(0, 69_999))
def test_inclusion_in_the_newest_head(large_log: Log, large_reader: TileReader, index: int) -> None:
    proof = prove_inclusion(large_reader, index)
    assert (proof.index, proof.size) == (index, 70_000)
    assert proof.holds(leaf_hash(large_log.leaves[index]), large_log.roots[70_000])
    assert not proof.holds(leaf_hash(b"another"), large_log.roots[70_000])


@pytest.mark.parametrize("size", SIZES)
def test_inclusion_in_older_heads(large_log: Log, large_reader: TileReader, size: int) -> None:
    for index in {0, size // 2, size - 1}:
        proof = prove_inclusion(large_reader, index, size)
        assert proof.holds(leaf_hash(large_log.leaves[index]), large_log.roots[size])


@pytest.mark.parametrize("old", SIZES)
def test_consistency_between_all_heads(large_log: Log, large_reader: TileReader, old: int) -> None:
    for new in [size for size in SIZES if size >= old]:
        proof = prove_consistency(large_reader, old, new)
        assert proof.holds(large_log.roots[old], large_log.roots[new])
        assert not proof.holds(b"r" * 32, large_log.roots[new])
    assert prove_consistency(large_reader, old).new == 70_000


@pytest.mark.parametrize(("index", "size"), [(70_000, None), (-1, None), (5, 5), (0, 0), (70_000, 70_001)])
def test_no_proof_of_what_is_not_there(large_reader: TileReader, index: int, size: int | None) -> None:
    with pytest.raises(Invalid):
        prove_inclusion(large_reader, index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 5), (6, 5), (70_001, None), (1, 70_001), (0, 0)])
def test_no_consistency_with_what_was_not(large_reader: TileReader, old: int, new: int | None) -> None:
    with pytest.raises(Invalid):
        prove_consistency(large_reader, old, new)


def test_a_damaged_tile_gives_no_wrong_proof(log: Log) -> None:
    log.grow([600])
    path: Path = log.root / "tile/0/001"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    reader = TileReader(log.root, 600, log.roots[600])
    assert prove_inclusion(reader, 3).holds(leaf_hash(log.leaves[3]), log.roots[600])
    with pytest.raises(Corrupt) as caught:
        prove_inclusion(reader, 300)
    assert caught.value.public.endswith("tile/0/001")
