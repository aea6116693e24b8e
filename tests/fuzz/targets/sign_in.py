"""The client and the proofs that the targets of sign-in share: made once, always the same."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.identity.dpop import DpopProofs
from keten.identity.keys import from_raw
from keten.identity.nonces import REQUIRED_US, Nonces
from keten.identity.tokens import Tokens, token_hash
from tests.unit.identity.signing import NOW, OBJECT_URL, ClientKey, EcKey, assertion_claims, proof_claims

ROOT_KEY = b"\x21" * 32
CLIENT_ID = "abcdefghijklmnopqrstuvwxya"
JTI = "abcdefghijklmnopqrstuvwxye"


def _fixed(number: int) -> ClientKey:
    key = ClientKey()
    key.private = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    key.public = from_raw(key.private.public_key().public_bytes_raw())
    return key


def _fixed_ec() -> EcKey:
    key = EcKey()
    key.ec = derive_private_key(0x1234567890ABCDEF, SECP256R1())
    return key


KEY, DPOP_KEY, EC_KEY = _fixed(1), _fixed(2), _fixed_ec()
TOKENS = Tokens(ROOT_KEY, 300)
TOKEN = TOKENS.issue(CLIENT_ID, KEY.public.fingerprint, DPOP_KEY.thumbprint(), "ab" * 10, NOW)
ATH = token_hash(TOKEN)


def fresh_proofs() -> DpopProofs:
    """Proofs by a keeper that is up for so long that it does not insist on nonces."""
    return DpopProofs(Nonces(NOW - 2 * REQUIRED_US))


def claims_of_assertion(**changed: Any) -> dict[str, Any]:
    return assertion_claims(CLIENT_ID, jti=JTI, **changed)


def claims_of_proof(**changed: Any) -> dict[str, Any]:
    return proof_claims(TOKEN, jti=JTI, **changed)


ASSERTION = KEY.compact({"alg": "EdDSA", "typ": "JWT"}, claims_of_assertion())
PROOF = DPOP_KEY.compact({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": DPOP_KEY.jwk()}, claims_of_proof())
PROOF_ES256 = EC_KEY.compact({"typ": "dpop+jwt", "alg": "ES256", "jwk": EC_KEY.jwk()}, claims_of_proof())
URL = OBJECT_URL
