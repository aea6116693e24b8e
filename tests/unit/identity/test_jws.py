"""One spelling for one meaning: what other parsers would let pass."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from keten.identity import jws
from keten.identity.errors import Refused
from tests.unit.identity.signing import ClientKey, EcKey, text

SIGNATURE = text(b"s" * 64)
HEADER = text({"alg": "EdDSA"})


@given(st.binary(max_size=100))
def test_base64url_goes_both_ways(raw: bytes) -> None:
    encoded = jws.encode_base64url(raw)
    assert encoded == base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert jws.decode_base64url(encoded, "x") == raw


@given(st.text(alphabet="ABab01-_+/=\n .", max_size=12))
def test_each_value_has_one_spelling(encoded: str) -> None:
    try:
        raw = jws.decode_base64url(encoded, "x")
    except Refused:
        return
    assert jws.encode_base64url(raw) == encoded


@pytest.mark.parametrize("encoded", ["A", "AB", "AAB", "QQ==", "Q Q", "QQ\n", "Q+==", "QUI/", "é", "\ud800", "QQ.QQ"])
def test_another_spelling_is_refused(encoded: str) -> None:
    with pytest.raises(Refused):
        jws.decode_base64url(encoded, "x")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"{",
        b'{"a":1}x',
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"\\u0061":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 30 + b"}",
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":0.' + b"1" * 30 + b"}",
        b'{"a":01}',
        b"{'a':1}",
        b'{"a":"\x01"}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-32"),
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000,
    ],
)
def test_json_of_two_readings_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused) as caught:
        jws.strict_object(raw, "x")
    assert caught.value.code == "proof-invalid"


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.one_of(st.text(max_size=5), st.integers(-(10**15), 10**15), st.booleans(), st.none()),
        max_size=5,
    )
)
def test_ordinary_json_is_read_as_python_reads_it(value: dict[str, Any]) -> None:
    assert jws.strict_object(json.dumps(value).encode(), "x") == value


@pytest.mark.parametrize(
    "compact",
    [
        "",
        ".",
        "..",
        f"{HEADER}.{text({})}",
        f"{HEADER}.{text({})}.",
        f".{text({})}.{SIGNATURE}",
        f"{HEADER}.{text({})}.{SIGNATURE}.",
        f"{HEADER}.{text({})}.{SIGNATURE}.{SIGNATURE}.{SIGNATURE}",
        f"{HEADER}.{text({})}.{SIGNATURE}==",
        f"{HEADER}.{text({})}.{SIGNATURE}\n",
        f" {HEADER}.{text({})}.{SIGNATURE}",
        f"{HEADER}.{text({})}.{text(b's' * 63)}",
        f"{HEADER}.{text({})}.{text(b's' * 65)}",
        f"{HEADER}.{text({})}.{SIGNATURE[:-1]}B",
        f"{HEADER}.{text([])}.{SIGNATURE}",
        f"{HEADER}.{text({'a': 'x' * 4000})}.{SIGNATURE}",
        f"{HEADER}.é.{SIGNATURE}",
        json.dumps({"protected": HEADER, "payload": text({}), "signature": SIGNATURE}),
    ],
)
def test_what_is_no_compact_jws_is_refused(compact: str) -> None:
    with pytest.raises(Refused) as caught:
        jws.strict_header(jws.split(compact, "x").header, "x")
    assert caught.value.code == "proof-invalid"


def test_a_compact_jws_is_taken_apart() -> None:
    claims = text({"a": 1})
    parts = jws.split(f"{HEADER}.{claims}.{SIGNATURE}", "x")
    assert parts == jws.Compact(HEADER, {"a": 1}, f"{HEADER}.{claims}".encode(), b"s" * 64)
    assert jws.strict_header(parts.header, "x") == {"alg": "EdDSA"}


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], "b64", None, {}])
def test_a_header_with_crit_is_refused(crit: object) -> None:
    with pytest.raises(Refused):
        jws.strict_header(text({"alg": "EdDSA", "crit": crit}), "x")


@pytest.mark.parametrize("value", ["1", True, False, None, [1], {}, -1, -0.5, 253_402_300_800, 10**15])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(Refused):
        jws.time_claim({"exp": value}, "exp", "x")


def test_a_time_is_read_to_the_microsecond() -> None:
    assert jws.time_claim({"exp": 1_795_334_400}, "exp", "x") == 1_795_334_400_000_000
    assert jws.time_claim({"exp": 1_795_334_400.25}, "exp", "x") == 1_795_334_400_250_000
    assert jws.time_claim({"exp": 0}, "exp", "x") == 0
    assert jws.time_claim({}, "exp", "x") is None


def test_nan_is_no_time_also_past_the_parser() -> None:
    with pytest.raises(Refused):
        jws.time_claim({"exp": math.nan}, "exp", "x")


@pytest.mark.parametrize("value", ["", "x" * 257, 1, None, ["a"], {"a": 1}, True])
def test_what_is_no_short_text_is_refused(value: object) -> None:
    with pytest.raises(Refused):
        jws.text_claim({"jti": value}, "jti", "x")


ED = ClientKey()
EC = EcKey()
PRIVATE = text(b"p" * 32)


@pytest.mark.parametrize(
    ("jwk", "alg"),
    [
        (None, "EdDSA"),
        ("x", "EdDSA"),
        ([], "EdDSA"),
        ({}, "EdDSA"),
        (ED.jwk(), "ES256"),
        (EC.jwk(), "EdDSA"),
        (ED.jwk(), "HS256"),
        (ED.jwk(), None),
        (ED.jwk() | {"d": PRIVATE}, "EdDSA"),
        (ED.jwk() | {"d": None}, "EdDSA"),
        (EC.jwk() | {"d": PRIVATE}, "ES256"),
        (ED.jwk() | {"k": PRIVATE}, "EdDSA"),
        ({"kty": "oct", "k": PRIVATE}, "HS256"),
        ({"kty": "RSA", "n": PRIVATE, "e": "AQAB"}, "RS256"),
        (ED.jwk() | {"use": "enc"}, "EdDSA"),
        (ED.jwk() | {"alg": "ES256"}, "EdDSA"),
        (ED.jwk() | {"alg": ["EdDSA"]}, "EdDSA"),
        (ED.jwk() | {"crv": "X25519"}, "EdDSA"),
        (ED.jwk() | {"crv": "Ed448"}, "EdDSA"),
        (ED.jwk() | {"kty": "EC"}, "EdDSA"),
        (EC.jwk() | {"crv": "P-384"}, "ES256"),
        (EC.jwk() | {"crv": "secp256k1"}, "ES256"),
        (ED.jwk() | {"x": text(b"x" * 31)}, "EdDSA"),
        (ED.jwk() | {"x": ED.jwk()["x"] + "="}, "EdDSA"),
        (ED.jwk() | {"x": 1}, "EdDSA"),
        (ED.jwk() | {"x": text(bytes(32))}, "EdDSA"),
        (ED.jwk() | {"x": text((1).to_bytes(32, "little"))}, "EdDSA"),
        (EC.jwk() | {"y": EC.jwk()["x"]}, "ES256"),
        (EC.jwk() | {"y": text(b"\xff" * 32)}, "ES256"),
        (EC.jwk() | {"x": text(bytes(32)), "y": text(bytes(32))}, "ES256"),
        (EC.jwk() | {"y": text(b"y" * 33)}, "ES256"),
        ({name: value for name, value in EC.jwk().items() if name != "y"}, "ES256"),
    ],
)
def test_a_jwk_that_is_no_public_key_for_the_algorithm_is_refused(jwk: object, alg: object) -> None:
    with pytest.raises(Refused) as caught:
        jws.jwk_key(jwk, alg, "x")
    assert caught.value.code == "proof-invalid"


@pytest.mark.parametrize("extra", [{}, {"use": "sig"}, {"alg": "EdDSA"}, {"alg": "Ed25519"}, {"kid": "x"}])
@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_an_ed25519_jwk_is_taken(extra: dict[str, str], alg: str) -> None:
    key = jws.jwk_key(ED.jwk() | extra, alg, "x")
    assert key.thumbprint == ED.thumbprint()
    assert key.verifies(ED.sign(b"m"), b"m")
    assert not key.verifies(ED.sign(b"n"), b"m")


def test_a_p256_jwk_is_taken() -> None:
    key = jws.jwk_key(EC.jwk(), "ES256", "x")
    assert key.thumbprint == EC.thumbprint()
    assert key.verifies(EC.sign(b"m"), b"m")
    assert not key.verifies(EC.sign(b"n"), b"m")


@pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64, bytes(32) + b"\1" * 32, b"\1" * 32 + bytes(32)])
def test_signatures_of_nothing_do_not_hold(signature: bytes) -> None:
    """r or s of zero (CVE-2022-21449), or beyond the order."""
    assert not jws.jwk_key(EC.jwk(), "ES256", "x").verifies(signature, b"m")
    assert not jws.jwk_key(ED.jwk(), "EdDSA", "x").verifies(signature, b"m")


def test_a_der_signature_is_not_a_jws_signature() -> None:
    der = EC.ec.sign(b"m", ec.ECDSA(SHA256()))
    assert not jws.jwk_key(EC.jwk(), "ES256", "x").verifies(der[:64].ljust(64, b"\0"), b"m")
