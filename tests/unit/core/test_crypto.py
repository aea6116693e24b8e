"""Wrapping, derivation and sealing: what comes back is what went in, and a changed bit is noticed."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from keten.core.crypto import (
    KEY_BYTES,
    Wrapper,
    derive,
    ed25519_verifies,
    is_ed25519_key,
    is_sealed,
    new_key,
    open_by_passphrase,
    seal_by_passphrase,
)
from keten.core.errors import Corrupt, Denied

KEY = b"\x01" * KEY_BYTES
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    """Edwards25519 addition (RFC 8032 §5.1.4, affine)."""
    (x1, y1), (x2, y2) = one, other
    both = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + both, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - both, -1, P) % P
    return x, y


def on_curve(y: int) -> list[Point]:
    """The points with this y."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * ROOT_OF_MINUS_ONE % P
    return [(root, y), (-root % P, y)] if root * root % P == square else []


def torsion() -> set[Point]:
    """The points whose order divides 8: every point times the prime order L, until all eight are found."""
    order = 2**252 + 27742317777372353535851937790883648493
    found: set[Point] = set()
    y = 2
    while len(found) < 8:
        for point in on_curve(y):
            total: Point = (0, 1)
            power, left = point, order
            while left:
                if left & 1:
                    total = add(total, power)
                power, left = add(power, power), left >> 1
            multiple: Point = (0, 1)
            for _ in range(8):
                found.add(multiple)
                multiple = add(multiple, total)
        y += 1
    return found


def encoded(point: Point) -> bytes:
    """RFC 8032 §5.1.2."""
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decoded(public: bytes) -> Point:
    """The point of a valid key."""
    number = int.from_bytes(public, "little")
    return next(point for point in on_curve(number & 2**255 - 1) if point[0] & 1 == number >> 255)


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


def test_every_point_under_which_anyone_can_sign_is_no_key() -> None:
    points = torsion()
    assert len(points) == 8
    assert not any(is_ed25519_key(encoded(point)) for point in points)


def test_a_key_is_what_a_private_key_gives_and_nothing_near_it() -> None:
    """With a point of small order added, one signature holds for some verifiers and not for others."""
    public = Ed25519PrivateKey.from_private_bytes(KEY).public_key().public_bytes_raw()
    assert is_ed25519_key(public)
    assert encoded(decoded(public)) == public
    for point in torsion():
        shifted = encoded(add(decoded(public), point))
        assert is_ed25519_key(shifted) is (shifted == public)
    assert not is_ed25519_key(public[:-1])
    assert not is_ed25519_key(public + b"\0")


@pytest.mark.parametrize("y", [P, P + 1, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_an_encoding_that_is_not_canonical_is_no_key(y: int, sign: int) -> None:
    assert not is_ed25519_key((y | sign << 255).to_bytes(32, "little"))


def test_what_is_not_on_the_curve_is_no_key() -> None:
    beside = next(y for y in range(2, 100) if not on_curve(y))
    assert not is_ed25519_key(beside.to_bytes(32, "little"))
