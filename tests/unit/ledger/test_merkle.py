"""RFC 6962 trees against the RFC's own recursive definitions and against roots that other logs publish."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Corrupt, Invalid
from keten.ledger.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    Edge,
    consistency_path,
    inclusion_path,
    leaf_hash,
    leaf_hashes,
    node_hash,
    pair_up,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves with which Certificate Transparency logs test themselves, and the root after each of them.
CT_LEAVES = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaves_of(count: int) -> list[bytes]:
    return [b"leaf %d" % index for index in range(count)]


def edge_of(leaves: list[bytes]) -> Edge:
    return Edge().append_many([leaf_hash(leaf) for leaf in leaves])


def test_root_of_nothing() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Edge().root() == Edge(0, ()).root() == EMPTY_ROOT
    assert Edge().append_many([]) == Edge()


def test_roots_that_ct_logs_publish() -> None:
    edge = Edge()
    for leaf, root in zip(CT_LEAVES, CT_ROOTS, strict=True):
        edge = edge.append_many([leaf_hash(leaf)])
        assert edge.root().hex() == root


def test_leaf_and_node_are_different_domains() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)


@given(batches=st.lists(st.integers(0, 40), max_size=12))
def test_any_batching_gives_the_same_edge(naive: Any, batches: list[int]) -> None:
    leaves = leaves_of(sum(batches))
    edge, at = Edge(), 0
    for count in batches:
        edge = edge.append_many([leaf_hash(leaf) for leaf in leaves[at : at + count]])
        at += count
        assert edge.root() == naive.root(leaves[:at])
    assert edge == edge_of(leaves)
    assert Edge.decode(edge.encode()) == edge


def test_appending_leaves_the_old_edge_alone() -> None:
    old = edge_of(leaves_of(7))
    encoded = old.encode()
    assert old.append_many([leaf_hash(b"x")]).size == 8
    assert old.encode() == encoded


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        b"\0" * 9,
        (1).to_bytes(8, "big"),
        (1).to_bytes(8, "big") + b"h" * 31,
        (1).to_bytes(8, "big") + b"h" * 33,
        (2).to_bytes(8, "big") + b"h" * 64,
        (2**63).to_bytes(8, "big") + b"h" * 32,
        b"\xff" * 8 + b"h" * 32 * 64,
    ],
)
def test_damaged_edges_are_refused(data: bytes) -> None:
    with pytest.raises(Corrupt) as caught:
        Edge.decode(data)
    assert caught.value.code == "edge-damaged"


@pytest.mark.parametrize(
    ("size", "hashes"), [(1, ()), (0, (b"h" * 32,)), (1, (b"h" * 31,)), (-1, ()), (2**63, (b"h" * 32,))]
)
def test_an_edge_that_does_not_fit_its_size_is_refused(size: int, hashes: tuple[bytes, ...]) -> None:
    with pytest.raises(Invalid):
        Edge(size, hashes)


def test_append_refuses_what_is_not_a_hash_or_does_not_fit() -> None:
    with pytest.raises(Invalid):
        Edge().append_many([b"short"])
    full = Edge(MAX_SIZE, tuple(b"h" * 32 for _ in range(63)))
    with pytest.raises(Invalid) as caught:
        full.append_many([leaf_hash(b"one more")])
    assert caught.value.code == "tree-full"


@given(size=st.integers(1, 130), data=st.data())
def test_inclusion_is_the_rfcs_path_and_verifies(naive: Any, size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(index, size, naive.hash_at(leaves))
    assert path == naive.path(index, leaves)
    root = naive.root(leaves)
    assert verify_inclusion(leaf_hash(leaves[index]), index, size, path, root)
    assert not verify_inclusion(leaf_hash(b"another"), index, size, path, root)


@given(new=st.integers(1, 130), data=st.data())
def test_consistency_is_the_rfcs_proof_and_verifies(naive: Any, new: int, data: st.DataObject) -> None:
    leaves = leaves_of(new)
    old = data.draw(st.integers(1, new))
    path = consistency_path(old, new, naive.hash_at(leaves))
    assert path == naive.proof(old, leaves)
    old_root, new_root = naive.root(leaves[:old]), naive.root(leaves)
    assert verify_consistency(old, new, path, old_root, new_root)
    rewritten = naive.root([b"changed", *leaves[1:old]])
    assert not verify_consistency(old, new, path, rewritten, new_root)
    assert not verify_consistency(old, new, path, old_root, leaf_hash(b"changed"))


def variations(path: list[bytes]) -> list[list[bytes]]:
    """Every way to spoil a proof a little."""
    bent = [[*path[:at], bytes([path[at][0] ^ 1]) + path[at][1:], *path[at + 1 :]] for at in range(len(path))]
    swapped = [[*path[:at], b, a, *path[at + 2 :]] for at, (a, b) in enumerate(pairwise(path)) if a != b]
    odd = [[*path[:at], path[at][:31], *path[at + 1 :]] for at in range(len(path))]
    shorter = [path[1:], path[:-1]] if path else []
    return [
        *bent,
        *swapped,
        *odd,
        *shorter,
        [*path, b"h" * 32],
        [b"h" * 32, *path],
        [*path, *path, b"h" * 32],
    ]


@pytest.mark.parametrize("size", range(1, 35))
def test_spoilt_inclusion_proofs_fail(naive: Any, size: int) -> None:
    leaves = leaves_of(size)
    root = naive.root(leaves)
    for index in range(size):
        path = naive.path(index, leaves)
        leaf = leaf_hash(leaves[index])
        for wrong in variations(path):
            assert not verify_inclusion(leaf, index, size, wrong, root)
        for elsewhere in set(range(size)) - {index}:
            assert not verify_inclusion(leaf, elsewhere, size, path, root)
        assert not verify_inclusion(leaf[:31], index, size, path, root)
        assert not verify_inclusion(leaf, index, size, path, root[:31])


@pytest.mark.parametrize("new", range(1, 35))
def test_spoilt_consistency_proofs_fail(naive: Any, new: int) -> None:
    leaves = leaves_of(new)
    new_root = naive.root(leaves)
    for old in range(1, new + 1):
        old_root, path = naive.root(leaves[:old]), naive.proof(old, leaves)
        for wrong in variations(path):
            assert not verify_consistency(old, new, wrong, old_root, new_root)
        for other in set(range(1, new + 1)) - {old}:
            assert not verify_consistency(other, new, path, old_root, new_root)
        assert not verify_consistency(old, new, path, old_root[:31], new_root)
    assert not verify_consistency(new, new, [], leaf_hash(b"other"), new_root)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 1), (5, 4), (0, 2**63), (2**64, 2**65)])
def test_places_outside_a_tree_are_refused_aloud(naive: Any, index: int, size: int) -> None:
    with pytest.raises(Invalid) as caught:
        inclusion_path(index, size, naive.hash_at([]))
    assert caught.value.code == "proof-range"
    with pytest.raises(Invalid):
        verify_inclusion(b"h" * 32, index, size, [], b"h" * 32)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 1), (2, 1), (-1, 1), (1, 2**63)])
def test_sizes_that_cannot_be_compared_are_refused_aloud(naive: Any, old: int, new: int) -> None:
    with pytest.raises(Invalid) as caught:
        consistency_path(old, new, naive.hash_at([]))
    assert caught.value.code == "proof-range"
    with pytest.raises(Invalid):
        verify_consistency(old, new, [], b"h" * 32, b"h" * 32)


def test_proofs_in_the_largest_tree_end() -> None:
    asked: list[tuple[int, int]] = []

    def hash_at(level: int, index: int) -> bytes:
        asked.append((level, index))
        assert (index + 1) << level <= MAX_SIZE
        return node_hash(level.to_bytes(32, "big"), index.to_bytes(32, "big"))

    for index in (0, 1, MAX_SIZE // 2, MAX_SIZE - 1):
        assert len(inclusion_path(index, MAX_SIZE, hash_at)) <= 63
    assert len(consistency_path(MAX_SIZE // 3, MAX_SIZE, hash_at)) <= 64
    assert asked


def test_several_leaves_are_hashed_as_one_by_one() -> None:
    leaves = [b"", b"a", b"b" * 100]
    assert leaf_hashes(leaves) == [sha256(b"\0" + leaf).digest() for leaf in leaves]


def test_the_parents_of_an_odd_number_leave_the_last_out() -> None:
    hashes = [leaf_hash(bytes([each])) for each in range(3)]
    assert pair_up(hashes) == [node_hash(hashes[0], hashes[1])]
    assert pair_up(hashes[:1]) == pair_up([]) == []


def test_a_tree_holds_as_many_leaves_as_verifiers_can_count_and_no_more() -> None:
    almost = Edge(MAX_SIZE - 1, (b"h" * 32,) * 62)
    full = almost.append_many([leaf_hash(b"last")])
    assert (full.size, Edge.decode(full.encode())) == (MAX_SIZE, full)
    with pytest.raises(Invalid) as caught:
        full.append_many([leaf_hash(b"one more")])
    assert caught.value.code == "tree-full"
    assert str(MAX_SIZE + 1) in caught.value.reason


@pytest.mark.parametrize("size", range(1, 18))
def test_every_leaf_of_a_small_tree_is_proven_at_its_place_alone(naive: Any, size: int) -> None:
    leaves = [bytes([each]) for each in range(size)]
    root = naive.root(leaves)
    for index in range(size):
        path = naive.path(index, leaves)
        assert inclusion_path(index, size, naive.hash_at(leaves)) == path
        proven = [at for at in range(size) if verify_inclusion(leaf_hash(leaves[index]), at, size, path, root)]
        assert proven == [index]
