"""Verifier keys over any 32 bytes, with the hash that fits: points that are no good are no keys, for both readers."""

from __future__ import annotations

from keten.core.errors import Invalid
from keten.ledger.notes import ED25519, Verifier, key_id, to_base64
from tests.fuzz.target import Target
from tests.fuzz.targets.log_keys import SIGNER, STRANGER, tool

NAME = "ledger.example/fuzzed"
# RFC 8032 §5.1: points whose order divides 8, for which anyone can sign; not canonical; not on the curve.
WEAK = (
    *(
        bytes(32),
        (1).to_bytes(32, "little"),
        (2**255 - 20).to_bytes(32, "little"),
        (2**255 - 19).to_bytes(32, "little"),
    ),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    *((2).to_bytes(32, "little"), b"\xff" * 32, (1 << 255).to_bytes(32, "little")),
)


def check(data: bytes) -> bool:
    public = data[:32].ljust(32, b"\0")
    text = f"{NAME}+{key_id(NAME, public).hex()}+{to_base64(ED25519 + public)}"
    theirs = tool().read_key(text)
    try:
        key = Verifier.parse(text)
    except Invalid:
        assert theirs is None, "the auditor takes what we refuse"
        return False
    assert theirs is not None, "the auditor refuses what we take"
    assert public not in WEAK
    assert key.id == theirs.id
    return True


TARGET = Target(
    "verifier-key-point",
    check,
    lambda: [SIGNER._public, STRANGER._public],
    words=WEAK,
    longest=32,
    calls=(60, 200_000),
)
