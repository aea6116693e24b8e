"""Cosignatures, byte for byte as c2sp.org/tlog-cosignature v1 has them."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Invalid
from keten.ledger.cosignatures import CosignatureKey, Cosigner, cosignatures
from keten.ledger.notes import MAX_SIGNATURES, NoteMalformed, SignatureWrong, Signer, Verifier, parse_checkpoint

PRIVATE = Ed25519PrivateKey.from_private_bytes(b"\x21" * 32)
PUBLIC = PRIVATE.public_key().public_bytes_raw()
NAME = "witness.example/w1"
LOG = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x22" * 32))
TEXT = "ledger.example/log\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
TIME = 1_679_315_147


@pytest.fixture
def cosigner() -> Cosigner:
    return Cosigner(NAME, PRIVATE)


def test_the_line_is_what_the_specification_says(cosigner: Cosigner) -> None:
    identity = hashlib.sha256(NAME.encode() + b"\n\x04" + PUBLIC).digest()[:4]
    message = b"cosignature/v1\ntime 1679315147\n" + TEXT.encode()
    raw = identity + TIME.to_bytes(8, "big") + PRIVATE.sign(message)
    assert cosigner.line(TEXT, TIME) == f"\u2014 {NAME} {base64.b64encode(raw).decode()}\n"
    key = f"{NAME}+{identity.hex()}+{base64.b64encode(bytes([4]) + PUBLIC).decode()}"
    assert cosigner.key.verifier_key() == key
    assert CosignatureKey.parse(key + "\n").label == f"{NAME}+{identity.hex()}"


def test_a_note_with_cosignatures_is_read_by_everybody(cosigner: Cosigner) -> None:
    note = LOG.sign(TEXT)
    others = [Cosigner(f"witness.example/{at}", Ed25519PrivateKey.generate()) for at in range(40)]
    full = note + cosigner.line(TEXT, TIME) + "".join(one.line(TEXT, TIME + 1) for one in others)
    assert parse_checkpoint(full, Verifier.parse(LOG.verifier_key())).size == 20852163
    (mine,) = cosignatures(full, [cosigner.key])
    assert (mine.label, mine.time, mine.line) == (cosigner.key.label, TIME, cosigner.line(TEXT, TIME))
    assert len(cosignatures(full, [one.key for one in others])) == 40
    assert cosignatures(note, [cosigner.key]) == ()
    with pytest.raises(NoteMalformed):
        cosignatures(note + cosigner.line(TEXT, TIME) * MAX_SIGNATURES, [cosigner.key])


def test_the_newest_of_one_witness_counts(cosigner: Cosigner) -> None:
    lines = [cosigner.line(TEXT, TIME + add) for add in (5, 9, 1)]
    (found,) = cosignatures(LOG.sign(TEXT) + "".join(lines), [cosigner.key])
    assert (found.time, found.line) == (TIME + 9, lines[1])


@given(at=st.integers(0, 75), bit=st.integers(0, 7))
def test_a_changed_byte_is_noticed(at: int, bit: int) -> None:
    cosigner = Cosigner(NAME, PRIVATE)
    raw = bytearray(base64.b64decode(cosigner.line(TEXT, TIME).split(" ")[2]))
    raw[at] ^= 1 << bit
    line = f"\u2014 {NAME} {base64.b64encode(bytes(raw)).decode()}\n"
    if at < 4:  # another key's
        assert cosignatures(LOG.sign(TEXT) + line, [cosigner.key]) == ()
        return
    with pytest.raises(SignatureWrong):
        cosignatures(LOG.sign(TEXT) + line, [cosigner.key])


@pytest.mark.parametrize("length", [4, 5, 64, 68, 75, 77])
def test_a_signature_of_another_length(length: int, cosigner: Cosigner) -> None:
    raw = (cosigner.key.id + b"\0" * 100)[: max(length, 5)]
    line = f"\u2014 {NAME} {base64.b64encode(raw).decode()}\n"
    with pytest.raises(SignatureWrong):
        cosignatures(LOG.sign(TEXT) + line, [cosigner.key])


def test_a_logs_key_is_no_witnesss_and_the_other_way_round(cosigner: Cosigner) -> None:
    with pytest.raises(Invalid, match="witness"):
        CosignatureKey.parse(LOG.verifier_key())
    with pytest.raises(Invalid, match="Ed25519"):
        Verifier.parse(cosigner.key.verifier_key())
    with pytest.raises(Invalid, match="name"):
        Cosigner("with space", PRIVATE)
    with pytest.raises(Invalid, match="hash"):
        CosignatureKey.parse(cosigner.key.verifier_key().replace("w1", "w2", 1))


def test_a_cosignature_holds_for_its_own_text_only(cosigner: Cosigner) -> None:
    other = TEXT.replace("20852163", "20852164")
    with pytest.raises(SignatureWrong):
        cosignatures(LOG.sign(other) + cosigner.line(TEXT, TIME), [cosigner.key])
    assert not cosigner.key.holds(TEXT.encode(), PRIVATE.sign(TEXT.encode()))
