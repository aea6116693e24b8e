"""What is sent to a provider: the browser with an authorization request, then the code (RFC 6749, 7636, 7523)."""

from __future__ import annotations

import base64
from hashlib import sha256
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwk, jwt

from keten.core.clock import SECOND
from keten.core.crypto import derive
from keten.core.ids import new_id
from keten.core.provider import Provider
from keten.identity.ceremonies import Ceremony
from keten.identity.jws import encode_base64url
from keten.identity.oidc.metadata import Metadata, wrong

ASSERTION_US = 60 * SECOND
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEY_PURPOSE = "provider-client"
"""What Keten's own key for `private_key_jwt` is derived for: it is kept nowhere, and is the same after a restore."""
_SCOPES = {"email": "openid email", "sub": "openid"}  # no more of a person than is looked at (Core 1.0 §5.4)
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (FIPS 186-5)


def client_key(root: bytes) -> jwk.ECKey:
    """Keten's own key for a provider (ES256). root: 32 bytes that only the keeper has.

    48 bytes modulo the order less one: no scalar is likelier than another by more than 2^-128 (FIPS 186-5 A.2.1).
    """
    scalar = int.from_bytes(derive(root, KEY_PURPOSE, 48), "big") % (_ORDER - 1) + 1
    made: jwk.ECKey = jwk.ECKey.import_key(
        {
            "kty": "EC",
            "crv": "P-256",
            "d": encode_base64url(scalar.to_bytes(32, "big")),
            **_point(ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()),
        }
    )
    return made


def public_set(key: jwk.ECKey) -> dict[str, list[dict[str, str]]]:
    """The JWK Set that a provider is given."""
    shown = {name: str(value) for name, value in key.as_dict(private=False).items() if name in ("kty", "crv", "x", "y")}
    return {"keys": [shown | {"kid": key.thumbprint(), "alg": "ES256", "use": "sig"}]}


def _point(numbers: ec.EllipticCurvePublicNumbers) -> dict[str, str]:
    return {name: encode_base64url(getattr(numbers, name).to_bytes(32, "big")) for name in ("x", "y")}


def nonce_of(ceremony: Ceremony) -> str:
    """What the ID token must repeat; it tells nothing of the verifier."""
    return encode_base64url(ceremony.challenge)


def verifier_of(ceremony: Ceremony) -> str:
    """PKCE's code verifier (RFC 7636 §4.1): 43 characters, which leave the keeper with the code alone."""
    return encode_base64url(sha256(b"keten-pkce\0" + ceremony.nonce).digest())


def authorization_url(
    metadata: Metadata, provider: Provider, redirect_uri: str, ceremony: Ceremony, max_age_seconds: int
) -> str:
    """Where the browser is sent. state: the ceremony's name, which is random and counts once."""
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": _SCOPES.get(provider.claim, "openid profile"),
        "state": ceremony.id,
        "nonce": nonce_of(ceremony),
        "code_challenge": encode_base64url(sha256(verifier_of(ceremony).encode()).digest()),
        "code_challenge_method": "S256",
    }
    if max_age_seconds:
        asked["max_age"] = str(max_age_seconds)
    if provider.acr:
        asked["acr_values"] = " ".join(provider.acr)
    joint = "&" if "?" in metadata.authorization_endpoint else "?"
    return f"{metadata.authorization_endpoint}{joint}{urlencode(asked)}"


def token_request(
    metadata: Metadata,
    provider: Provider,
    redirect_uri: str,
    code: str,
    verifier: str,
    proof: jwk.ECKey | str,
    now_us: int,
) -> tuple[str, str]:
    """Form and Authorization header that bring a code to the token endpoint (RFC 6749 §4.1.3).

    proof: Keten's own key, or the client secret. A secret goes by the header where the provider takes that.
    Raises `Unavailable` ("provider-wrong") when it takes neither.
    """
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
        "client_id": provider.client_id,
    }
    if not isinstance(proof, str):
        if "private_key_jwt" not in metadata.methods:
            raise wrong("it does not take private_key_jwt: give [oidc] secret_file")
        fields |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion(provider, proof, now_us)}
        return urlencode(fields), ""
    if "client_secret_basic" in metadata.methods:
        # RFC 6749 §2.3.1; a space as %20, which decoders of forms and of addresses read alike.
        pair = f"{quote(provider.client_id, safe='')}:{quote(proof, safe='')}"
        return urlencode(fields), f"Basic {base64.b64encode(pair.encode()).decode()}"
    if "client_secret_post" in metadata.methods:
        return urlencode(fields | {"client_secret": proof}), ""
    raise wrong("it takes no client secret: leave [oidc] secret_file out, and give it Keten's key")


def assertion(provider: Provider, key: jwk.ECKey, now_us: int) -> str:
    """Keten's proof to the provider (RFC 7523 §3): for a minute, once, addressed to one party as a single string."""
    now = now_us // SECOND
    claims = {
        "iss": provider.client_id,
        "sub": provider.client_id,
        "aud": provider.audience or provider.issuer,
        "jti": new_id(),
        "iat": now,
        "exp": now + ASSERTION_US // SECOND,
    }
    return jwt.encode({"alg": "ES256", "kid": key.thumbprint()}, claims, key)
