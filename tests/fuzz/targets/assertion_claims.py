"""What a client signs: claims of every kind are taken only when another reader finds what the contract asks for."""

from __future__ import annotations

import json

from keten.core.errors import KetenError
from keten.identity.assertions import check_assertion
from tests.fuzz.target import Target
from tests.fuzz.targets.sign_in import CLIENT_ID, KEY, claims_of_assertion
from tests.unit.identity.signing import ISSUER, NOW, NOW_S

HEADER = b'{"alg":"EdDSA","typ":"JWT"}'


def check(data: bytes) -> bool:
    try:
        found = check_assertion(KEY.compact(HEADER, data), CLIENT_ID, ISSUER, [KEY.public], NOW)
    except KetenError:
        return False
    claims = json.loads(data)
    assert found.key == KEY.public
    assert (claims["iss"], claims["sub"], claims["aud"]) == (CLIENT_ID, CLIENT_ID, ISSUER)
    assert NOW_S < claims["exp"] <= NOW_S + 300, "exp at most five minutes ahead"
    assert all(claims.get(name, 0) <= NOW_S + 60 for name in ("iat", "nbf"))
    assert isinstance(claims["jti"], str)
    assert claims["jti"]
    assert not isinstance(claims["exp"], bool)
    return True


TARGET = Target(
    "assertion-claims",
    check,
    lambda: [
        json.dumps(claims).encode()
        for claims in (
            claims_of_assertion(),
            claims_of_assertion(nbf=NOW_S - 5, exp=NOW_S + 299.5, more={"a": [1, None, {}]}),
        )
    ],
    words=(b'"aud"', b'"exp"', b'"iss"', b'"\\ud800"', ISSUER.encode(), CLIENT_ID.encode(), str(NOW_S).encode()),
)
