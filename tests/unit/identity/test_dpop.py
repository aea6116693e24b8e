"""DPoP proofs, step by step as RFC 9449 §4.3 numbers them."""

from __future__ import annotations

from typing import Any

import pytest

from keten.core.errors import Busy
from keten.identity.dpop import DpopProofs, Proof
from keten.identity.errors import Refused
from keten.identity.nonces import REQUIRED_US, Nonces
from keten.identity.tokens import token_hash
from tests.unit.identity.signing import (
    ISSUER,
    NOW,
    NOW_S,
    OBJECT_URL,
    ClientKey,
    EcKey,
    proof,
    proof_claims,
    proof_header,
    text,
)

TOKEN = "token-of-some-client"
KEY = ClientKey()
KEYS = {"EdDSA": KEY, "ES256": EcKey()}


@pytest.fixture
def proofs() -> DpopProofs:
    """A server that started long ago."""
    return DpopProofs(Nonces(NOW - 2 * REQUIRED_US))


def check(proofs: DpopProofs, made: str, key: ClientKey = KEY, now_us: int = NOW) -> Proof:
    """At a resource, with a token bound to `key`."""
    return proofs.check(made, "GET", OBJECT_URL, now_us, token_hash(TOKEN), key.thumbprint())


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_a_good_proof_holds(proofs: DpopProofs, key: ClientKey) -> None:
    made = check(proofs, proof(key, TOKEN), key)
    assert made.jkt == key.thumbprint()
    assert made.until_us == NOW + 60_000_000
    proofs.use(made, NOW)


def test_alg_ed25519_of_rfc_9864_holds(proofs: DpopProofs) -> None:
    check(proofs, KEY.compact(proof_header(KEY, alg="Ed25519"), proof_claims(TOKEN)))


def test_at_the_token_endpoint_no_ath_is_needed(proofs: DpopProofs) -> None:
    made = proofs.check(proof(KEY, htm="POST", htu=f"{ISSUER}/token"), "POST", f"{ISSUER}/token", NOW)
    assert made.jkt == KEY.thumbprint()


def header(**changed: Any) -> str:
    return KEY.compact(proof_header(KEY, **changed), proof_claims(TOKEN))


