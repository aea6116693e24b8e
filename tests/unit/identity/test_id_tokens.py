"""ID tokens: what a library makes holds here; whatever is not quite so is refused, with its cause."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from keten.core.clock import SECOND
from keten.core.provider import ALGORITHMS
from keten.identity.errors import Refused
from keten.identity.oidc import id_token
from keten.identity.oidc.id_token import Expected, KeyUnknown
from keten.identity.oidc.keys import read_keys

NOW = 1_800_000_000 * SECOND
ISSUER, CLIENT, NONCE = "https://login.example", "keten", "n" * 43
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
KEYS: dict[str, Key] = {
    "RS256": RSA,
    "RS384": RSA,
    "RS512": RSA,
    "PS256": RSA,
    "PS384": RSA,
    "PS512": RSA,
    "ES256": ECKey.generate_key("P-256", {"kid": "p256"}),
    "ES384": ECKey.generate_key("P-384", {"kid": "p384"}),
    "ES512": ECKey.generate_key("P-521", {"kid": "p521"}),
    "EdDSA": (ED := OKPKey.generate_key("Ed25519", {"kid": "ed"})),
    "Ed25519": ED,
}
PUBLISHED = json.dumps(
    {"keys": [key.as_dict(private=False) for key in {id(one): one for one in KEYS.values()}.values()]}
)
TRUSTED = read_keys(PUBLISHED.encode())
EXPECTED = Expected(ISSUER, CLIENT, NONCE, NOW - 60 * SECOND, ALGORITHMS)


def claims(**other: Any) -> dict[str, Any]:
    """Good ones; None takes one out."""
    now = NOW // SECOND
    usual = {"iss": ISSUER, "aud": CLIENT, "sub": "24400320", "nonce": NONCE, "iat": now, "exp": now + 300}
    return {name: value for name, value in (usual | other).items() if value is not None}


def made(alg: str = "ES256", header: dict[str, Any] | None = None, key: Key | None = None, **other: Any) -> str:
    """A token as the library makes it."""
    signer = key or KEYS[alg]
    return jwt.encode({"alg": alg, "kid": signer.kid} | (header or {}), claims(**other), signer, algorithms=[alg])


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def refused(token: str, expected: Expected = EXPECTED, access: str = "", now: int = NOW) -> str:
    """The cause."""
    with pytest.raises(Refused) as caught:
        id_token.verify(token, access, TRUSTED, expected, now)
    assert caught.value.code == "sign-in-failed"
    return caught.value.cause


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # of the older name, when it signs
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_a_library_signs_holds(alg: str) -> None:
    assert id_token.verify(made(alg), "", TRUSTED, EXPECTED, NOW)["sub"] == "24400320"


def test_one_audience_in_a_list_and_everything_that_may_be_said() -> None:
    strong = Expected(ISSUER, CLIENT, NONCE, NOW, ALGORITHMS, ("loa3", "loa4"), ("mfa", "hwk"), 3600 * SECOND)
    token = made(
        aud=[CLIENT],
        azp=CLIENT,
        nbf=NOW // SECOND,
        auth_time=NOW // SECOND - 3600,
        acr="loa4",
        amr=["pwd", "hwk", "mfa"],
        at_hash=id_token.at_hash("access", "ES256"),
    )
    assert id_token.verify(token, "access", TRUSTED, strong, NOW)["acr"] == "loa4"


def test_the_hash_of_an_access_token_is_the_standards_own_example() -> None:
    """OpenID Connect Core 1.0, appendix A.3."""
    token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
    assert id_token.at_hash(token, "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"


@pytest.mark.parametrize(
    ("cause", "other"),
    [
        ("id-token-issuer", {"iss": "https://evil.example"}),
        ("id-token-issuer", {"iss": ISSUER + "/"}),
        ("id-token-issuer", {"iss": None}),
        ("id-token-audience", {"aud": "another"}),
        ("id-token-audience", {"aud": [CLIENT, "another"]}),
        ("id-token-audience", {"aud": []}),
        ("id-token-audience", {"aud": None}),
        ("id-token-audience", {"azp": "another"}),
        ("id-token-expired", {"exp": NOW // SECOND - 60}),
        ("id-token-expired", {"iat": NOW // SECOND - 121}),
        ("id-token-early", {"iat": NOW // SECOND + 61, "exp": NOW // SECOND + 400}),
        ("id-token-early", {"nbf": NOW // SECOND + 61}),
        ("id-token-malformed", {"exp": None}),
        ("id-token-malformed", {"iat": None}),
        ("id-token-malformed", {"exp": True}),
        ("id-token-malformed", {"exp": "1"}),
        ("id-token-malformed", {"sub": None}),
        ("id-token-malformed", {"sub": "s" * 256}),
        ("id-token-malformed", {"sub": 7}),
        ("id-token-malformed", {"nonce": None}),
        ("id-token-nonce", {"nonce": "m" * 43}),
        ("id-token-nonce", {"nonce": "ñ"}),
        ("id-token-at-hash", {"at_hash": id_token.at_hash("another", "ES256")}),
        ("id-token-at-hash", {"at_hash": 7}),
    ],
)
def test_a_claim_that_is_not_so(cause: str, other: dict[str, Any]) -> None:
    assert refused(made(**other), access="access") == cause


@pytest.mark.parametrize(
    ("cause", "other"),
    [
        ("id-token-auth-time", {}),
        ("id-token-auth-time", {"auth_time": NOW // SECOND - 3661}),
        ("id-token-auth-time", {"auth_time": NOW // SECOND + 61}),
        ("id-token-malformed", {"auth_time": "now"}),
        ("id-token-acr", {"auth_time": NOW // SECOND, "acr": "loa2"}),
        ("id-token-acr", {"auth_time": NOW // SECOND, "acr": ["loa3"]}),
        ("id-token-amr", {"auth_time": NOW // SECOND, "acr": "loa3", "amr": ["pwd"]}),
        ("id-token-amr", {"auth_time": NOW // SECOND, "acr": "loa3", "amr": "mfa"}),
        ("id-token-amr", {"auth_time": NOW // SECOND, "acr": "loa3", "amr": ["mfaa", 3]}),
    ],
)
def test_how_somebody_signed_in_there_is_not_enough(cause: str, other: dict[str, Any]) -> None:
    strong = Expected(ISSUER, CLIENT, NONCE, NOW, ALGORITHMS, ("loa3",), ("mfa",), 3600 * SECOND)
    assert refused(made(**other), strong) == cause


def test_no_signature_and_a_signature_by_what_everybody_knows() -> None:
    """`alg: none` in every spelling; HMAC with the public key as its secret, as PEM, DER and JWK."""
    for name in ("none", "None", "NONE", "nOnE", ""):
        assert refused(f"{segment({'alg': name})}.{segment(claims())}.") == "id-token-algorithm"
    public = RSA.public_key
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(RSA.as_dict(private=False)).encode(),
    ]
    for secret in secrets:
        signed = f"{segment({'alg': 'HS256', 'kid': 'rsa'})}.{segment(claims())}"
        token = f"{signed}.{segment(hmac.digest(secret, signed.encode(), 'sha256'))}"
        assert refused(token) == "id-token-algorithm"
        sneaky = Expected(ISSUER, CLIENT, NONCE, NOW, ("HS256",))
        assert refused(token, sneaky) == "id-token-algorithm"  # also where the settings were got round


def test_an_algorithm_that_the_settings_do_not_name() -> None:
    only = Expected(ISSUER, CLIENT, NONCE, NOW, ("ES256",))
    assert refused(made("RS256"), only) == "id-token-algorithm"


def test_a_key_of_somebody_else() -> None:
    """Another key under the known name; one in the header itself; a name that is not known; no name at all."""
    stranger = ECKey.generate_key("P-256", {"kid": "p256"})
    assert refused(made(key=stranger)) == "id-token-signature"
    own = {"jwk": stranger.as_dict(private=False)}
    assert refused(made(key=stranger, header=own)) == "id-token-signature"
    unknown = ECKey.generate_key("P-256", {"kid": "new"})
    with pytest.raises(KeyUnknown):
        id_token.verify(made(key=unknown), "", TRUSTED, EXPECTED, NOW)
    nameless = jwt.encode({"alg": "ES256"}, claims(), KEYS["ES256"])
    assert id_token.verify(nameless, "", TRUSTED, EXPECTED, NOW)
    twice = read_keys(json.dumps({"keys": [key.as_dict(private=False) for key in (KEYS["ES256"], unknown)]}).encode())
    with pytest.raises(KeyUnknown):
        id_token.verify(nameless, "", twice, EXPECTED, NOW)


def test_a_key_of_another_kind_or_for_another_algorithm() -> None:
    token = made(header={"kid": "p256"}, alg="RS256")
    assert refused(token) == "id-token-algorithm"
    one = KEYS["RS256"].as_dict(private=False) | {"alg": "RS256"}
    keys = read_keys(json.dumps({"keys": [one]}).encode())
    assert id_token.verify(made("RS256"), "", keys, EXPECTED, NOW)
    with pytest.raises(Refused) as caught:
        id_token.verify(made("PS256"), "", keys, EXPECTED, NOW)
    assert caught.value.cause == "id-token-algorithm"


def test_readings_that_another_parser_would_doubt() -> None:
    """A member said twice, `crit`, other encodings, padding, bits that mean nothing, more or fewer segments."""
    good = made()
    header, payload, signature = good.split(".")
    twice = b'{"iss":"https://evil.example",' + json.dumps(claims()).encode()[1:]
    key = KEYS["ES256"]
    assert isinstance(key, ECKey)
    for body in (twice, json.dumps(claims()).encode("utf-16"), b"[]", b"7", b"{", b'{"exp": NaN}'):
        signed = f"{header}.{segment(body)}"
        token = f"{signed}.{segment(_es256(key, signed))}"
        assert refused(token) == "id-token-malformed"
    for crit in (["exp"], []):
        signed = f"{segment({'alg': 'ES256', 'kid': 'p256', 'crit': crit, 'exp': 1})}.{payload}"
        assert refused(f"{signed}.{segment(_es256(key, signed))}") == "id-token-malformed"
    for token in (f"{header}.{payload}.{signature}=", f"{header}.{payload}", f"{good}.", "", "..", "a.b.c", "ü.b.c"):
        assert refused(token) == "id-token-malformed"
    assert refused("a" * (id_token.MAX_TOKEN + 1)) == "id-token-malformed"


def _es256(key: ECKey, signed: str) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    private = key.private_key
    assert isinstance(private, EllipticCurvePrivateKey)
    r, s = decode_dss_signature(private.sign(signed.encode(), ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@given(st.integers(0, 2**16), st.integers(1, 255))
def test_no_changed_byte_holds(at: int, difference: int) -> None:
    token = bytearray(made().encode())
    at %= len(token)
    token[at] ^= difference
    text = token.decode("latin-1")
    assert refused(text).startswith("id-token-")


@given(st.text(max_size=200))
def test_no_text_does_harm(text: str) -> None:
    assert refused(text).startswith("id-token-")


def test_secrets_of_a_key_set_are_passed_over_and_cannot_sign() -> None:
    secret = OctKey.import_key(b"0123456789abcdef0123456789abcdef", {"kid": "oct"})
    both = {"keys": [secret.as_dict(private=True), KEYS["ES256"].as_dict(private=False)]}
    keys = read_keys(json.dumps(both).encode())
    assert [key.kid for key in keys] == ["p256"]
    token = jwt.encode({"alg": "HS256", "kid": "oct"}, claims(), secret)
    with pytest.raises(Refused):
        id_token.verify(token, "", keys, EXPECTED, NOW)
