"""Compact JWS (RFC 7515 §3.1), read strictly: one spelling for one meaning, and no reading that another parser doubts.

Why not the library: docs/decisions/0006-dpop-parsing.md. Nothing here trusts anything; verifying is the caller's.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Any, NoReturn

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from keten.core.crypto import ed25519_verifies, is_ed25519_key
from keten.identity.errors import invalid
from keten.identity.keys import ec_thumbprint, okp_thumbprint

MAX_COMPACT = 4096
MAX_NUMBER_TEXT = 24
SIGNATURE_BYTES = 64
COORDINATE_BYTES = 32
EDDSA = ("EdDSA", "Ed25519")  # RFC 8037 §3.1; RFC 9864 §2.2
_PADDING = (b"", b"", b"==", b"=")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*\Z")
# The last character carries unused bits, which must be zero (RFC 4648 §3.5), or one value has several spellings.
_LAST = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}
_STANDARD = bytes.maketrans(b"-_", b"+/")
_PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_ES256 = ECDSA(SHA256())


class Compact(msgspec.Struct, frozen=True, gc=False):
    """A compact JWS taken apart, nothing verified. `header` is its first segment as sent."""

    header: str
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


class JwkKey(msgspec.Struct, frozen=True):
    """A public key that came along in a header.

    thumbprint: RFC 7638, SHA-256, 32 bytes. verifier: an Ed25519 key's 32 bytes, or a P-256 key.
    """

    thumbprint: bytes
    verifier: bytes | EllipticCurvePublicKey

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """Whether the signature (64 bytes: RFC 8032, or r ‖ s of RFC 7518 §3.4) holds."""
        if isinstance(self.verifier, bytes):
            return ed25519_verifies(self.verifier, signature, signed)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        try:
            self.verifier.verify(encode_dss_signature(r, s), signed, _ES256)
        except InvalidSignature:
            return False
        return True


def split(text: str, what: str) -> Compact:
    """Take a compact JWS apart.

    1. At most `MAX_COMPACT` characters of ASCII, three segments.
    2. Each segment is canonical base64url (RFC 7515 §2: no padding, no line breaks).
    3. The payload is one strict JSON object; the signature has the 64 bytes of EdDSA and ES256.

    `what` names it in the private reason. Raises `Refused` ("proof-invalid").
    """
    if len(text) > MAX_COMPACT or not text.isascii():  # 1
        raise invalid(f"{what}: too long, or not ASCII")
    segments = text.split(".")
    if len(segments) != 3 or not segments[0]:
        raise invalid(f"{what}: not a compact JWS")
    claims = strict_object(decode_base64url(segments[1], what), what)  # 2, 3
    signature = decode_base64url(segments[2], what)
    if len(signature) != SIGNATURE_BYTES:
        raise invalid(f"{what}: signature of the wrong size")
    return Compact(segments[0], claims, text[: -len(segments[2]) - 1].encode("ascii"), signature)


def strict_header(segment: str, what: str) -> dict[str, Any]:
    """The header of a compact JWS. No extension is understood here, so any `crit` is refused (RFC 7515 §4.1.11)."""
    header = strict_object(decode_base64url(segment, what), what)
    if "crit" in header:
        raise invalid(f"{what}: critical header parameters that are not understood")
    return header


def decode_base64url(text: str, what: str) -> bytes:
    """Canonical unpadded base64url. Raises `Refused` ("proof-invalid")."""
    remainder = len(text) % 4
    if remainder == 1 or not _BASE64URL.match(text) or (remainder and text[-1] not in _LAST[remainder]):
        raise invalid(f"{what}: not canonical base64url")
    return binascii.a2b_base64(text.encode("ascii").translate(_STANDARD) + _PADDING[remainder])


def encode_base64url(raw: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def strict_object(raw: bytes, what: str) -> dict[str, Any]:
    """One JSON object (RFC 8259, I-JSON's strictness of RFC 7493 §2).

    Refused: other encodings than UTF-8, a member said twice, NaN and infinities, numbers of unreasonable length,
    nesting too deep to read. Raises `Refused` ("proof-invalid").
    """
    try:
        value = _decode(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise invalid(f"{what}: not strict JSON") from error
    if not isinstance(value, dict):
        raise invalid(f"{what}: not a JSON object")
    return value


def text_claim(claims: dict[str, Any], name: str, what: str, longest: int = 256) -> str:
    """A claim that must be there and be a string of 1 to `longest` characters. Raises `Refused` ("proof-invalid")."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise invalid(f"{what}: {name} is not a string of 1 to {longest} characters")
    return value


def time_claim(claims: dict[str, Any], name: str, what: str) -> int | None:
    """A NumericDate (RFC 7519 §2) in microseconds; None when absent. Raises `Refused` ("proof-invalid")."""
    if name not in claims:
        return None
    value = claims[name]
    # bool is an int to Python; years beyond 9999 are nobody's clock.
    if type(value) not in (int, float) or not 0 <= value < 253_402_300_800:
        raise invalid(f"{what}: {name} is not a time")
    return value * 1_000_000 if type(value) is int else int(value * 1_000_000)


def jwk_key(jwk: object, alg: object, what: str) -> JwkKey:
    """The public key of a header's `jwk` (RFC 7517, 7518 §6.2, 8037 §2) for `alg`: EdDSA, Ed25519 or ES256.

    1. An object without any private member.
    2. `use` and `alg`, when said, fit.
    3. OKP with Ed25519 for EdDSA, EC with P-256 for ES256; coordinates of 32 bytes; on the curve, and not weak.

    Raises `Refused` ("proof-invalid").
    """
    if not isinstance(jwk, dict):
        raise invalid(f"{what}: no jwk")
    if any(member in jwk for member in _PRIVATE_MEMBERS):  # 1
        raise invalid(f"{what}: jwk holds a private key")
    if jwk.get("use", "sig") != "sig":  # 2
        raise invalid(f"{what}: jwk is not for signatures")
    named = jwk.get("alg", alg)
    if named != alg and not (named in EDDSA and alg in EDDSA):
        raise invalid(f"{what}: jwk is for another algorithm")
    x = text_claim(jwk, "x", what)  # 3
    x_raw = decode_base64url(x, what)
    if alg in EDDSA and (jwk.get("kty"), jwk.get("crv")) == ("OKP", "Ed25519"):
        if not is_ed25519_key(x_raw):
            raise invalid(f"{what}: jwk is no Ed25519 key")
        return JwkKey(okp_thumbprint(x), x_raw)
    if alg == "ES256" and (jwk.get("kty"), jwk.get("crv")) == ("EC", "P-256"):
        y = text_claim(jwk, "y", what)
        y_raw = decode_base64url(y, what)
        if len(x_raw) != COORDINATE_BYTES or len(y_raw) != COORDINATE_BYTES:
            raise invalid(f"{what}: jwk is no P-256 key")
        numbers = EllipticCurvePublicNumbers(int.from_bytes(x_raw, "big"), int.from_bytes(y_raw, "big"), SECP256R1())
        try:
            return JwkKey(ec_thumbprint(x, y), numbers.public_key())
        except ValueError as error:
            raise invalid(f"{what}: jwk is no point of P-256") from error
    raise invalid(f"{what}: jwk does not fit the algorithm, or is of a kind that is not taken")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a member is said twice")
    return made


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _integer(text: str) -> int:
    if len(text) > MAX_NUMBER_TEXT:
        raise ValueError("a number of unreasonable length")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if len(text) > MAX_NUMBER_TEXT or not math.isfinite(number):
        raise ValueError("a number of unreasonable length or size")
    return number


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float
).decode
