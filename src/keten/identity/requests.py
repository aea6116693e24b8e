"""What sign-in reads of a request, by shape: the keeper's protocol stands above this room, and its types have these."""

from __future__ import annotations

from typing import Protocol


class HttpProof(Protocol):
    """Access token and DPoP proof of one HTTPS request, and what the proof must be about."""

    @property
    def token(self) -> str:
        """The access token."""

    @property
    def dpop(self) -> str:
        """The DPoP proof."""

    @property
    def method(self) -> str:
        """The HTTP method."""

    @property
    def url(self) -> str:
        """The address asked for, as the outside calls it."""


class SessionProof(Protocol):
    """The handle of an SFTP session."""

    @property
    def session(self) -> str:
        """The session id."""


class PersonProof(Protocol):
    """A person's session, as a browser shows it."""

    @property
    def session(self) -> str:
        """The session's secret."""

    @property
    def browser(self) -> str:
        """What tells one browser from another."""


class Caller(Protocol):
    """Exactly one of these proofs."""

    @property
    def http(self) -> HttpProof | None:
        """For HTTPS."""

    @property
    def session(self) -> SessionProof | None:
        """For SFTP."""

    @property
    def person(self) -> PersonProof | None:
        """For a browser."""

    @property
    def quiet(self) -> bool:
        """Whether a page asks that refreshes itself."""


class TokenRequest(Protocol):
    """A request for a token. `issuer`, `url`: what `aud` and `htu` must be, as the gateway knows them."""

    @property
    def client_id(self) -> str:
        """The client_id parameter; empty when left out."""

    @property
    def assertion(self) -> str:
        """The client assertion."""

    @property
    def dpop(self) -> str:
        """The DPoP proof."""

    @property
    def issuer(self) -> str:
        """What `aud` must be."""

    @property
    def url(self) -> str:
        """The address asked for, as the outside calls it."""


class SshSignIn(Protocol):
    """A public key sign-in: `signed` are the bytes after the session id that `signature` covers."""

    @property
    def user(self) -> str:
        """The SSH user name: a client id."""

    @property
    def key(self) -> bytes:
        """The public key blob."""

    @property
    def session_id(self) -> bytes:
        """The exchange hash of the first key exchange."""

    @property
    def signed(self) -> bytes:
        """The request as signed."""

    @property
    def signature(self) -> bytes:
        """The signature blob."""
