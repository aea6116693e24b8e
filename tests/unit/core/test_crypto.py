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
