"""Wrapping, derivation and sealing: what comes back is what went in, and a changed bit is noticed."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.crypto import (
    KEY_BYTES,
    Wrapper,
    derive,
    ed25519_verifies,
    is_sealed,
    new_key,
    open_by_passphrase,
    seal_by_passphrase,
)
from keten.core.errors import Corrupt, Denied

KEY = b"\x01" * KEY_BYTES


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_wrapped_there_and_back(secret: bytes, context: bytes) -> None:
    blob = Wrapper(KEY).wrap(secret, context)
    assert Wrapper(KEY).unwrap(blob, context) == secret
    assert len(blob) == len(secret) + 28
    assert Wrapper(KEY).wrap(secret, context) != blob, "a nonce is never used twice"


@given(st.binary(min_size=1, max_size=80), st.data())
def test_a_changed_bit_is_noticed(secret: bytes, data: st.DataObject) -> None:
    blob = bytearray(Wrapper(KEY).wrap(secret, b"context"))
    at = data.draw(st.integers(0, len(blob) * 8 - 1))
    blob[at // 8] ^= 1 << (at % 8)
    with pytest.raises(Corrupt):
        Wrapper(KEY).unwrap(bytes(blob), b"context")


@given(st.binary(max_size=60))
def test_any_other_bytes_are_damaged(blob: bytes) -> None:
    with pytest.raises(Corrupt):
        Wrapper(KEY).unwrap(blob, b"")


def test_another_context_or_key_is_noticed() -> None:
    blob = Wrapper(KEY).wrap(b"secret", b"object-1")
    for wrapper, context in ((Wrapper(KEY), b"object-2"), (Wrapper(KEY), b""), (Wrapper(b"\2" * 32), b"object-1")):
        with pytest.raises(Corrupt) as caught:
            wrapper.unwrap(blob, context)
        assert "secret" not in str(caught.value)


def _hkdf(root: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 §2, with the salt left out, by the standard library."""
    prk = hmac.digest(bytes(32), root, "sha256")
    okm, block, number = b"", b"", 1
    while len(okm) < length:
        block = hmac.digest(prk, block + info + bytes([number]), "sha256")
        okm, number = okm + block, number + 1
    return okm[:length]


@given(st.binary(min_size=32, max_size=32), st.text(max_size=30), st.integers(1, 200))
def test_derived_as_rfc_5869_says(root: bytes, purpose: str, length: int) -> None:
    assert derive(root, purpose, length) == _hkdf(root, b"keten/" + purpose.encode(), length)


def test_each_purpose_has_its_own_key() -> None:
    purposes = ("ledger-signing", "wrapping", "identity", "entry-ids")
    assert len({derive(KEY, purpose) for purpose in purposes}) == len(purposes)
    assert derive(KEY, "wrapping") == derive(KEY, "wrapping") != derive(b"\2" * 32, "wrapping")
    assert len({new_key() for _ in range(100)}) == 100


def test_sealed_by_a_passphrase() -> None:
    """As scrypt with N=2^17, r=8, p=1 (RFC 7914) has it, by the standard library."""
    sealed = seal_by_passphrase(b"secret", b"passphrase")
    assert is_sealed(sealed)
    assert b"secret" not in sealed
    magic = len(b"keten-sealed-1\n")
    salt, rest = sealed[magic : magic + 16], sealed[magic + 16 :]
    key = hashlib.scrypt(b"passphrase", salt=salt, n=2**17, r=8, p=1, maxmem=1 << 28, dklen=32)
    assert Wrapper(key).unwrap(rest, b"keten-sealed-1\n") == b"secret"
    with pytest.raises(Denied) as caught:
        open_by_passphrase(sealed, b"passphrasf")
    assert caught.value.code == "wrong-passphrase"


@pytest.mark.parametrize(
    "blob", [b"", b"keten-sealed-1\n", b"keten-sealed-1\n" + b"x" * 43, b"keten-sealed-2\n" + b"x" * 99]
)
def test_what_is_not_sealed(blob: bytes) -> None:
    with pytest.raises(Corrupt):
        open_by_passphrase(blob, b"passphrase")


# RFC 8032 §7.1, tests 2 and 3: public key, message, signature.
VECTORS = [
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_signatures_of_the_standard_hold(public: str, message: str, signature: str) -> None:
    key, text, signed = map(bytes.fromhex, (public, message, signature))
    assert ed25519_verifies(key, signed, text)
    assert not ed25519_verifies(key, signed, text + b"\0")
    for place in range(len(signed)):
        other = bytearray(signed)
        other[place] ^= 1
        assert not ed25519_verifies(key, bytes(other), text)


def test_keys_and_signatures_of_other_sizes_do_not_hold() -> None:
    key, text, signed = map(bytes.fromhex, VECTORS[0])
    for wrong in (b"", key[:-1], key + b"\0"):
        assert not ed25519_verifies(wrong, signed, text)
    for wrong in (b"", signed[:-1], signed + b"\0", signed[:63] + text):
        assert not ed25519_verifies(key, wrong, text)


def test_a_signature_has_one_spelling_and_no_key_of_small_order_signs() -> None:
    key, text, signed = map(bytes.fromhex, VECTORS[0])
    order = 2**252 + 27742317777372353535851937790883648493
    other = int.from_bytes(signed[32:], "little") + order
    assert not ed25519_verifies(key, signed[:32] + other.to_bytes(32, "little"), text)  # RFC 8032 §5.1.7
    neutral = (1).to_bytes(32, "little")
    assert not ed25519_verifies(neutral, neutral + bytes(32), b"whatever")
