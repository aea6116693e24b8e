"""What a supplier's client shows: assertions (RFC 7523) and DPoP proofs (RFC 9449), both signed with its one key.

The token is bound to that same Ed25519 key, not to a second one: there is then one secret on this machine, which the
organisation can end, and nothing else that a thief of the login could use.
"""

from __future__ import annotations

import json
import os
import time
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.identity.jws import encode_base64url

ASSERTION_SECONDS = 60


class Prover:
    """Makes the proofs of one client with one key."""

    def __init__(self, client_id: str, key: Ed25519PrivateKey) -> None:
        self.client_id = client_id
        self._key = key
        self._jwk = {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(key.public_key().public_bytes_raw())}

    def assertion(self, issuer: str) -> str:
        """A client assertion for one sign-in: `aud` is the issuer alone, good for a minute, once."""
        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": issuer,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": _unique(),
        }
        return self._signed({"alg": "EdDSA", "typ": "JWT"}, claims)

    def proof(self, method: str, url: str, *, token: str = "", nonce: str = "") -> str:
        """A DPoP proof for one request (RFC 9449 §4.2)."""
        claims: dict[str, Any] = {"jti": _unique(), "htm": method, "htu": url, "iat": int(time.time())}
        if token:
            claims["ath"] = encode_base64url(sha256(token.encode("ascii")).digest())
        if nonce:
            claims["nonce"] = nonce
        return self._signed({"alg": "EdDSA", "typ": "dpop+jwt", "jwk": self._jwk}, claims)

    def _signed(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        signed = f"{_segment(header)}.{_segment(claims)}"
        return f"{signed}.{encode_base64url(self._key.sign(signed.encode('ascii')))}"


def _segment(value: dict[str, Any]) -> str:
    return encode_base64url(json.dumps(value, separators=(",", ":")).encode())


def _unique() -> str:
    return encode_base64url(os.urandom(16))
