"""Client assertions: `private_key_jwt` (RFC 7523 §3, OpenID Connect Core §9) with a client's Ed25519 keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.core.clock import SECOND
from keten.core.ids import is_id
from keten.identity.errors import expired, invalid
from keten.identity.jws import EDDSA, split, strict_header, text_claim, time_claim
from keten.identity.keys import PublicKey, from_raw
from keten.identity.replays import proof_hash

MAX_AHEAD_US = 5 * 60 * SECOND
MAX_SKEW_US = 60 * SECOND
# As many signatures are verified for an unknown client as for one with two keys, neither of which fits.
PADDED_KEYS = 2
TYPES = ("JWT", "client-authentication+jwt")
_FOREIGN_KEYS = ("jwk", "jku", "x5u", "x5c")
_ASSERTION = "assertion"


class Assertion(msgspec.Struct, frozen=True, gc=False):
    """An assertion whose claims hold. `key` signed it; None when no key did (or the client is unknown).

    `hashed` and `until_us`: what to remember so that it counts once, and how long. `made_us`: when it was made, by its
    own word, or else the earliest that it can have been.
    """

    client_id: str
    key: PublicKey | None
    hashed: bytes
    until_us: int
    made_us: int


def claimed_client(assertion: str) -> str:
    """The client id that an assertion claims, nothing verified: to find the client's keys by.

    Raises `Refused` ("proof-invalid") when it is no assertion, or claims no id.
    """
    subject = text_claim(split(assertion, _ASSERTION).claims, "sub", _ASSERTION)
    if not is_id(subject):
        raise invalid("assertion: sub is not a client id")
    return subject


def check_assertion(assertion: str, client_id: str, issuer: str, keys: Sequence[PublicKey], now_us: int) -> Assertion:
    """Check an assertion for `client_id`; `keys` is empty for an unknown client. All but step 10 is equal for both.

    1. Size, compact form, canonical base64url, strict JSON (`jws.split`).
    2. `alg` is exactly EdDSA or Ed25519: no "none", and no HMAC, to which a public key would be the secret.
    3. `typ`, when there, is that of an assertion: another kind of token is no sign-in.
    4. No `crit`, and no key or address of a key (jwk, jku, x5u, x5c): the register has the keys.
    5. `iss` = `sub` = the client's id.
    6. `aud` is the issuer, as one string (CVE-2025-27370: never a list, never the token endpoint).
    7. `exp` is in the future, and at most 5 minutes ahead.
    8. `iat` and `nbf`, when there, are at most 60 s ahead.
    9. `jti` is there. That it counts once is the caller's last step: memory now, database with the entry.
    10. The signature is by one of the client's keys. Keys that are lacking are made up for with a key that
        nobody has, so that "unknown" takes as long as "wrong key".

    Raises `Refused` ("proof-invalid", "proof-expired") for 1 to 9; 10 is `Assertion.key`.
    """
    jwt = split(assertion, _ASSERTION)  # 1
    _check_header(strict_header(jwt.header, _ASSERTION))  # 2, 3, 4
    if not is_id(client_id):  # 5
        raise invalid("assertion: not for a client id")
    for name in ("iss", "sub"):
        if text_claim(jwt.claims, name, _ASSERTION) != client_id:
            raise invalid(f"assertion: {name} is not the client")
    if jwt.claims.get("aud") != issuer or not issuer:  # 6
        raise invalid("assertion: aud is not the issuer alone")
    until_us = _check_times(jwt.claims, now_us)  # 7, 8
    jti = text_claim(jwt.claims, "jti", _ASSERTION)  # 9
    signer = None  # 10
    for key in keys:
        if key.verifies(jwt.signature, jwt.signed):
            signer = key
            break
    if signer is None:
        for _ in range(PADDED_KEYS - len(keys)):
            _NOBODY.verifies(jwt.signature, jwt.signed)
    hashed = proof_hash("assertion", client_id.encode("ascii"), jti.encode("utf-8", "surrogatepass"))
    made_us = time_claim(jwt.claims, "iat", _ASSERTION)
    return Assertion(client_id, signer, hashed, until_us, until_us - MAX_AHEAD_US if made_us is None else made_us)


def _check_header(header: dict[str, Any]) -> None:
    if header.get("alg") not in EDDSA:
        raise invalid("assertion: alg is not EdDSA")
    if header.get("typ", "JWT") not in TYPES:
        raise invalid("assertion: typ is that of another token")
    if any(name in header for name in _FOREIGN_KEYS):
        raise invalid("assertion: brings a key, or the address of one")


def _check_times(claims: dict[str, Any], now_us: int) -> int:
    until_us = time_claim(claims, "exp", _ASSERTION)
    if until_us is None:
        raise invalid("assertion: no exp")
    if until_us <= now_us:
        raise expired("assertion: exp is over")
    if until_us > now_us + MAX_AHEAD_US:
        raise expired("assertion: exp is more than 5 minutes ahead")
    for name in ("iat", "nbf"):
        moment_us = time_claim(claims, name, _ASSERTION)
        if moment_us is not None and moment_us > now_us + MAX_SKEW_US:
            raise expired(f"assertion: {name} is more than 60 s ahead")
    return until_us


def _nobody() -> PublicKey:
    """A key whose private half is forgotten at once."""
    return from_raw(Ed25519PrivateKey.generate().public_key().public_bytes_raw())


_NOBODY = _nobody()
