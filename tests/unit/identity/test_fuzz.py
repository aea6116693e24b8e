"""Whatever a gateway passes on, sign-in answers with one of Keten's own errors, and remembers nothing of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import KetenError
from keten.core.ids import new_id
from keten.core.settings import Limits
from keten.identity.nonces import REQUIRED_US
from keten.identity.service import SignIn
from keten.keeper.protocol import HttpProof, SessionProof, SshSignIn, TokenRequest
from tests.unit.identity.signing import (
    ISSUER,
    NOW,
    OBJECT_URL,
    TOKEN_URL,
    ClientKey,
    assertion_claims,
    client_of,
    proof_claims,
    proof_header,
    text,
    token_request,
    userauth,
)

KEY, DPOP = ClientKey(), ClientKey()
CLIENT = client_of(KEY)
SIGN_IN = SignIn(b"r" * 32, {CLIENT.id: CLIENT}.get, Limits(), NOW - 2 * REQUIRED_US)
TOKEN = SIGN_IN.issue(SIGN_IN.check_assertion(token_request(KEY, CLIENT.id, DPOP), CLIENT, NOW), NOW).access_token

anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(exclude_categories=()), max_size=20)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
# Surrogates included: MessagePack brings none, but JSON's escapes inside a proof do.
texts = st.text(st.characters(exclude_categories=()), max_size=300)
signs = st.sampled_from([f"{text({})}.{text({})}.{text(bytes(64))}", "a.b.c", "...", ""])


def refused_or_none(call: Callable[[], object]) -> None:
    """No other exception than Keten's own leaves the room."""
    with contextlib.suppress(KetenError):
        call()


@given(texts | signs, texts | signs, texts, texts, texts | st.just(CLIENT.id), st.booleans())
def test_token_requests(made: str, dpop: str, issuer: str, url: str, client_id: str, known: bool) -> None:
    request = TokenRequest(client_id, made, dpop, issuer, url, "192.0.2.7")
    refused_or_none(lambda: SIGN_IN.claimed_client(request))
    refused_or_none(lambda: SIGN_IN.check_assertion(request, CLIENT if known else None, NOW))


@given(st.sampled_from(["alg", "typ", "kid", "crit", "jwk", "iss", "sub", "aud", "exp", "iat", "nbf", "jti"]), anything)
def test_signed_assertions_with_any_value_anywhere(name: str, value: Any) -> None:
    header = {"alg": "EdDSA"} | ({name: value} if name in ("alg", "typ", "kid", "crit", "jwk") else {})
    claims = assertion_claims(CLIENT.id) | ({name: value} if name not in header else {})
    made = KEY.compact(json.dumps(header).encode(), json.dumps(claims).encode())
    request = token_request(KEY, CLIENT.id, DPOP, assertion=made)
    refused_or_none(lambda: SIGN_IN.claimed_client(request))
    refused_or_none(lambda: SIGN_IN.check_assertion(request, CLIENT, NOW))


@given(
    st.sampled_from(["alg", "typ", "crit", "jwk", "jti", "htm", "htu", "iat", "ath", "nonce"]),
    anything,
    st.sampled_from(["", "kty", "crv", "x", "y", "use", "alg", "d"]),
)
def test_signed_proofs_with_any_value_anywhere(name: str, value: Any, member: str) -> None:
    in_header = name in ("alg", "typ", "crit", "jwk")
    put = proof_header(DPOP)["jwk"] | {member: value} if name == "jwk" and member else value
    header = proof_header(DPOP) | ({name: put} if in_header else {})
    claims = proof_claims(TOKEN) | ({} if in_header else {name: value})
    dpop = DPOP.compact(json.dumps(header).encode(), json.dumps(claims).encode())
    refused_or_none(lambda: SIGN_IN.check_http(HttpProof(TOKEN, dpop, "GET", OBJECT_URL), NOW))


@given(st.binary(max_size=400), st.binary(max_size=400), st.binary(max_size=64))
def test_any_bytes_in_the_segments(header: bytes, claims: bytes, signature: bytes) -> None:
    made = f"{text(header)}.{text(claims)}.{text(signature.ljust(64, b'x'))}"
    request = TokenRequest(CLIENT.id, made, made, ISSUER, TOKEN_URL, "192.0.2.7")
    refused_or_none(lambda: SIGN_IN.check_assertion(request, CLIENT, NOW))
    refused_or_none(lambda: SIGN_IN.dpop.check(made, "GET", OBJECT_URL, NOW))


@given(texts | st.just(TOKEN), texts | signs, texts, texts)
def test_http_proofs(token: str, dpop: str, method: str, url: str) -> None:
    refused_or_none(lambda: SIGN_IN.check_http(HttpProof(token, dpop, method, url), NOW))


@given(
    texts | st.just(CLIENT.id),
    st.binary(max_size=80) | st.just(KEY.public.blob),
    st.binary(max_size=70),
    st.binary(max_size=200) | st.just(userauth(CLIENT.id.encode(), KEY.public.blob)),
    st.binary(max_size=100),
    st.booleans(),
)
def test_ssh_sign_ins(user: str, key: bytes, session: bytes, signed: bytes, signature: bytes, known: bool) -> None:
    request = SshSignIn(user, key, session, signed, signature, "192.0.2.7")
    refused_or_none(lambda: SIGN_IN.check_ssh(request, CLIENT if known else None, NOW))


@given(texts)
def test_sessions(handle: str) -> None:
    refused_or_none(lambda: SIGN_IN.check_session(SessionProof(handle), NOW))


@given(texts, st.integers(0, 2**52))
def test_refusals_at_any_address_and_time_can_be_recorded(address: str, later_us: int) -> None:
    sign_in = SignIn(b"r" * 32, {CLIENT.id: CLIENT}.get, Limits(), NOW)
    with pytest.raises(KetenError) as caught:
        sign_in.check_session(SessionProof(new_id()), NOW)
    assert sign_in.refused(caught.value, address, "session", NOW) is None
    (draft,) = sign_in.flush(NOW + later_us, everything=True)
    msgspec.json.encode(draft.details)
