"""An ID token, verified (OpenID Connect Core 1.0 §3.1.3.7). Nothing in it is believed before its signature held."""

from __future__ import annotations

import hmac
from hashlib import sha256, sha384, sha512
from typing import Any

import msgspec

from keten.core.clock import SECOND
from keten.identity.errors import Refused
from keten.identity.jws import decode_base64url, encode_base64url, strict_header, strict_object, text_claim, time_claim
from keten.identity.oidc.keys import MOST_KID, ProviderKey

MAX_TOKEN = 32 * 1024
LEEWAY_US = 60 * SECOND
MOST_SUBJECT = 255  # §2
_WHAT = "id token"
_HASHES = {"256": sha256, "384": sha384, "512": sha512}


class Expected(msgspec.Struct, frozen=True):
    """What an ID token must be. began_us: when signing in was begun (outside time). max_age_us: 0: any.

    acr: one of these must be said; amr: all of these.
    """

    issuer: str
    client_id: str
    nonce: str
    began_us: int
    algorithms: tuple[str, ...]
    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    max_age_us: int = 0


class KeyUnknown(Refused):
    """The token names a key that is not among those known: the provider may have taken a new one."""


def verify(
    token: str, access_token: str, keys: tuple[ProviderKey, ...], expected: Expected, now_us: int
) -> dict[str, Any]:
    """The claims of an ID token that came from the token endpoint.

    1. A compact JWS of moderate size, read strictly: canonical base64url, JSON with no member said twice, no `crit`.
    2. Its algorithm is one that the settings allow; `none` and those of shared secrets can't be among them.
    3. The key is the provider's: by its `kid`, or the only one that fits the algorithm; the header can't bring one.
    4. The signature holds.
    5. `iss` is the provider; `aud` is Keten and nobody else; `azp`, where it is said, is Keten.
    6. Its times: not over, not of before this sign-in was begun, not from the future (a minute either way).
    7. `nonce` is the one of this sign-in.
    8. `at_hash`, where it is said, is of the access token that came along.
    9. `auth_time`, where it was asked for: not longer ago than `max_age`.
    10. `acr` and `amr` are what the settings ask for.

    now_us: outside time. Raises `Refused` ("sign-in-failed") with the cause; `KeyUnknown` for step 3.
    """
    try:
        header, claims, signed, signature = _split(token)  # 1
    except Refused as error:
        raise _no("id-token-malformed", error.reason) from error
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in expected.algorithms:  # 2
        raise _no("id-token-algorithm", f"it is signed by {str(alg)[:20]!a}")
    key = _chosen(keys, header.get("kid"), alg)  # 3
    if not key.verifies(alg, signed, signature):  # 4
        raise _no("id-token-signature")
    try:
        _addressed(claims, expected)  # 5
        _timely(claims, expected, now_us)  # 6
        said = text_claim(claims, "nonce", _WHAT)  # 7
        text_claim(claims, "sub", _WHAT, MOST_SUBJECT)
    except Refused as error:
        raise error if error.cause.startswith("id-token") else _no("id-token-malformed", error.reason) from error
    if not hmac.compare_digest(said.encode(), expected.nonce.encode()):
        raise _no("id-token-nonce")
    if "at_hash" in claims and claims["at_hash"] != at_hash(access_token, alg):  # 8
        raise _no("id-token-at-hash")
    _signed_in_lately(claims, expected, now_us)  # 9
    _strong(claims, expected)  # 10
    return claims


def at_hash(access_token: str, alg: str) -> str:
    """The left half of the access token's hash, by the algorithm's own (§3.1.3.6); Ed25519 hashes with SHA-512."""
    digest = _HASHES["512" if alg.startswith("Ed") else alg[-3:]](access_token.encode()).digest()
    return encode_base64url(digest[: len(digest) // 2])


def _split(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    segments = token.split(".")
    if len(token) > MAX_TOKEN or not token.isascii() or len(segments) != 3:
        raise Refused("sign-in-failed", "too long, or not a compact JWS")
    header = strict_header(segments[0], _WHAT)
    claims = strict_object(decode_base64url(segments[1], _WHAT), _WHAT)
    signed = token[: -len(segments[2]) - 1].encode("ascii")
    return header, claims, signed, decode_base64url(segments[2], _WHAT)


def _chosen(keys: tuple[ProviderKey, ...], kid: object, alg: str) -> ProviderKey:
    if kid is not None and (not isinstance(kid, str) or len(kid) > MOST_KID):
        raise _no("id-token-malformed", "kid is no name of a key")
    fitting = [key for key in keys if key.fits(alg) and (kid is None or key.kid == kid)]
    if len(fitting) == 1:
        return fitting[0]
    if kid is not None and any(key.kid == kid for key in keys):
        raise _no("id-token-algorithm", f"the key it names is not one for {alg}, or not the only one")
    raise KeyUnknown("sign-in-failed", f"{len(fitting)} keys could be meant", cause="id-token-key")


def _addressed(claims: dict[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise _no("id-token-issuer")
    audience = claims.get("aud")
    if audience not in (expected.client_id, [expected.client_id]):
        raise _no("id-token-audience")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise _no("id-token-audience", "azp is somebody else")


def _timely(claims: dict[str, Any], expected: Expected, now_us: int) -> None:
    expires, issued = time_claim(claims, "exp", _WHAT), time_claim(claims, "iat", _WHAT)
    if expires is None or issued is None:
        raise _no("id-token-malformed", "exp or iat is missing")
    if now_us >= expires + LEEWAY_US:
        raise _no("id-token-expired")
    if issued < expected.began_us - LEEWAY_US:
        raise _no("id-token-expired", "it is of before this sign-in")
    begins = time_claim(claims, "nbf", _WHAT)
    if max(issued, begins or 0) > now_us + LEEWAY_US:
        raise _no("id-token-early", "it is from the future: one of the two clocks is wrong")


def _signed_in_lately(claims: dict[str, Any], expected: Expected, now_us: int) -> None:
    if not expected.max_age_us:
        return
    try:
        when = time_claim(claims, "auth_time", _WHAT)
    except Refused as error:
        raise _no("id-token-malformed", error.reason) from error
    if when is None:
        raise _no("id-token-auth-time", "auth_time is missing, though max_age was asked for")
    if now_us - when > expected.max_age_us + LEEWAY_US or when > now_us + LEEWAY_US:
        raise _no("id-token-auth-time", "it signed in there too long ago")


def _strong(claims: dict[str, Any], expected: Expected) -> None:
    if expected.acr and claims.get("acr") not in expected.acr:
        raise _no("id-token-acr")
    said = claims.get("amr")
    methods = [one for one in said if isinstance(one, str)] if isinstance(said, list) else []
    if not set(expected.amr) <= set(methods):
        raise _no("id-token-amr")


def _no(cause: str, reason: str = "") -> Refused:
    return Refused("sign-in-failed", reason or cause, cause=cause)
