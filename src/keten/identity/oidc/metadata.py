"""What a provider says of itself (OpenID Connect Discovery 1.0 §3, RFC 8414), read strictly."""

from __future__ import annotations

from typing import Any

import msgspec

from keten.core.errors import Unavailable
from keten.core.provider import is_address
from keten.identity.errors import Refused
from keten.identity.jws import strict_object

WELL_KNOWN = "/.well-known/openid-configuration"
METHODS = ("private_key_jwt", "client_secret_basic", "client_secret_post")


class Metadata(msgspec.Struct, frozen=True):
    """What is used of it. says_issuer: its answers say who gives them (RFC 9207). s256: it takes PKCE's S256.

    methods: how it lets clients prove themselves; algorithms: what it signs ID tokens with.
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    methods: tuple[str, ...]
    algorithms: tuple[str, ...]
    says_issuer: bool
    s256: bool


def address_of(issuer: str) -> str:
    """Where the metadata of an issuer is (§4.1)."""
    return issuer.rstrip("/") + WELL_KNOWN


def read_metadata(raw: bytes, issuer: str) -> Metadata:
    """The metadata of `issuer`.

    1. One strict JSON object.
    2. Its `issuer` is, letter by letter, the one that was asked for (§4.3): else one provider speaks for another.
    3. The three addresses that are used are HTTPS, where the issuer is.

    Raises `Unavailable` ("provider-wrong").
    """
    found = object_of(raw, "metadata")  # 1
    if found.get("issuer") != issuer:  # 2
        raise wrong(f"it calls itself {str(found.get('issuer'))[:200]!r}, and the settings say {issuer!r}")
    ends = {name: found.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    for name, value in ends.items():  # 3
        if not isinstance(value, str) or not is_address(value.partition("?")[0]) or not _as_safe(value, issuer):
            raise wrong(f"its {name} is no HTTPS address")
    return Metadata(
        str(ends["authorization_endpoint"]),
        str(ends["token_endpoint"]),
        str(ends["jwks_uri"]),
        # What is left out has a default of its own: RFC 8414 §2, Discovery §3.
        _texts(found, "token_endpoint_auth_methods_supported") or ("client_secret_basic",),
        _texts(found, "id_token_signing_alg_values_supported"),
        found.get("authorization_response_iss_parameter_supported") is True,
        "S256" in _texts(found, "code_challenge_methods_supported"),
    )


def object_of(raw: bytes, what: str) -> dict[str, Any]:
    """A strict JSON object that a provider said. Raises `Unavailable` ("provider-wrong")."""
    try:
        return strict_object(raw, what)
    except Refused as error:
        raise wrong(error.reason) from error


def wrong(reason: str) -> Unavailable:
    """The provider says what it may not: nobody signs in there until somebody has looked."""
    public = "The organisation's sign-in service answers what it may not; whoever runs this system has to look at it."
    return Unavailable("provider-wrong", public, reason[:300])


def _as_safe(value: str, issuer: str) -> bool:
    plain = value.isascii() and value.isprintable() and "#" not in value and " " not in value and len(value) <= 2000
    return plain and (value.startswith("https:") or issuer.startswith("http:"))


def _texts(found: dict[str, Any], name: str) -> tuple[str, ...]:
    value = found.get(name)
    return tuple(one for one in value if isinstance(one, str))[:100] if isinstance(value, list) else ()
