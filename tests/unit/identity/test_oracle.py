"""Against joserfc: what it makes holds here, and nothing holds here that does not hold there."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from keten.core.ids import new_id
from keten.identity.assertions import check_assertion
from keten.identity.dpop import DpopProofs
from keten.identity.errors import Refused
from keten.identity.jws import jwk_key, split, strict_header
from keten.identity.keys import from_raw
from keten.identity.nonces import REQUIRED_US, Nonces
from keten.identity.tokens import token_hash
from tests.unit.identity.signing import (
    ISSUER,
    NOW,
    OBJECT_URL,
    ClientKey,
    EcKey,
    assertion,
    assertion_claims,
    proof,
    proof_claims,
)

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

TOKEN = "some token"
ALGORITHMS = ["EdDSA", "Ed25519", "ES256"]
ID = new_id()


def make(alg: str) -> OKPKey | ECKey:
    return ECKey.generate_key("P-256") if alg == "ES256" else OKPKey.generate_key("Ed25519")


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_an_assertion_by_joserfc_holds(alg: str) -> None:
    key = OKPKey.generate_key("Ed25519")
    raw = base64.urlsafe_b64decode(str(key.as_dict(private=False)["x"]) + "=")
    made = jwt.encode({"alg": alg, "typ": "JWT"}, assertion_claims(ID), key, algorithms=[alg])
    checked = check_assertion(made, ID, ISSUER, (from_raw(raw),), NOW)
    assert checked.key is not None
    assert checked.key.raw == raw


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_proof_by_joserfc_holds(alg: str) -> None:
    key = make(alg)
    public = key.as_dict(private=False)
    public.pop("kid", None)
    made = jwt.encode({"typ": "dpop+jwt", "alg": alg, "jwk": public}, proof_claims(TOKEN), key, algorithms=[alg])
    jkt = base64.urlsafe_b64decode(key.thumbprint() + "=")
    proofs = DpopProofs(Nonces(NOW - 2 * REQUIRED_US))
    assert proofs.check(made, "GET", OBJECT_URL, NOW, token_hash(TOKEN), jkt).jkt == jkt


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_proof_by_joserfc_with_its_private_key_inside_does_not_hold(alg: str) -> None:
    key = make(alg)
    header = {"typ": "dpop+jwt", "alg": alg, "jwk": key.as_dict(private=True)}
    made = jwt.encode(header, proof_claims(TOKEN), key, algorithms=[alg])
    proofs = DpopProofs(Nonces(NOW - 2 * REQUIRED_US))
    with pytest.raises(Refused):
        proofs.check(made, "GET", OBJECT_URL, NOW)


def holds_there(compact: str) -> dict[str, object] | None:
    """joserfc's claims of a proof, verified with the key in its header."""
    try:
        header = strict_header(compact.partition(".")[0], "x")
        jwk = dict(header["jwk"])
        key = ECKey.import_key(jwk) if jwk.get("kty") == "EC" else OKPKey.import_key(jwk)
        return dict(jwt.decode(compact, key, algorithms=ALGORITHMS).claims)
    except (JoseError, Refused, KeyError, ValueError, TypeError):
        return None


def holds_here(compact: str) -> dict[str, object] | None:
    try:
        parts = split(compact, "x")
        header = strict_header(parts.header, "x")
        key = jwk_key(header.get("jwk"), header.get("alg"), "x")
    except Refused:
        return None
    return parts.claims if key.verifies(parts.signature, parts.signed) else None


SEEDS = [proof(ClientKey(), TOKEN), proof(EcKey(), TOKEN), proof(ClientKey(), nonce="n", x={"y": [1.5, None, "é"]})]


@pytest.mark.parametrize("seed", SEEDS)
def test_both_read_a_good_proof_alike(seed: str) -> None:
    here = holds_here(seed)
    assert here is not None
    assert here == holds_there(seed)


@given(st.sampled_from(SEEDS), st.integers(0, 700), st.sampled_from("AQgwEz09-_.=+/ \né"), st.sampled_from("ird"))
def test_nothing_holds_here_that_does_not_hold_there(seed: str, place: int, other: str, how: str) -> None:
    place %= len(seed)
    after = seed[place:] if how == "i" else seed[place + 1 :]
    changed = seed[:place] + ("" if how == "d" else other) + after
    here = holds_here(changed)
    assert here is None or here == holds_there(changed)
    assert here is None or changed == seed


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=20), st.integers(-(10**9), 10**9)), max_size=6))
def test_whatever_joserfc_encodes_is_read_alike(extra: dict[str, object]) -> None:
    key = OKPKey.generate_key("Ed25519")
    public = {name: value for name, value in key.as_dict(private=False).items() if name != "kid"}
    header = {"typ": "dpop+jwt", "alg": "Ed25519", "jwk": public}
    made = jwt.encode(header, extra, key, algorithms=["Ed25519"])
    assert holds_here(made) == extra


def test_an_assertion_made_here_holds_there() -> None:
    key = ClientKey()
    made = assertion(key, ID)
    assert jwt.decode(made, OKPKey.import_key(dict(key.jwk())), algorithms=["EdDSA"]).claims["sub"] == ID
