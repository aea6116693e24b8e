"""What the ledger's unit tests share: RFC 6962 as its text has it (recursive, slow), and a signer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.ledger.notes import Signer
from tests.unit.ledger.published_log import Log
from tests.well_said import errors_are_well_said

__all__ = ["errors_are_well_said"]


def _split(count: int) -> int:
    """The largest power of two smaller than `count`."""
    k = 1
    while k * 2 < count:
        k *= 2
    return k


class Naive:
    """RFC 6962 §2.1, definition by definition, over a list of leaves' bytes."""

    def root(self, leaves: Sequence[bytes]) -> bytes:
        """MTH(D[n])."""
        if not leaves:
            return hashlib.sha256(b"").digest()
        if len(leaves) == 1:
            return hashlib.sha256(b"\x00" + leaves[0]).digest()
        k = _split(len(leaves))
        return hashlib.sha256(b"\x01" + self.root(leaves[:k]) + self.root(leaves[k:])).digest()

    def path(self, m: int, leaves: Sequence[bytes]) -> list[bytes]:
        """PATH(m, D[n])."""
        if len(leaves) == 1:
            return []
        k = _split(len(leaves))
        if m < k:
            return [*self.path(m, leaves[:k]), self.root(leaves[k:])]
        return [*self.path(m - k, leaves[k:]), self.root(leaves[:k])]

    def proof(self, m: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
        """SUBPROOF(m, D[n], b); PROOF(m, D[n]) with b true."""
        if m == len(leaves):
            return [] if whole else [self.root(leaves)]
        k = _split(len(leaves))
        if m <= k:
            return [*self.proof(m, leaves[:k], whole), self.root(leaves[k:])]
        return [*self.proof(m - k, leaves[k:], False), self.root(leaves[:k])]

    def hash_at(self, leaves: Sequence[bytes]) -> Callable[[int, int], bytes]:
        """The complete subtrees of the tree; asking for an incomplete one is the caller's mistake."""

        def at(level: int, index: int) -> bytes:
            low, high = index << level, (index + 1) << level
            assert 0 <= low < high <= len(leaves), f"no complete subtree ({level}, {index})"
            return self.root(leaves[low:high])

        return at


@pytest.fixture(scope="session")
def naive() -> Naive:
    return Naive()


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer("ledger.example/keten", Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))


@pytest.fixture
def log(tmp_path: Path, signer: Signer) -> Log:
    return Log(tmp_path / "ledger", signer)


@pytest.fixture(scope="session")
def large_log(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Log:
    """70,000 entries, three levels of tiles; not to be changed."""
    log = Log(tmp_path_factory.mktemp("large"), signer)
    log.grow([1, 255, 256, 257, 512, 65_535, 65_536, 69_999, 70_000])
    log.publisher.close()
    return log
