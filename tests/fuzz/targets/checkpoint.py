"""Texts of checkpoints that the log's own key signed: what they say, both readers read alike."""

from __future__ import annotations

from keten.core.errors import Corrupt, Invalid
from keten.ledger.notes import checkpoint_text, parse_checkpoint
from tests.fuzz.target import Target, is_text
from tests.fuzz.targets.log_keys import EDGE, ORIGIN, SIGNER, VERIFIER, tool


def check(data: bytes) -> bool:
    if not is_text(data):
        return False
    try:
        note = SIGNER.sign(data.decode())
    except Invalid:
        return False
    auditor = tool()
    try:
        theirs = auditor.open_checkpoint(note.encode(), auditor.read_key(SIGNER.verifier_key()), "fuzzed")
    except auditor.Fault:
        theirs = None
    try:
        checkpoint = parse_checkpoint(note, VERIFIER)
    except Corrupt:
        assert theirs is None, "the auditor takes what we refuse"
        return False
    assert theirs is not None, "the auditor refuses what we take"
    assert (checkpoint.size, checkpoint.root) == (theirs.size, theirs.root)
    rest = "".join(f"{line}\n" for line in checkpoint.extensions)
    assert checkpoint_text(checkpoint.origin, checkpoint.size, checkpoint.root) + rest == data.decode(), "one spelling"
    return True


TARGET = Target(
    "checkpoint",
    check,
    lambda: [
        checkpoint_text(ORIGIN, 21, EDGE.root()).encode(),
        checkpoint_text(ORIGIN, 2**63 - 1, EDGE.root()).encode() + b"more\n",
    ],
    words=(ORIGIN.encode(), b"\n\n", b"0\n", b"00", b"+1", "\u0661".encode(), b"9223372036854775808", b"AAAA", b"\x7f"),
)
