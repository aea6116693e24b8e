"""DPoP proofs (RFC 9449): the caller holds, now, the key that its token is bound to, and means this very request."""

from __future__ import annotations

from typing import Any

import msgspec

from keten.core.clock import SECOND
from keten.identity.errors import Refused, expired, invalid
from keten.identity.htu import same_resource
from keten.identity.jws import (
    EDDSA,
    Compact,
    JwkKey,
    jwk_key,
    split,
    strict_header,
    text_claim,
    time_claim,
)
from keten.identity.nonces import Nonces
from keten.identity.replays import ReplayMemory, proof_hash

WINDOW_US = 60 * SECOND
MAX_REMEMBERED = 1_000_000
ALGORITHMS = (*EDDSA, "ES256")
_MAX_HEADERS = 4096
_PROOF = "DPoP proof"


class Proof(msgspec.Struct, frozen=True, gc=False):
    """A proof that holds. `jkt`: thumbprint of its key; `hashed` and `until_us`: what to remember, and how long."""

    jkt: bytes
    hashed: bytes
    until_us: int


class DpopProofs:
    """Checks proofs and remembers each until it is over."""

    def __init__(self, nonces: Nonces, limit: int = MAX_REMEMBERED) -> None:
        self._nonces = nonces
        self.memory = ReplayMemory(limit)
        # A client's header is the same in all its proofs. Only headers that came with a valid token are kept.
        self._headers: dict[str, JwkKey] = {}

    def check(self, dpop: str, method: str, url: str, now_us: int, ath: str = "", jkt: bytes | None = None) -> Proof:
        """Check a proof for one request; numbered as RFC 9449 §4.3, cheap steps first, each exactly once.

        1. There is one proof (several joined by commas are no JWT).
        2. It is a single well-formed JWT.
        3. All required claims are there: jti, htm, htu, iat, and ath with a token.
        4. `typ` is dpop+jwt.
        5. `alg` is EdDSA, Ed25519 or ES256.
        6. The signature holds under the header's `jwk`.
        7. `jwk` holds no private key.
        8. `htm` is the method.
        9. `htu` is the address, without query and fragment, normalised.
        10. `nonce` is one of ours, when there; after a start it must be there.
        11. `iat` is within 60 s of now.
        12. With a token: (a) `ath` is its hash (`tokens.token_hash`), (b) its `jkt` is this key's.

        §11.1, `jti` once, is `use`: at the token endpoint a proof is used up only when the assertion holds as well.

        Raises `Refused`: "proof-invalid", "proof-expired", "use_dpop_nonce" (with the nonce to use).
        """
        proof = split(dpop, _PROOF)  # 1, 2
        key = self._headers.get(proof.header) or _header_key(proof.header)  # 4, 5, 7
        jti = text_claim(proof.claims, "jti", _PROOF)  # 3
        if text_claim(proof.claims, "htm", _PROOF) != method:  # 8
            raise invalid("DPoP proof: for another method")
        if not same_resource(text_claim(proof.claims, "htu", _PROOF, 2048), url):  # 9
            raise invalid("DPoP proof: for another address")
        if jkt is not None:  # 12
            if text_claim(proof.claims, "ath", _PROOF) != ath:
                raise invalid("DPoP proof: for another token")
            if key.thumbprint != jkt:
                raise invalid("DPoP proof: by another key than the token's")
        until_us = self._fresh(proof.claims, now_us)  # 10, 11
        _verify(key, proof)  # 6
        if jkt is not None and proof.header not in self._headers:
            if len(self._headers) >= _MAX_HEADERS:
                del self._headers[next(iter(self._headers))]
            self._headers[proof.header] = key
        hashed = proof_hash("dpop", key.thumbprint, jti.encode("utf-8", "surrogatepass"))
        return Proof(key.thumbprint, hashed, until_us)

    def use(self, proof: Proof, now_us: int) -> None:
        """Use a proof up. Raises `Refused` ("proof-replayed"), `Busy` ("too-many-proofs")."""
        self.memory.use(proof.hashed, proof.until_us, now_us)

    def _fresh(self, claims: dict[str, Any], now_us: int) -> int:
        issued_us = time_claim(claims, "iat", _PROOF)
        if issued_us is None:
            raise invalid("DPoP proof: no iat")
        if "nonce" in claims:
            if not self._nonces.valid(text_claim(claims, "nonce", _PROOF), now_us):
                raise self._ask(now_us, "a nonce that is not, or no longer, ours")
        elif self._nonces.required(now_us):
            raise self._ask(now_us, "no nonce, shortly after a start")
        if abs(now_us - issued_us) > WINDOW_US:
            raise expired("DPoP proof: iat is more than 60 s away")
        return issued_us + WINDOW_US

    def _ask(self, now_us: int, reason: str) -> Refused:
        return Refused("use_dpop_nonce", reason, data={"nonce": self._nonces.current(now_us)})


def _header_key(segment: str) -> JwkKey:
    header = strict_header(segment, _PROOF)
    if header.get("typ") != "dpop+jwt":
        raise invalid("DPoP proof: typ is not dpop+jwt")
    if header.get("alg") not in ALGORITHMS:
        raise invalid("DPoP proof: alg is not one that is taken")
    return jwk_key(header.get("jwk"), header["alg"], _PROOF)


def _verify(key: JwkKey, proof: Compact) -> None:
    if not key.verifies(proof.signature, proof.signed):
        raise invalid("DPoP proof: the signature does not hold")
