"""The Ed25519 of keten-verify.py: RFC 8032 and what it leaves open, against another implementation."""

from __future__ import annotations

from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

# --- Ed25519 ----------------------------------------------------------------------------------------------------

RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
]


@pytest.mark.parametrize(("_secret", "public", "message", "signature"), RFC_8032)
def test_vectors_of_rfc_8032(tool: ModuleType, _secret: str, public: str, message: str, signature: str) -> None:
    key, text, proof = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert tool.signed(key, text, proof)
    assert not tool.signed(key, text + b"x", proof)
    larger = (int.from_bytes(proof[32:], "little") + tool.ORDER).to_bytes(32, "little")
    assert not tool.signed(key, text, proof[:32] + larger)  # the same number, spelt differently
    for at in range(64):
        assert not tool.signed(key, text, proof[:at] + bytes([proof[at] ^ 4]) + proof[at + 1 :])
    for length in (0, 32, 63, 65):
        assert not tool.signed(key, text, (proof + b"x")[:length])


@settings(max_examples=30)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200))
def test_signatures_by_another_implementation(tool: ModuleType, seed: bytes, message: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw()
    assert tool.good_key(public)
    assert tool.signed(public, message, key.sign(message))
    assert not tool.signed(public, message + b"x", key.sign(message))


def test_keys_with_which_anybody_could_sign_are_refused(tool: ModuleType) -> None:
    """The eight points of small order, and the spellings of points that are not canonical."""
    p = tool.P
    eighth = next(
        point
        for point in (
            tool.multiply(candidate, tool.ORDER)
            for candidate in map(tool.decode_point, (y.to_bytes(32, "little") for y in range(2, 200)))
            if candidate is not None
        )
        if not tool.is_neutral(tool.multiply(point, 4))
    )
    small = {tool.encode_point(tool.multiply(eighth, times)) for times in range(8)}
    assert len(small) == 8
    for public in small:
        assert tool.decode_point(public) is not None
        assert not tool.good_key(public)
        assert not tool.signed(public, b"anything", public + b"\0" * 32)
    for number in (p, p + 1, p + 2, 2**255 - 1, 1 | 1 << 255, (p - 1) | 1 << 255):
        assert tool.decode_point(number.to_bytes(32, "little")) is None
    assert tool.decode_point(b"\x02" + b"\0" * 31) is None  # on no point of the curve
    assert not tool.good_key(b"short")
