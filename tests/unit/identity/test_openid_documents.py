"""What a provider says of itself and of its keys, read; and what it is asked."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey

from keten.core.clock import SECOND
from keten.core.errors import Unavailable
from keten.core.provider import Provider
from keten.identity.ceremonies import Ceremonies, Of
from keten.identity.oidc import asking
from keten.identity.oidc.keys import read_keys
from keten.identity.oidc.metadata import address_of, read_metadata
from keten.identity.passkeys import Relying

ISSUER = "https://login.example/realms/town"
NOW = 1_800_000_000 * SECOND
PROVIDER = Provider(issuer=ISSUER, client_id="keten")
RELYING = Relying("console.example", "https://console.example", "Town")
CEREMONY = Ceremonies().begin("provider", "console", RELYING, "b" * 64, "net", NOW, Of(then="/en/ledger"))


def document(**other: Any) -> bytes:
    usual = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/auth?x=1",
        "token_endpoint": f"{ISSUER}/token",
        "jwks_uri": f"{ISSUER}/keys",
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post", 7],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }
    return json.dumps({name: value for name, value in (usual | other).items() if value is not None}).encode()


def test_what_it_says_is_read() -> None:
    found = read_metadata(document(), ISSUER)
    assert (found.methods, found.says_issuer, found.s256) == (("private_key_jwt", "client_secret_post"), True, True)
    bare = read_metadata(
        document(token_endpoint_auth_methods_supported=None, code_challenge_methods_supported=3), ISSUER
    )
    assert (bare.methods, bare.s256) == (("client_secret_basic",), False)
    assert address_of(ISSUER + "/") == ISSUER + "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"<html>",
        b"\xff",
        b"{" * 50_000,
        document(issuer=ISSUER + "/"),
        document(issuer="https://evil.example"),
        document(issuer=None),
        document(token_endpoint=None),
        document(token_endpoint="http://login.example/token"),
        document(jwks_uri="file:///etc/passwd"),
        document(jwks_uri="https://user@login.example/keys"),
        document(authorization_endpoint="javascript:alert(1)"),
        document(authorization_endpoint="https://login.example/a\r\nx: y"),
        document(authorization_endpoint="https://login.example/a#b"),
        document(authorization_endpoint="https://login.example/" + "a" * 2000),
        document(token_endpoint=["https://login.example/token"]),
        document()[:-1] + b', "issuer": "https://evil.example"}',
    ],
)
def test_what_it_may_not_say(raw: bytes) -> None:
    with pytest.raises(Unavailable) as caught:
        read_metadata(raw, ISSUER)
    assert caught.value.code == "provider-wrong"


def keys(*found: Any) -> bytes:
    return json.dumps({"keys": list(found)}).encode()


def test_keys_that_cannot_be_used_are_passed_over() -> None:
    good = ECKey.generate_key("P-256", {"kid": "a"}).as_dict(private=False)
    modulus = base64.urlsafe_b64encode((2**1023 + 1).to_bytes(128, "big")).rstrip(b"=").decode()
    small = {"kty": "RSA", "n": modulus, "e": "AQAB"}
    others = [small, good | {"use": "enc"}, good | {"key_ops": ["encrypt"]}, good | {"x": "AA"}, {"kty": "oct"}, 7, {}]
    others += [good | {"kid": "k" * 257}, good | {"crv": "P-1"}, {"kty": "EC"}, good | {"kid": 7}]
    (one,) = read_keys(keys(*others, good))
    assert (one.kid, one.kind, one.curve) == ("a", "EC", "P-256")


def test_a_private_key_or_none_at_all_or_too_many() -> None:
    private = ECKey.generate_key("P-256").as_dict(private=True)
    public = {name: value for name, value in private.items() if name != "d"}
    for raw in (keys(public, private), keys(), keys(*[public] * 101), b"{}", b'{"keys": {}}', b"null"):
        with pytest.raises(Unavailable) as caught:
            read_keys(raw)
        assert caught.value.code == "provider-wrong"


@given(st.binary(max_size=300))
def test_no_bytes_do_harm(raw: bytes) -> None:
    for read in (read_keys, lambda given: read_metadata(given, ISSUER)):
        with pytest.raises(Unavailable):
            read(raw)


def test_the_browser_is_sent_with_pkce_nonce_and_state() -> None:
    strong = msgspec.structs.replace(PROVIDER, acr=("loa3", "loa4"))
    url = asking.authorization_url(
        read_metadata(document(), ISSUER), strong, "https://console.example/sign-in/answer", CEREMONY, 3600
    )
    found = {name: value for name, (value,) in parse_qs(urlsplit(url).query, strict_parsing=True).items()}
    verifier = asking.verifier_of(CEREMONY)
    challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert len(verifier) == 43  # RFC 7636 §4.1
    assert found == {
        "x": "1",
        "response_type": "code",
        "client_id": "keten",
        "redirect_uri": "https://console.example/sign-in/answer",
        "scope": "openid email",
        "state": CEREMONY.id,
        "nonce": asking.nonce_of(CEREMONY),
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "max_age": "3600",
        "acr_values": "loa3 loa4",
    }
    assert verifier not in url


def test_keten_proves_itself_by_its_own_key_to_one_party_for_a_minute() -> None:
    key = asking.client_key(b"r" * 32)
    assert key.thumbprint() == asking.client_key(b"r" * 32).thumbprint() != asking.client_key(b"s" * 32).thumbprint()
    form, header = asking.token_request(
        read_metadata(document(), ISSUER), PROVIDER, "https://c.example/x", "the code", "v" * 43, key, NOW
    )
    fields = {name: value for name, (value,) in parse_qs(form, strict_parsing=True).items()}
    assert (header, fields["code"], fields["code_verifier"]) == ("", "the code", "v" * 43)
    (public,) = asking.public_set(key)["keys"]
    token = jwt.decode(fields["client_assertion"], ECKey.import_key({**public}), algorithms=["ES256"])
    assert (token.header["alg"], token.header["kid"]) == ("ES256", key.thumbprint())
    now = NOW // SECOND
    jti = token.claims.pop("jti")
    assert token.claims == {"iss": "keten", "sub": "keten", "aud": ISSUER, "iat": now, "exp": now + 60}
    assert len(jti) == 26


def test_a_secret_goes_by_the_header_or_else_in_the_form() -> None:
    basic = read_metadata(document(token_endpoint_auth_methods_supported=["client_secret_basic"]), ISSUER)
    form, header = asking.token_request(basic, PROVIDER, "https://c.example/x", "c", "v", "a: b%", NOW)
    user, _, secret = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
    assert (unquote(user), unquote(secret), "secret" in form) == ("keten", "a: b%", False)
    post = read_metadata(document(), ISSUER)
    form, header = asking.token_request(post, PROVIDER, "https://c.example/x", "c", "v", "a: b%", NOW)
    assert (header, parse_qs(form)["client_secret"]) == ("", ["a: b%"])


@pytest.mark.parametrize(
    ("methods", "proof"), [(["client_secret_basic"], None), (["private_key_jwt"], "s"), (["none"], "s")]
)
def test_a_proof_that_it_does_not_take(methods: list[str], proof: str | None) -> None:
    metadata = read_metadata(document(token_endpoint_auth_methods_supported=methods), ISSUER)
    with pytest.raises(Unavailable):
        asking.token_request(
            metadata, PROVIDER, "https://c.example/x", "c", "v", proof or asking.client_key(b"r" * 32), NOW
        )
