"""Client assertions: every wrong one is refused, at the step that says so."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from keten.core.ids import new_id
from keten.identity.assertions import PADDED_KEYS, check_assertion, claimed_client
from keten.identity.errors import Refused
from keten.identity.jws import decode_base64url, encode_base64url
from keten.identity.keys import PublicKey
from tests.unit.identity.signing import (
    ISSUER,
    NOW,
    NOW_S,
    TOKEN_URL,
    ClientKey,
    EcKey,
    assertion,
    assertion_claims,
    text,
)

KEY = ClientKey()
FOREIGN = ClientKey()
ID = new_id()


def check(made: str, keys: tuple[PublicKey, ...] = (KEY.public,), client_id: str = ID, issuer: str = ISSUER) -> Any:
    return check_assertion(made, client_id, issuer, keys, NOW)


def signed_by_hmac(secret: bytes) -> str:
    signed = f"{text({'alg': 'HS256', 'typ': 'JWT'})}.{text(assertion_claims(ID))}"
    # Two MACs, so that the size is that of an Ed25519 signature and only `alg` can be what refuses it.
    mac = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{encode_base64url(mac + mac)}"


def with_header(**header: Any) -> str:
    return KEY.compact({"alg": "EdDSA", "typ": "JWT"} | header, assertion_claims(ID))


def with_claims(raw: str) -> str:
    """Claims as written, `$` standing for the good ones without their braces."""
    return KEY.compact({"alg": "EdDSA"}, raw.replace("$", json.dumps(assertion_claims(ID))[1:-1]).encode())


def changed_payload() -> str:
    header, _, signature = assertion(KEY, ID).split(".")
    return f"{header}.{text(assertion_claims(ID, jti='other'))}.{signature}"


ATTACKS: dict[str, str] = {
    "empty": "",
    "rubbish": "x.y.z",
    "alg none, no signature": f"{text({'alg': 'none'})}.{text(assertion_claims(ID))}.",
    "alg none, some signature": f"{text({'alg': 'none'})}.{text(assertion_claims(ID))}.{text(bytes(64))}",
    "alg None": f"{text({'alg': 'None'})}.{text(assertion_claims(ID))}.{text(bytes(64))}",
    "HS256, secret the key's 32 bytes": signed_by_hmac(KEY.public.raw),
    "HS256, secret the key's blob": signed_by_hmac(KEY.public.blob),
    "HS256, secret the key's line": signed_by_hmac(KEY.public.line.encode()),
    "HS256, secret the key's base64": signed_by_hmac(KEY.public.line.split()[1].encode()),
    "ES256": with_header(alg="ES256"),
    "RS256": with_header(alg="RS256"),
    "alg in another case": with_header(alg="eddsa"),
    "alg a list": with_header(alg=["EdDSA"]),
    "alg an object": with_header(alg={"EdDSA": 1}),
    "alg null": with_header(alg=None),
    "alg Ed448": with_header(alg="Ed448"),
    "no alg": KEY.compact({"typ": "JWT"}, assertion_claims(ID)),
    "crit unknown": with_header(crit=["x"], x=1),
    "crit exp": with_header(crit=["exp"]),
    "crit b64": with_header(crit=["b64"], b64=False),
    "crit empty": with_header(crit=[]),
    "typ of a DPoP proof": with_header(typ="dpop+jwt"),
    "typ of an access token": with_header(typ="at+jwt"),
    "typ null": with_header(typ=None),
    "typ a list": with_header(typ=["JWT"]),
    "own jwk": FOREIGN.compact({"alg": "EdDSA", "jwk": FOREIGN.jwk()}, assertion_claims(ID)),
    "jwk of the right key": with_header(jwk=KEY.jwk()),
    "jku": with_header(jku="https://evil.example/keys"),
    "x5u": with_header(x5u="https://evil.example/chain"),
    "x5c": with_header(x5c=["MII"]),
    "header a list": KEY.compact([], assertion_claims(ID)),
    "header with a member twice": KEY.compact(b'{"alg":"none","alg":"EdDSA"}', assertion_claims(ID)),
    "claims a list": KEY.compact({"alg": "EdDSA"}, [assertion_claims(ID)]),
    "aud twice": with_claims('{$, "aud": "https://evil.example"}'),
    "sub twice": with_claims('{"sub": "x", $}'),
    "a member twice deep inside": with_claims('{$, "x": {"y": 1, "y": 2}}'),
    "NaN": with_claims('{$, "x": NaN}'),
    "infinity": with_claims('{$, "x": 1e999}'),
    "huge number": with_claims('{$, "x": ' + "9" * 100 + "}"),
    "deep": with_claims('{$, "x": ' + "[" * 1200 + "]" * 1200 + "}"),
    "huge": assertion(KEY, ID, x="x" * 5000),
    "huge jti": assertion(KEY, ID, jti="x" * 300),
    "iss of another": assertion(KEY, ID, iss=new_id()),
    "sub of another": assertion(KEY, ID, sub=new_id()),
    "no iss": assertion(KEY, ID, iss=None),
    "no sub": assertion(KEY, ID, sub=None),
    "iss a list": assertion(KEY, ID, iss=[ID]),
    "sub a number": assertion(KEY, ID, sub=7),
    "iss in capitals": assertion(KEY, ID, iss=ID.upper()),
    "aud of another": assertion(KEY, ID, aud="https://evil.example"),
    "aud the token endpoint": assertion(KEY, ID, aud=TOKEN_URL),
    "aud a list": assertion(KEY, ID, aud=[ISSUER]),
    "aud a list with others": assertion(KEY, ID, aud=["https://evil.example", ISSUER]),
    "aud with a slash": assertion(KEY, ID, aud=ISSUER + "/"),
    "aud in capitals": assertion(KEY, ID, aud=ISSUER.upper()),
    "aud null": with_claims('{"aud": null, "iss": 1}'),
    "no aud": assertion(KEY, ID, aud=None),
    "no exp": assertion(KEY, ID, exp=None),
    "exp text": assertion(KEY, ID, exp=str(NOW_S + 60)),
    "exp true": assertion(KEY, ID, exp=True),
    "exp negative": assertion(KEY, ID, exp=-1),
    "exp beyond all clocks": assertion(KEY, ID, exp=10**14),
    "iat text": assertion(KEY, ID, iat="now"),
    "nbf a list": assertion(KEY, ID, nbf=[NOW_S]),
    "no jti": assertion(KEY, ID, jti=None),
    "jti empty": assertion(KEY, ID, jti=""),
    "jti a number": assertion(KEY, ID, jti=1),
    "padded": assertion(KEY, ID) + "==",
    "line break": assertion(KEY, ID) + "\n",
    "not ASCII": assertion(KEY, ID) + "é",
    "JSON form": json.dumps({"payload": "e30", "signatures": []}),
    "encrypted form": "a.b.c.d.e",
}


@pytest.mark.parametrize("made", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_refused_before_any_signature_counts(made: str) -> None:
    with pytest.raises(Refused) as caught:
        check(made)
    assert caught.value.code == "proof-invalid"


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": NOW_S},
        {"exp": NOW_S - 1},
        {"exp": 0},
        {"exp": NOW_S + 301},
        {"exp": NOW_S + 300.001},
        {"exp": NOW_S + 86_400},
        {"iat": NOW_S + 61},
        {"nbf": NOW_S + 61},
    ],
)
def test_an_assertion_outside_its_time_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        check(assertion(KEY, ID, **changed))
    assert caught.value.code == "proof-expired"


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"exp": NOW_S + 300},
        {"exp": NOW_S + 1},
        {"exp": NOW_S + 0.5},
        {"iat": NOW_S + 60},
        {"nbf": NOW_S + 60},
        {"iat": None},
        {"nbf": NOW_S - 5},
        {"extra": {"deep": [1, 2.5, None, "é"]}},
        {"jti": "é" * 10},
        {"jti": "\ud800"},
    ],
)
def test_a_good_assertion_holds(changed: dict[str, Any]) -> None:
    made = check(assertion(KEY, ID, **changed))
    assert made.key == KEY.public
    assert made.client_id == ID


@pytest.mark.parametrize(
    "header",
    [{"alg": "EdDSA"}, {"alg": "Ed25519"}, {"typ": "client-authentication+jwt"}, {"kid": "anything"}],
)
def test_usual_headers_are_taken(header: dict[str, str]) -> None:
    assert check(with_header(**header)).key == KEY.public


def test_until_when_it_is_to_be_remembered_is_when_it_ends() -> None:
    assert check(assertion(KEY, ID, exp=NOW_S + 42)).until_us == NOW + 42_000_000


def test_the_same_jti_is_the_same_proof_whatever_else_differs() -> None:
    one = check(assertion(KEY, ID, jti="a"))
    assert one.hashed == check(assertion(KEY, ID, jti="a", exp=NOW_S + 7)).hashed
    assert one.hashed != check(assertion(KEY, ID, jti="b")).hashed
    other = new_id()
    assert one.hashed != check(assertion(KEY, other, jti="a"), client_id=other).hashed


def changed_signature() -> str:
    signed, _, signature = assertion(KEY, ID).rpartition(".")
    raw = bytearray(decode_base64url(signature, "x"))
    raw[0] ^= 1
    return f"{signed}.{encode_base64url(bytes(raw))}"


@pytest.mark.parametrize(
    "made",
    [
        lambda: assertion(FOREIGN, ID),
        changed_signature,
        changed_payload,
        lambda: EcKey().compact({"alg": "EdDSA"}, assertion_claims(ID)),
        lambda: f"{text({'alg': 'EdDSA'})}.{text(assertion_claims(ID))}.{text(bytes(64))}",
    ],
)
def test_a_signature_by_no_key_of_the_client_has_no_key(made: Callable[[], str]) -> None:
    assert check(made()).key is None


@pytest.mark.parametrize("place", [0, 1])
def test_either_of_two_keys_signs_while_rotating(place: int) -> None:
    keys = (ClientKey(), ClientKey())
    made = check(assertion(keys[place], ID), (keys[0].public, keys[1].public))
    assert made.key == keys[place].public


def test_a_key_taken_out_no_longer_signs() -> None:
    old, new = ClientKey(), ClientKey()
    assert check(assertion(old, ID), (new.public,)).key is None


@pytest.mark.parametrize("client_id", ["", "x", "é", ID.upper(), ID + "a", "../" + ID])
def test_what_is_no_id_is_no_client(client_id: str) -> None:
    with pytest.raises(Refused):
        check(assertion(KEY, client_id), client_id=client_id)


def test_no_issuer_is_nobodys_audience() -> None:
    with pytest.raises(Refused):
        check(assertion(KEY, ID, aud=""), issuer="")


@pytest.mark.parametrize(
    "keys", [(), (ClientKey().public,), (ClientKey().public, ClientKey().public)], ids=["unknown", "one", "two"]
)
def test_unknown_and_wrong_key_cost_the_same_signatures(
    keys: tuple[PublicKey, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[bytes] = []
    real = PublicKey.verifies

    def counting(self: PublicKey, signature: bytes, signed: bytes) -> bool:
        verified.append(signature)
        return real(self, signature, signed)

    monkeypatch.setattr(PublicKey, "verifies", counting)
    assert check(assertion(KEY, ID), keys).key is None
    assert len(verified) == PADDED_KEYS


def test_the_claimed_client_is_read_without_trusting_it() -> None:
    assert claimed_client(assertion(FOREIGN, ID)) == ID


@pytest.mark.parametrize("sub", [None, "", "x", 1, [ID], ID.upper()])
def test_a_claimed_client_that_is_no_id_is_refused(sub: object) -> None:
    with pytest.raises(Refused):
        claimed_client(KEY.compact({"alg": "EdDSA"}, {"sub": sub}))


def test_a_good_assertion_with_base64_of_another_spelling_is_refused() -> None:
    made = assertion(KEY, ID)
    standard = made[:-1] + chr(ord(made[-1]) + 1)
    assert base64.urlsafe_b64decode(standard.split(".")[2] + "==") == base64.urlsafe_b64decode(
        made.split(".")[2] + "=="
    )
    with pytest.raises(Refused) as caught:
        check(standard)
    assert caught.value.code == "proof-invalid"
