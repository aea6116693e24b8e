"""Offline proofs of one entry as files (c2sp.org/tlog-proof), by custom named `….tlog-proof`."""

from __future__ import annotations

import msgspec

from keten.core.errors import Corrupt, Invalid
from keten.ledger.merkle import leaf_hash, verify_inclusion
from keten.ledger.notes import (
    MAX_NOTE_BYTES,
    Checkpoint,
    Verifier,
    from_base64,
    parse_checkpoint,
    parse_hash,
    parse_number,
    to_base64,
)

FIRST_LINE = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = 2 * MAX_NOTE_BYTES
_MAX_HASHES = 63


class ProofMalformed(Corrupt):
    """The text is not a proof file: code "proof-malformed"."""


class ProofWrong(Corrupt):
    """The proof does not hold: code "proof-wrong"."""


class ProofFile(msgspec.Struct, frozen=True):
    """What a proof file holds. Keten puts the leaf's bytes into `extra`, so that the file and a key suffice."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def encode(self) -> str:
        """The file's text."""
        lines = [FIRST_LINE]
        if self.extra:
            lines.append(f"extra {to_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines += map(to_base64, self.path)
        return "\n".join(lines) + "\n\n" + self.checkpoint


def parse_proof(text: str | bytes) -> ProofFile:
    """Read a proof file; nothing in it is believed yet. Raises `ProofMalformed`.

    1. It is UTF-8 and not too large; the part before the first empty line describes the proof.
    2. The first line names the format and its version.
    3. An `extra` line may follow, then the `index` line.
    4. All other lines are hashes. What follows the empty line is the checkpoint, as it is.
    """
    if len(text) > MAX_PROOF_BYTES:  # 1
        raise _malformed("it is too large")
    try:
        content = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise _malformed("it is not UTF-8") from error
    head, divider, checkpoint = content.partition("\n\n")
    lines = head.split("\n")
    if not divider or lines.pop(0) != FIRST_LINE:  # 2
        raise _malformed(f"it does not begin with {FIRST_LINE}, or has no checkpoint")
    extra = None
    if lines and lines[0].startswith("extra "):  # 3
        extra = from_base64(lines.pop(0).removeprefix("extra "))
        if not extra:
            raise _malformed("its extra data are not base64")
    index = parse_number(lines[0].removeprefix("index ")) if lines and lines[0].startswith("index ") else None
    if index is None:
        raise _malformed("it has no index")
    path = [parse_hash(line) for line in lines[1 : _MAX_HASHES + 2]]  # 4
    if None in path or len(path) > _MAX_HASHES:
        raise _malformed("its hashes are malformed, or too many")
    return ProofFile(index, tuple(each for each in path if each is not None), checkpoint, extra)


def verify_proof(proof: ProofFile, verifier: Verifier, leaf: bytes | None = None) -> Checkpoint:
    """Check a proof of `leaf` (left out: the leaf that the file carries); the checkpoint that it leads to.

    1. There is a leaf, and the file does not carry another one.
    2. The checkpoint is this log's and its signature holds.
    3. The index is inside the tree, and leaf and path give the checkpoint's root.

    Raises `Invalid` ("proof-no-leaf"), `ProofWrong`, and what `parse_checkpoint` raises.
    """
    if leaf is None:  # 1
        leaf = proof.extra
    if leaf is None:
        raise Invalid("proof-no-leaf", "The proof does not say which entry it is about.")
    if proof.extra is not None and proof.extra != leaf:
        raise ProofWrong("proof-wrong", "The proof is about another entry.", f"index {proof.index}")
    checkpoint = parse_checkpoint(proof.checkpoint, verifier)  # 2
    if proof.index >= checkpoint.size or not verify_inclusion(  # 3
        leaf_hash(leaf), proof.index, checkpoint.size, proof.path, checkpoint.root
    ):
        raise ProofWrong("proof-wrong", "The proof does not hold.", f"{proof.index} of {checkpoint.size}")
    return checkpoint


def _malformed(reason: str) -> ProofMalformed:
    return ProofMalformed("proof-malformed", "This is not a proof file.", reason)
