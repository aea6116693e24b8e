"""Verifier keys, ours and the auditor's reader on the same bytes: both take a key, or both refuse it."""

from __future__ import annotations

from keten.core.errors import Invalid
from keten.ledger.notes import Verifier
from tests.fuzz.target import Target, is_text
from tests.fuzz.targets.log_keys import SIGNER, STRANGER, tool


def check(data: bytes) -> bool:
    if not is_text(data):
        return False
    text = data.decode()
    theirs = tool().read_key(text)
    try:
        key = Verifier.parse(text)
    except Invalid:
        assert theirs is None, "the auditor takes what we refuse"
        return False
    assert theirs is not None, "the auditor refuses what we take"
    assert (key.name, key.id) == (theirs.name, theirs.id)
    assert text.removesuffix("\n").startswith(f"{key.name}+"), "one spelling"
    return True


TARGET = Target(
    "verifier-key",
    check,
    lambda: [SIGNER.verifier_key().encode(), STRANGER.verifier_key().encode() + b"\n"],
    words=(b"+", b"\n", b"AQ", b"=", b"+00000000+", b"\xc2\xa0", b"\xe2\x80\x8b", b"A" * 44),
    longest=5000,
)
