"""Where staff sign in outside of Keten: `[oidc]` of `keten.toml`, the organisation's own OpenID Connect provider."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from keten.core.errors import Invalid

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""What an ID token may be signed with at all: by a key of which Keten has the public half only."""
MOST_NAME = 60
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_CLAIM = re.compile(r"[A-Za-z0-9_.:/-]{1,100}\Z")
_VALUE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}\Z")  # one of a list that spaces divide (RFC 6749 §3.3)


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The organisation's own OpenID Connect provider; issuer "": none, staff sign in with passkeys.

    issuer: its issuer identifier, letter by letter. client_id: what it calls Keten. name: what the sign-in page calls
    it. secret_file: a client secret, in a file that the keeper's user alone may read; "": Keten proves itself with a
    key of its own (`private_key_jwt`). audience: what that proof is addressed to; "": the issuer. claim, match: which
    claim of the ID token says who it is, and what of the register it must equal: the e-mail address, or the name in the
    estate file. trust_email: the provider's addresses count though it does not say that it verified them. acr: one of
    these must be said; amr: all of these. max_age: how long ago one may have signed in there; "": any time. algorithms:
    what an ID token may be signed with. keys_file: a JWK Set with the provider's keys, which are then never fetched.
    ca: PEM that the provider's certificate is checked against, "" for the machine's authorities. only: staff sign in
    there and not with a passkey. Files are named from the instance's folder.
    """

    issuer: str = ""
    client_id: str = ""
    name: str = ""
    secret_file: str = ""
    audience: str = ""
    claim: str = "email"
    match: Literal["email", "name"] = "email"
    trust_email: bool = False
    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    max_age: str = "12h"
    algorithms: tuple[str, ...] = ALGORITHMS
    keys_file: str = ""
    ca: str = ""
    only: bool = False


def check_provider(provider: Provider, path: str, duration: Callable[[str], int]) -> None:
    """Raises `Invalid` ("settings") for what can't be meant; `path` begins the sentence. duration: reads one."""
    wrong = _wrong(provider, duration) if provider.issuer else _alone(provider)
    if wrong:
        raise Invalid("settings", f"{path}: [oidc] {wrong}.")


def _alone(provider: Provider) -> str:
    return "" if provider == Provider() else "issuer is missing"


def _wrong(provider: Provider, duration: Callable[[str], int]) -> str:
    if not is_address(provider.issuer):
        return f"issuer: {provider.issuer!r} is not an address such as https://login.example.org"
    if not provider.client_id.isascii() or not provider.client_id.isprintable() or not provider.client_id:
        return "client_id is missing: what the provider calls Keten"
    if len(provider.name) > MOST_NAME or not provider.name.isprintable():
        return f"name has at most {MOST_NAME} characters"
    return _wrong_claim(provider) or _wrong_strength(provider, duration)


def _wrong_claim(provider: Provider) -> str:
    if not _CLAIM.match(provider.claim):
        return f"claim: {provider.claim!r} is not the name of a claim"
    if provider.match == "email" and provider.claim != "email":
        return "match 'email' goes with claim 'email', which alone a provider verifies; other claims match the 'name'"
    if provider.trust_email and provider.match != "email":
        return "trust_email goes with match 'email'"
    return ""


def _wrong_strength(provider: Provider, duration: Callable[[str], int]) -> str:
    if any(not _VALUE.match(each) for each in (*provider.acr, *provider.amr)):
        return "acr and amr are lists of values without spaces"
    unknown = set(provider.algorithms) - set(ALGORITHMS)
    if unknown or not provider.algorithms:
        return f"algorithms are some of {', '.join(ALGORITHMS)}"
    try:
        duration(provider.max_age or "1s")
    except ValueError as error:
        return f"max_age: {error}"
    return ""


def is_address(text: str) -> bool:
    """Whether it is an HTTPS address without user, question and fragment; HTTP at this machine alone, to try it out."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and not set(text) & set(' "<>\\') and len(text) <= 1000
    known = url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK)
    whole = bool(url.hostname) and "@" not in url.netloc and port != 0
    return plain and known and whole and not (url.query or url.fragment or "?" in text or "#" in text)
