"""Proof files, ours and the auditor's reader on the same bytes: both find the entry proven, or neither does."""

from __future__ import annotations

from typing import Any

from keten.core.errors import KetenError
from keten.ledger.merkle import leaf_hash
from keten.ledger.prooffile import parse_proof, verify_proof
from tests.fuzz.target import Target
from tests.fuzz.targets.log_keys import COSIGNED, NOTE, PLACE, PROOF, SIGNER, SIZE, VERIFIER, leaf, tool


def _auditor_says(data: bytes) -> bool:
    """Whether keten-verify.py finds it proven, as in its `_check_proof` for an entry that the export lacks."""
    auditor: Any = tool()
    try:
        proof = auditor.read_proof(data, "fuzzed")
        head = auditor.open_checkpoint(proof.note, auditor.read_key(SIGNER.verifier_key()), "fuzzed")
    except auditor.Fault:
        return False
    if proof.extra is None:
        return False
    return bool(auditor.included(leaf_hash(proof.extra), proof.place, head.size, proof.path, head.root))


def check(data: bytes) -> bool:
    holds = _auditor_says(data)
    try:
        proof = parse_proof(data)
        checkpoint = verify_proof(proof, VERIFIER)
    except KetenError:
        assert not holds, "the auditor takes what we refuse"
        return False
    assert holds, "the auditor refuses what we take"
    assert checkpoint.size == SIZE
    assert proof.extra == leaf(proof.index), "only leaves of the log, at their own places"
    assert proof.encode().encode() == data, "one spelling"
    return True


TARGET = Target(
    "proof-file",
    check,
    lambda: [PROOF.encode(), PROOF.replace(NOTE, COSIGNED).encode()],
    words=(
        b"index 13\n",
        b"index ",
        b"extra ",
        b"c2sp.org/tlog-proof@v1\n",
        b"\n\n",
        str(PLACE).encode(),
        b"A" * 43 + b"=\n",
    ),
    longest=4096,
)
