"""What a client signs in a proof: taken only for this method, address, token and minute."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from keten.core.errors import KetenError
from tests.fuzz.target import Target
from tests.fuzz.targets.sign_in import ATH, DPOP_KEY, URL, claims_of_proof, fresh_proofs
from tests.unit.identity.signing import NOW, NOW_S

HEADER = json.dumps({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": DPOP_KEY.jwk()}).encode()


def check(data: bytes) -> bool:
    try:
        fresh_proofs().check(DPOP_KEY.compact(HEADER, data), "GET", URL, NOW, ATH, DPOP_KEY.thumbprint())
    except KetenError:
        return False
    claims = json.loads(data)
    assert (claims["htm"], claims["ath"]) == ("GET", ATH)
    assert abs(claims["iat"] - NOW_S) <= 60
    assert isinstance(claims["jti"], str)
    assert claims["jti"]
    assert "nonce" not in claims, "none was handed out"
    asked, expected = urlsplit(claims["htu"]), urlsplit(URL)
    assert (asked.scheme, asked.hostname) == (expected.scheme, expected.hostname)
    assert (asked.username, asked.password) == (None, None)
    return True


TARGET = Target(
    "dpop-claims",
    check,
    lambda: [json.dumps(claims_of_proof()).encode(), json.dumps(claims_of_proof(htu=f"{URL}?a=b#c")).encode()],
    words=(b'"htu"', b'"htm"', b'"ath"', b'"iat"', b'"nonce"', URL.encode(), b"%2E%2e/", b"/./", b":443", b"@"),
)
