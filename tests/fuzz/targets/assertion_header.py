"""Headers of assertions that a client signs: EdDSA and nothing that is not understood."""

from __future__ import annotations

import json

from keten.core.errors import KetenError
from keten.identity.assertions import check_assertion
from tests.fuzz.target import Target
from tests.fuzz.targets.sign_in import CLIENT_ID, KEY, claims_of_assertion
from tests.unit.identity.signing import ISSUER, NOW

CLAIMS = json.dumps(claims_of_assertion()).encode()


def check(data: bytes) -> bool:
    try:
        found = check_assertion(KEY.compact(data, CLAIMS), CLIENT_ID, ISSUER, [KEY.public], NOW)
    except KetenError:
        return False
    header = json.loads(data)
    assert found.key == KEY.public
    assert header["alg"] in ("EdDSA", "Ed25519")
    assert header.get("typ", "JWT") in ("JWT", "client-authentication+jwt")
    assert header.keys().isdisjoint({"crit", "jwk", "jku", "x5u", "x5c"})
    return True


TARGET = Target(
    "assertion-header",
    check,
    lambda: [b'{"alg":"EdDSA","typ":"JWT"}', b'{"alg":"Ed25519","kid":"1"}'],
    words=(b'"alg"', b'"none"', b'"HS256"', b'"crit":[]', b'"jwk":{}', b'"typ":null', b'"\\u0061lg"'),
)
