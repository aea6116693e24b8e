"""Headers of proofs: a public key of the right kind, and the proof counts for that key alone."""

from __future__ import annotations

import json

from keten.core.errors import KetenError
from tests.fuzz.target import Target
from tests.fuzz.targets.sign_in import ATH, DPOP_KEY, EC_KEY, URL, claims_of_proof, fresh_proofs
from tests.unit.identity.signing import NOW

CLAIMS = json.dumps(claims_of_proof()).encode()
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def check(data: bytes) -> bool:
    try:
        found = fresh_proofs().check(DPOP_KEY.compact(data, CLAIMS), "GET", URL, NOW, ATH, DPOP_KEY.thumbprint())
    except KetenError:
        return False
    header = json.loads(data)
    jwk = header["jwk"]
    assert found.jkt == DPOP_KEY.thumbprint()
    assert header["typ"] == "dpop+jwt"
    assert header["alg"] in ("EdDSA", "Ed25519")
    assert (jwk["kty"], jwk["crv"], jwk["x"]) == ("OKP", "Ed25519", DPOP_KEY.jwk()["x"])
    assert PRIVATE.isdisjoint(jwk)
    assert "crit" not in header
    return True


TARGET = Target(
    "dpop-header",
    check,
    lambda: [
        json.dumps({"typ": "dpop+jwt", "alg": alg, "jwk": DPOP_KEY.jwk()}).encode() for alg in ("EdDSA", "Ed25519")
    ],
    words=(
        *(b'"jwk"', b'"alg":"ES256"', b'"d":""', b'"crit":[]', b'"use":"enc"', b'"kty":"EC"', b'"crv":"P-256"'),
        *(json.dumps(EC_KEY.jwk()).encode(), b'"x":"AA"', b'"x":"' + b"A" * 43 + b'"'),
    ),
)
