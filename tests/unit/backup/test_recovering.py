"""Proofs of a log that was lost: of the history that goes on here, or of another one that its key signed too."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.backup.service import LIVE, Forked, Life, require_one_history, shown
from keten.core.errors import Corrupt, Invalid
from keten.ledger.evidence import decode, encode, judge
from keten.ledger.merkle import inclusion_path
from keten.ledger.notes import Signer
from keten.ledger.prooffile import ProofFile
from keten.ledger.succession import Predecessor
from keten.ledger.tiles import TileReader
from tests.unit.ledger.conftest import Naive
from tests.unit.ledger.published_log import Log

OLD = Signer("keten/x/1", Ed25519PrivateKey.from_private_bytes(b"\x31" * 32))
NEW = Signer("keten/x/2.aaaaaaaa", Ed25519PrivateKey.from_private_bytes(b"\x32" * 32))
WENT_ON = 5


class Lives:
    """A log whose first five entries went on in another one, and what its key can still sign."""

    def __init__(self, folder: Path) -> None:
        self.old = Log(folder / "old", OLD)
        for size in (1, 4, WENT_ON, 8):
            self.old.seal(size)
        new = Log(folder / "new", NEW)
        new.grow([WENT_ON, 9])
        self.reader = TileReader(folder / "new", 9, new.roots[9])
        before = Predecessor(OLD.verifier_key(), self.old.notes[WENT_ON], "")
        self.chain = (Life(NEW.name, WENT_ON, 1, LIVE, before),)

    def proof(self, index: int, size: int) -> str:
        """A proof in the old log as its leaves are now."""
        leaves = self.old.leaves[:size]
        path = inclusion_path(index, size, Naive().hash_at(leaves))
        return ProofFile(index, tuple(path), self.old.notes[size], leaves[index]).encode()

    def rewrite(self, index: int, size: int) -> None:
        """Another entry, signed with the same key."""
        self.old.leaves = [*self.old.leaves[:index], self.old.leaves[7], *self.old.leaves[index + 1 : size]]
        self.old.seal_anew()


@pytest.fixture
def lives(tmp_path: Path) -> Lives:
    return Lives(tmp_path)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (2, 4), (4, WENT_ON), (4, 8), (7, 8)])
def test_what_is_of_the_history_that_goes_on_here(lives: Lives, index: int, size: int) -> None:
    found = shown(lives.chain, lives.proof(index, size))
    require_one_history(found, lives.reader)
    assert (found.index, found.id) == (index, lives.old.ids[index])


@pytest.mark.parametrize(("changed", "index", "size"), [(0, 0, 1), (2, 2, 4), (2, 0, 4), (4, 1, WENT_ON)])
def test_another_history_is_a_fork_and_evidence_proves_it(lives: Lives, changed: int, index: int, size: int) -> None:
    """Also where the entry that the proof is about is the same."""
    lives.rewrite(changed, size)
    found = shown(lives.chain, lives.proof(index, size))
    with pytest.raises(Forked, match="proves a fork") as raised:
        require_one_history(found, lives.reader)
    evidence = decode(encode(raised.value.evidence))
    verdict = judge(evidence, OLD.verifier_key())
    assert verdict.fork, verdict.why
    assert (verdict.kept_size, verdict.shown_size, evidence.index) == (size, WENT_ON, index)


def test_another_entry_in_a_larger_head(lives: Lives) -> None:
    """Where the entry is the one that is here, nothing is known of what else that head is over."""
    lives.rewrite(2, 8)
    with pytest.raises(Forked) as raised:
        require_one_history(shown(lives.chain, lives.proof(2, 8)), lives.reader)
    assert "another entry 2" in raised.value.evidence.what
    verdict = judge(decode(encode(raised.value.evidence)), OLD.verifier_key())
    assert (verdict.fork, verdict.kept_size, verdict.shown_size) == (True, 8, WENT_ON), verdict.why
    require_one_history(shown(lives.chain, lives.proof(1, 8)), lives.reader)


def test_what_is_no_proof_of_a_log_before_this_one(lives: Lives) -> None:
    with pytest.raises(Invalid, match="not of a log"):
        shown((), lives.proof(0, 1))
    with pytest.raises(Corrupt):
        shown(lives.chain, lives.proof(0, 4).replace("index 0", "index 1"))
    with pytest.raises(Corrupt):
        shown(lives.chain, "")
