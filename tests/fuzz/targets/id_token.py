"""ID tokens of a provider: claims of every kind are taken only when another reader finds what was asked for."""

from __future__ import annotations

import base64
import json
from typing import Any

from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from keten.core.clock import SECOND
from keten.identity.errors import Refused
from keten.identity.oidc.id_token import Expected, verify
from keten.identity.oidc.keys import read_keys
from tests.fuzz.target import Target

NOW = 1_800_000_000
ISSUER, CLIENT, NONCE = "https://login.example", "keten", "n" * 43
KEY = OKPKey.import_key(
    {
        "kty": "OKP",  # RFC 8037, appendix A.1
        "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }
)
KEYS = read_keys(json.dumps({"keys": [KEY.as_dict(private=False)]}).encode())
EXPECTED = Expected(ISSUER, CLIENT, NONCE, NOW * SECOND, ("Ed25519",), ("loa3",), ("mfa",), 3600 * SECOND)


def _segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def check(data: bytes) -> bool:
    signed = _segment(b'{"alg":"Ed25519"}') + "." + _segment(data)
    signature = JWSRegistry(algorithms=["Ed25519"]).get_alg("Ed25519").sign(signed.encode(), KEY)
    try:
        verify(f"{signed}.{_segment(signature)}", "", KEYS, EXPECTED, NOW * SECOND)
    except Refused:
        return False
    claims = json.loads(data)
    assert (claims["iss"], claims["nonce"], claims.get("azp", CLIENT)) == (ISSUER, NONCE, CLIENT)
    assert claims["aud"] in (CLIENT, [CLIENT])
    assert claims["exp"] > NOW - 60
    assert NOW - 60 <= claims["iat"] <= NOW + 60
    assert NOW - 3660 <= claims["auth_time"] <= NOW + 60
    assert claims["acr"] == "loa3"
    assert "mfa" in claims["amr"]
    assert "at_hash" not in claims
    return True


def _claims(**more: Any) -> bytes:
    usual = {"iss": ISSUER, "aud": CLIENT, "sub": "s", "nonce": NONCE, "iat": NOW, "exp": NOW + 300}
    return json.dumps(usual | {"auth_time": NOW - 60, "acr": "loa3", "amr": ["pwd", "mfa"]} | more).encode()


TARGET = Target(
    "id-token",
    check,
    lambda: [_claims(), _claims(aud=[CLIENT], azp=CLIENT, nbf=NOW - 5, exp=NOW + 299.5, more={"a": [1, None, {}]})],
    words=(b'"aud"', b'"azp"', b'"at_hash"', b'"\\ud800"', ISSUER.encode(), NONCE.encode(), str(NOW).encode()),
)
