"""A proof of one entry from the public ledger, as a file that anybody can check (c2sp.org/tlog-proof)."""

from __future__ import annotations

from pathlib import Path

from keten.core.errors import Unavailable
from keten.ledger.notes import MAX_NOTE_BYTES, Verifier, parse_checkpoint
from keten.ledger.prooffile import ProofFile, verify_proof
from keten.ledger.proofs import prove_inclusion
from keten.ledger.tiles import TileReader, read_file


def prove(folder: Path, index: int) -> str:
    """The proof of the entry at this index, by the published checkpoint; it was verified here before it is given.

    folder: the public ledger. Raises `Unavailable` ("not-published") for an entry that the checkpoint does not cover
    yet, `Corrupt` when the ledger's files do not hold, and as reading them does.
    """
    verifier = Verifier.parse(read_file(folder, "key.pub", MAX_NOTE_BYTES).decode("utf-8", "replace"))
    checkpoint = parse_checkpoint(read_file(folder, "checkpoint", MAX_NOTE_BYTES), verifier)
    if index >= checkpoint.size:
        raise Unavailable("not-published", "This entry is not in the public ledger yet. Try again in a moment.")
    reader = TileReader(folder, checkpoint.size, checkpoint.root)
    proof = ProofFile(index, prove_inclusion(reader, index).path, checkpoint.note, reader.leaf(index))
    verify_proof(proof, verifier)
    return proof.encode()