def with_ec_key_confused() -> str:
    """An EC key that claims EdDSA."""
    ec = KEYS["ES256"]
    return KEY.compact({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": ec.jwk()}, proof_claims(TOKEN))


ATTACKS: dict[str, str] = {
    "empty": "",  # 1
    "two joined": proof(KEY, TOKEN) + "," + proof(KEY, TOKEN),
    "two joined with a space": proof(KEY, TOKEN) + ", " + proof(KEY, TOKEN),
    "not a JWT": "x.y",  # 2
    "huge": proof(KEY, TOKEN, x="x" * 5000),
    "padded": proof(KEY, TOKEN) + "==",
    "claims twice": KEY.compact(proof_header(KEY), b'{"htm":"GET","htm":"POST"}'),
    "no jti": proof(KEY, TOKEN, jti=None),  # 3
    "jti empty": proof(KEY, TOKEN, jti=""),
    "jti a list": proof(KEY, TOKEN, jti=["a"]),
    "jti huge": proof(KEY, TOKEN, jti="x" * 257),
    "no htm": proof(KEY, TOKEN, htm=None),
    "no htu": proof(KEY, TOKEN, htu=None),
    "no iat": proof(KEY, TOKEN, iat=None),
    "iat text": proof(KEY, TOKEN, iat=str(NOW_S)),
    "iat true": proof(KEY, TOKEN, iat=True),
    "typ JWT": header(typ="JWT"),  # 4
    "typ in capitals": header(typ="DPoP+jwt"),
    "no typ": header(typ=None),
    "typ a list": header(typ=["dpop+jwt"]),
    "alg none": f"{text({'typ': 'dpop+jwt', 'alg': 'none', 'jwk': KEY.jwk()})}.{text(proof_claims(TOKEN))}.",  # 5
    "alg none, signed": header(alg="none"),
    "alg HS256": header(alg="HS256"),
    "alg ES256 with an Ed25519 key": header(alg="ES256"),
    "alg EdDSA with a P-256 key": with_ec_key_confused(),
    "alg RS256": header(alg="RS256"),
    "alg a list": header(alg=["EdDSA"]),
    "no alg": header(alg=None),
    "signed by another": ClientKey().compact(proof_header(KEY), proof_claims(TOKEN)),  # 6
    "signature of zeros": f"{text(proof_header(KEY))}.{text(proof_claims(TOKEN))}.{text(bytes(64))}",
    "no jwk": header(jwk=None),
    "jwk with its private half": header(jwk=KEY.jwk() | {"d": text(KEY.private.private_bytes_raw())}),  # 7
    "jwk with an empty private half": header(jwk=KEY.jwk() | {"d": ""}),
    "jwk symmetric": header(jwk={"kty": "oct", "k": text(b"k" * 32)}),
    "jwk weak": header(jwk=KEY.jwk() | {"x": text((1).to_bytes(32, "little"))}),
    "crit": header(crit=["jwk"]),
    "other method": proof(KEY, TOKEN, htm="POST"),  # 8
    "method in another case": proof(KEY, TOKEN, htm="get"),
    "HEAD for GET": proof(KEY, TOKEN, htm="HEAD"),
    "other object": proof(KEY, TOKEN, htu=f"{ISSUER}/v1/objects/zzzzzzzzzzzzzzzzzzzzzzzzza"),  # 9
    "other host": proof(KEY, TOKEN, htu=OBJECT_URL.replace("delen", "evil")),
    "without TLS": proof(KEY, TOKEN, htu=OBJECT_URL.replace("https", "http")),
    "path alone": proof(KEY, TOKEN, htu="/v1/objects/abcdefghijklmnopqrstuvwxya"),
    "htu a list": proof(KEY, TOKEN, htu=[OBJECT_URL]),
    "no ath": proof(KEY),  # 12a
    "ath of another token": proof(KEY, "another token"),
    "ath padded": proof(KEY, TOKEN, ath=token_hash(TOKEN) + "="),
    "ath the token itself": proof(KEY, TOKEN, ath=TOKEN),
    "another key than the token's": proof(ClientKey(), TOKEN),  # 12b
    "another key of another kind": proof(KEYS["ES256"], TOKEN),
}


@pytest.mark.parametrize("made", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_refused(proofs: DpopProofs, made: str) -> None:
    with pytest.raises(Refused) as caught:
        check(proofs, made)
    assert caught.value.code == "proof-invalid"
    assert len(proofs.memory) == 0


def test_a_known_header_makes_no_exception_for_what_follows(proofs: DpopProofs) -> None:
    """The header of an earlier good proof is not parsed again; everything else is checked as ever."""
    check(proofs, proof(KEY, TOKEN))
    check(proofs, proof(KEY, TOKEN))
    forged = proof(KEY, TOKEN).rpartition(".")[0] + "." + text(bytes(64))
    with pytest.raises(Refused):
        check(proofs, forged)
    with pytest.raises(Refused):
        check(proofs, proof(KEY, TOKEN), ClientKey())


def test_headers_of_many_keys_do_not_fill_memory(proofs: DpopProofs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keten.identity.dpop._MAX_HEADERS", 3)
    for _ in range(8):
        key = ClientKey()
        check(proofs, proof(key, TOKEN), key)
        check(proofs, proof(key, TOKEN), key)
    assert len(proofs._headers) == 3


def test_headers_without_a_token_are_not_kept(proofs: DpopProofs) -> None:
    proofs.check(proof(KEY), "GET", OBJECT_URL, NOW)
    assert len(proofs._headers) == 0


@pytest.mark.parametrize("offset", [-60, -59, 0, 60, 59.5])
def test_a_proof_of_this_minute_holds(proofs: DpopProofs, offset: float) -> None:
    check(proofs, proof(KEY, TOKEN, iat=NOW_S + offset))


@pytest.mark.parametrize("offset", [-61, -60.001, 61, 60.001, -86_400, 86_400, -NOW_S])
def test_a_proof_of_another_time_is_refused(proofs: DpopProofs, offset: float) -> None:
    with pytest.raises(Refused) as caught:
        check(proofs, proof(KEY, TOKEN, iat=NOW_S + offset))
    assert caught.value.code == "proof-expired"


def test_a_proof_counts_once(proofs: DpopProofs) -> None:
    made = proof(KEY, TOKEN)
    proofs.use(check(proofs, made), NOW)
    with pytest.raises(Refused) as caught:
        proofs.use(check(proofs, made), NOW + 1)
    assert caught.value.code == "proof-replayed"


def test_the_same_jti_in_another_proof_is_a_replay(proofs: DpopProofs) -> None:
    proofs.use(check(proofs, proof(KEY, TOKEN, jti="a")), NOW)
    with pytest.raises(Refused) as caught:
        proofs.use(check(proofs, proof(KEY, TOKEN, jti="a", iat=NOW_S + 50)), NOW)
    assert caught.value.code == "proof-replayed"


def test_the_same_jti_of_another_key_is_another_proof(proofs: DpopProofs) -> None:
    proofs.use(check(proofs, proof(KEY, TOKEN, jti="a")), NOW)
    other = ClientKey()
    proofs.use(check(proofs, proof(other, TOKEN, jti="a"), other), NOW)


def test_a_proof_from_the_future_is_remembered_until_it_is_over(proofs: DpopProofs) -> None:
    made = proof(KEY, TOKEN, iat=NOW_S + 60)
    proofs.use(check(proofs, made), NOW)
    for later_s in (1, 59, 119, 120):
        now_us = NOW + later_s * 1_000_000
        with pytest.raises(Refused) as caught:
            proofs.use(check(proofs, made, now_us=now_us), now_us)
        assert caught.value.code == "proof-replayed", later_s
    with pytest.raises(Refused) as caught:
        check(proofs, made, now_us=NOW + 120_000_001)
    assert caught.value.code == "proof-expired"


def test_a_full_memory_refuses_rather_than_forgets() -> None:
    proofs = DpopProofs(Nonces(NOW - 2 * REQUIRED_US), limit=2)
    first = proof(KEY, TOKEN)
    proofs.use(check(proofs, first), NOW)
    proofs.use(check(proofs, proof(KEY, TOKEN)), NOW)
    with pytest.raises(Busy):
        proofs.use(check(proofs, proof(KEY, TOKEN)), NOW)
    with pytest.raises(Refused):
        proofs.use(check(proofs, first), NOW)
    later = NOW + 71_000_000
    proofs.use(check(proofs, proof(KEY, TOKEN, iat=NOW_S + 71), now_us=later), later)
    assert len(proofs.memory) == 1


def test_a_nonce_of_ours_holds_though_none_is_required(proofs: DpopProofs) -> None:
    nonces = Nonces(NOW - 2 * REQUIRED_US)
    proofs = DpopProofs(nonces)
    check(proofs, proof(KEY, TOKEN, nonce=nonces.current(NOW)))
    check(proofs, proof(KEY, TOKEN))


def test_a_nonce_that_is_not_ours_is_answered_with_one_that_is() -> None:
    nonces = Nonces(NOW - 2 * REQUIRED_US)
    proofs = DpopProofs(nonces)
    with pytest.raises(Refused) as caught:
        check(proofs, proof(KEY, TOKEN, nonce="of another server"))
    assert caught.value.code == "use_dpop_nonce"
    check(proofs, proof(KEY, TOKEN, nonce=caught.value.data["nonce"]))


@pytest.mark.parametrize("nonce", [1, "", ["x"], "x" * 300])
def test_a_nonce_that_is_no_text_is_refused(proofs: DpopProofs, nonce: object) -> None:
    with pytest.raises(Refused) as caught:
        check(proofs, proof(KEY, TOKEN, nonce=nonce))
    assert caught.value.code == "proof-invalid"


def test_an_old_nonce_is_answered_with_a_new_one() -> None:
    nonces = Nonces(NOW - 2 * REQUIRED_US)
    proofs = DpopProofs(nonces)
    old = nonces.current(NOW - 180_000_000)
    with pytest.raises(Refused) as caught:
        check(proofs, proof(KEY, TOKEN, nonce=old))
    assert caught.value.code == "use_dpop_nonce"
    assert caught.value.data["nonce"] != old


def test_a_restart_forgets_proofs_but_the_nonce_saves() -> None:
    """A proof shown to the process before, with and without a nonce of its own, is shown again to the next one."""
    before_nonces = Nonces(NOW - 2 * REQUIRED_US)
    before = DpopProofs(before_nonces)
    plain = proof(KEY, TOKEN, iat=NOW_S + 60)
    with_nonce = proof(KEY, TOKEN, nonce=before_nonces.current(NOW), iat=NOW_S + 60)
    for made in (plain, with_nonce):
        before.use(check(before, made), NOW)

    after = DpopProofs(Nonces(NOW + 1))
    for made in (plain, with_nonce):
        for later_s in range(0, 150, 10):
            with pytest.raises(Refused) as caught:
                check(after, made, now_us=NOW + 1 + later_s * 1_000_000)
            assert caught.value.code in ("use_dpop_nonce", "proof-expired")

    with pytest.raises(Refused) as caught:
        check(after, proof(KEY, TOKEN), now_us=NOW + 2)
    fresh = check(after, proof(KEY, TOKEN, nonce=caught.value.data["nonce"]), now_us=NOW + 3)
    after.use(fresh, NOW + 3)
    assert len(after.memory) == 1
