"""The keys, the log and the auditor's tool that the targets of the ledger share."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.ledger.merkle import Edge, inclusion_path, leaf_hash
from keten.ledger.notes import Signer, Verifier, checkpoint_text
from keten.ledger.prooffile import ProofFile
from keten.ledger.sealing import commitment, leaf_bytes
from tests.fuzz.target import ROOT

ORIGIN = "ledger.example/keten"
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
STRANGER = Signer("witness.example", Ed25519PrivateKey.from_private_bytes(b"\x08" * 32))
VERIFIER = Verifier.parse(SIGNER.verifier_key())
SIZE, PLACE = 21, 13
ID = "abcdefghijklmnopqrstuvwxya"


def tool() -> ModuleType:
    """keten-verify.py as a module."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    return importlib.import_module("keten-verify")


def leaf(index: int) -> bytes:
    return leaf_bytes(ID, commitment(b"\x05" * 32, ID, b"payload %d" % index))


HASHES = [leaf_hash(leaf(index)) for index in range(SIZE)]
EDGE = Edge().append_many(HASHES)


def _hash_at(level: int, index: int) -> bytes:
    return Edge().append_many(HASHES[index << level : (index + 1) << level]).root()


PATH = inclusion_path(PLACE, SIZE, _hash_at)
NOTE = SIGNER.sign(checkpoint_text(ORIGIN, SIZE, EDGE.root()))
# As after a witness has co-signed: the stranger's signature line after ours.
COSIGNED = NOTE + STRANGER.sign(checkpoint_text(ORIGIN, SIZE, EDGE.root())).rpartition("\n\n")[2]
PROOF = ProofFile(PLACE, tuple(PATH), NOTE, leaf(PLACE)).encode()
