"""Who asks: what a caller showed to a gateway, for the keeper to verify."""

from __future__ import annotations

import msgspec

from keten.keeper.people_protocol import PersonProof


class HttpProof(msgspec.Struct, frozen=True, gc=False):
    """What an HTTPS caller showed: access token, DPoP proof, and what the proof must be about (RFC 9449 §4.3)."""

    token: str
    dpop: str
    method: str
    url: str


class SessionProof(msgspec.Struct, frozen=True, gc=False):
    """An SFTP session that the keeper opened after verifying (or, `vouched`, being told of) its SSH signature."""

    session: str


Proof = HttpProof | SessionProof | PersonProof


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who asks: exactly one of `http`, `session` and `person`, and the peer's address as the gateway saw it.

    quiet: a page that refreshes itself asks for the person; that does not count as use of its session.
    """

    address: str
    http: HttpProof | None = None
    session: SessionProof | None = None
    direct: bool = True  # False behind a proxy: networks declared as a country then do not count
    person: PersonProof | None = None
    quiet: bool = False
