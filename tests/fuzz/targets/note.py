"""Signed notes, ours and the auditor's reader on the same bytes: none is taken that was not signed; both agree."""

from __future__ import annotations

from keten.core.errors import Corrupt
from keten.ledger.notes import open_note, parse_checkpoint, unverified_checkpoint
from tests.fuzz.target import Target
from tests.fuzz.targets.log_keys import COSIGNED, NOTE, SIGNER, STRANGER, VERIFIER, tool

TEXT = NOTE.rpartition("\n\n")[0] + "\n"


def check(data: bytes) -> bool:
    auditor = tool()
    try:
        theirs = auditor.open_checkpoint(data, auditor.read_key(SIGNER.verifier_key()), "fuzzed")
    except auditor.Fault:
        theirs = None
    try:
        opened = open_note(data, (VERIFIER,))
        checkpoint = parse_checkpoint(data, VERIFIER)
    except Corrupt:
        assert theirs is None, "the auditor takes what we refuse"
        return False
    assert theirs is not None, "the auditor refuses what we take"
    assert opened.text == TEXT, "only what was signed"
    assert (checkpoint.size, checkpoint.root) == (theirs.size, theirs.root)
    assert unverified_checkpoint(data) == checkpoint
    return True


TARGET = Target(
    "note",
    check,
    lambda: [NOTE.encode(), COSIGNED.encode()],
    words=("\u2014 ".encode(), STRANGER.sign("x\n").encode(), b"\n\n", SIGNER.name.encode(), b"AAAA", b"==", b"\x7f"),
)
