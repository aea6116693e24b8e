"""A provider's public keys (RFC 7517), and signatures by them. joserfc makes the keys and verifies."""

from __future__ import annotations

from typing import Any

import msgspec
from joserfc import jwk
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from keten.identity.errors import Refused
from keten.identity.jws import decode_base64url, text_claim
from keten.identity.oidc.metadata import object_of, wrong

MOST_KEYS = 100
MOST_KID = 256
LEAST_RSA_BITS = 2048  # RFC 7518 §3.3
MOST_RSA_BITS = 8192  # verifying with a larger one takes long, and nobody has it
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "Ed25519": "Ed25519"}
_SAME = {"EdDSA": "Ed25519"}  # RFC 9864 §2.2
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
PublicKey = jwk.RSAKey | jwk.ECKey | jwk.OKPKey


class ProviderKey(msgspec.Struct, frozen=True):
    """One of them. kid: "" where it has none. alg: the only algorithm it is for, "" for any that fits.

    thumbprint: RFC 7638, base64url of SHA-256.
    """

    kid: str
    alg: str
    kind: str
    curve: str
    thumbprint: str
    key: PublicKey

    def fits(self, alg: str) -> bool:
        """Whether a signature by this algorithm may be by this key: by its kind, never by what the token says."""
        name = _SAME.get(alg, alg)
        if self.kind != _KINDS.get(alg[:2]) or (self.alg and _SAME.get(self.alg, self.alg) != name):
            return False
        return self.curve == _CURVES.get(name, "")

    def verifies(self, alg: str, signed: bytes, signature: bytes) -> bool:
        """Whether the signature holds. `alg` was looked at: `fits`."""
        name = _SAME.get(alg, alg)
        try:
            return JWSRegistry(algorithms=[name]).get_alg(name).verify(signed, signature, self.key)
        except (JoseError, ValueError):
            return False


def read_keys(raw: bytes) -> tuple[ProviderKey, ...]:
    """The keys of a JWK Set that verify signatures.

    1. One strict JSON object with at most `MOST_KEYS` keys.
    2. A key of symmetric kind, for encryption, or of a kind that is not known is passed over (§5).
    3. A private key among them is a provider that lost its key: nothing of it counts.
    4. RSA of at least 2048 bits.

    Raises `Unavailable` ("provider-wrong"), also when none is left.
    """
    found = object_of(raw, "its keys").get("keys")  # 1
    if not isinstance(found, list) or len(found) > MOST_KEYS:
        raise wrong("its keys are no JWK Set")
    keys = tuple(key for key in (_key(one) for one in found) if key is not None)
    if not keys:
        raise wrong("it has no key that could sign")
    return keys


def _key(one: object) -> ProviderKey | None:
    if not isinstance(one, dict) or one.get("kty") not in ("RSA", "EC", "OKP"):  # 2
        return None
    if any(member in one for member in _PRIVATE):  # 3
        raise wrong("it publishes a private key")
    if one.get("use", "sig") != "sig" or "verify" not in one.get("key_ops", ["verify"]):
        return None
    kid, alg = one.get("kid", ""), one.get("alg", "")
    if not isinstance(kid, str) or not isinstance(alg, str) or len(kid) > MOST_KID:
        return None
    kind = str(one["kty"])
    try:
        key = _made({name: one[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in one})
    except (JoseError, Refused, ValueError, KeyError, TypeError):
        return None
    if key is None:
        return None
    return ProviderKey(kid, alg, kind, str(one.get("crv", "")) if kind != "RSA" else "", key.thumbprint(), key)


def _made(members: dict[str, Any]) -> PublicKey | None:
    kind = members["kty"]
    if kind == "RSA":
        modulus = decode_base64url(text_claim(members, "n", "key", MOST_RSA_BITS), "key")
        bits = int.from_bytes(modulus, "big").bit_length()
        return jwk.RSAKey.import_key(members) if LEAST_RSA_BITS <= bits <= MOST_RSA_BITS else None  # 4
    if kind == "EC":
        return jwk.ECKey.import_key(members)
    return jwk.OKPKey.import_key(members)
