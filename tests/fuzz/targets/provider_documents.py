"""What a provider says of itself and its keys: what is taken has HTTPS addresses and public keys only."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from keten.core.errors import Unavailable
from keten.identity.oidc.keys import read_keys
from keten.identity.oidc.metadata import read_metadata
from tests.fuzz.target import Target
from tests.fuzz.targets.id_token import ISSUER, KEY

_METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth?x=1",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "token_endpoint_auth_methods_supported": ["private_key_jwt"],
}
_RSA = {"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "e": "AQAB", "n": "3" + "A" * 341}


def check_metadata(data: bytes) -> bool:
    try:
        found = read_metadata(data, ISSUER)
    except Unavailable:
        return False
    assert json.loads(data)["issuer"] == ISSUER
    for url in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
        parts = urlsplit(url)
        assert (parts.scheme, bool(parts.hostname), parts.username, parts.fragment) == ("https", True, None, "")
        assert url.isprintable()
        assert " " not in url
    return True


def check_keys(data: bytes) -> bool:
    try:
        found = read_keys(data)
    except Unavailable:
        return False
    assert 0 < len(found) <= 100
    for one in found:
        assert one.key.is_private is False
        assert one.kind in ("RSA", "EC", "OKP")
    return True


METADATA = Target(
    "provider-metadata",
    check_metadata,
    lambda: [json.dumps(_METADATA).encode()],
    words=(b'"issuer"', b"https://", b"http://", b"\\u000a", b"#", ISSUER.encode()),
)
KEYS = Target(
    "provider-keys",
    check_keys,
    lambda: [json.dumps({"keys": [KEY.as_dict(private=False), _RSA, {"kty": "oct", "k": "AAAA"}]}).encode()],
    words=(b'"kty"', b'"d"', b'"crv"', b'"use"', b'"RSA"', b'"EC"', b'"P-256"', b"[]"),
)
