"""What the console says when staff sign in through the organisation's own OpenID Connect provider; operators ask of it.

The console holds nothing: the keeper makes the request, has the code exchanged, verifies the ID token and opens the
session. What is here is on the console's socket alone: people of suppliers have passkeys only.
"""

from __future__ import annotations

import msgspec

from keten.keeper.people_protocol import SessionOpened

REDIRECT_PATH = "/sign-in/answer"
"""Below the console's origin: the redirect URI, which the provider compares letter by letter."""
MOST_CODE = 4096
MOST_THEN = 200


class ProviderBegin(msgspec.Struct, frozen=True):
    """Somebody of the staff wants to sign in there. then: the page to go to afterwards, as the console names it."""

    address: str
    browser: str
    then: str = ""


class ProviderBegun(msgspec.Struct, frozen=True):
    """Where the browser is to be sent. url: at the provider. expires_us: until when it may come back."""

    url: str
    expires_us: int


class ProviderAnswer(msgspec.Struct, frozen=True):
    """What the browser came back with (RFC 6749 §4.1.2): `state`, `code` or `error`, `iss` (RFC 9207); "": nothing."""

    state: str
    code: str
    issuer: str
    error: str
    address: str
    browser: str


class ProviderOpened(msgspec.Struct, frozen=True):
    """The new session, and the page where one wanted to go."""

    opened: SessionOpened
    then: str


class AskProvider(msgspec.Struct, frozen=True):
    """Operators ask: is it well set up? It is asked anew, by the worker."""


class ProviderState(msgspec.Struct, frozen=True):
    """What the provider has to be given, and what is wrong. issuer "": none is set up.

    redirect_uris: one for each address that a console has said is its own since the keeper started. keys: Keten's JWK
    Set as JSON, "" where a client secret is used. problems: in words.
    """

    issuer: str
    client_id: str
    redirect_uris: tuple[str, ...]
    keys: str
    problems: tuple[str, ...]


PROVIDER_FACE_VERBS: dict[str, tuple[type, type]] = {
    "people.provider_begin": (ProviderBegin, ProviderBegun),
    "people.provider_answer": (ProviderAnswer, ProviderOpened),
}
PROVIDER_VERBS: dict[str, tuple[type, type]] = {"people.provider": (AskProvider, ProviderState)}
