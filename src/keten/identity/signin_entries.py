"""Kinds of entry about signing in: who did, who was refused, and how many strangers were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from keten.ledger.kinds import kind
from keten.ledger.model import Draft

Method = Literal["private_key_jwt", "ssh", "token", "session", "passkey", "link", "person-session", "provider"]
PLACE = {
    "network": "pseudonym of the caller's network (its /24 or /48); absent when it is not known",
    "listed": "true when it is on the organisation's list of bad networks; else absent",
}

SIGNED_IN = kind(
    "identity.client.signed_in",
    "A client proved with its key who it is, and got an access token or a session.",
    {
        "method": "private_key_jwt (HTTPS) or ssh (SFTP)",
        "key": "fingerprint of the client's key that signed",
        "vouched": "true when the keeper had to believe the gateway about the signature",
        "session": "SHA-256 (hex) of what counted once: the assertion's jti, or the SSH session id",
        "serial": "random, also in everything that is done with the token or session",
    }
    | PLACE,
)

CLIENT_REFUSED = kind(
    "identity.client.refused",
    "A sign-in, token or proof in the name of a known client was refused.",
    {
        "method": "private_key_jwt, ssh, token or session",
        "reasons": "why, as docs/formats/reasons.md lists",
        "proven": "true when the client's own key stood behind the request; false when anyone may have sent it",
        "count": "how many there were; above 1, further ones of the same client, method and reason in one minute",
        "minute": "start of that minute (RFC 3339)",
    }
    | {name: f"{meaning}, and where several were counted" for name, meaning in PLACE.items()},
)

STRANGERS_REFUSED = kind(
    "identity.strangers.refused",
    "Requests in the name of no known client were refused: one entry per network and minute.",
    {
        "network": 'the /24 (IPv4) or /48 (IPv6) they came from; "other" beyond the networks counted apart; '
        '"unknown" without a usable address',
        "pseudonym": "of that network, as `network` in entries of clients; absent where it is none",
        "minute": "start of the minute (RFC 3339)",
        "count": "how many",
    },
)


def signed_in(
    client_id: str,
    supplier: str,
    method: Method,
    key: str,
    session: bytes,
    serial: str,
    place: Mapping[str, object],
    *,
    vouched: bool = False,
) -> Draft:
    """A client signed in. `key`: fingerprint; `session`: hash of what counted once; `place`: where from."""
    return Draft(
        SIGNED_IN,
        client_id,
        (client_id,),
        {"supplier": supplier} if supplier else {},
        {"method": method, "key": key, "vouched": vouched, "session": session.hex(), "serial": serial, **place},
    )


def client_refused(
    client_id: str,
    method: Method,
    reasons: tuple[str, ...],
    minute: str,
    *,
    proven: bool,
    count: int = 1,
    place: Mapping[str, object] | None = None,
) -> Draft:
    """A known client, or someone in its name, was refused. `client_id` "": of clients too many to count apart."""
    details = {"method": method, "reasons": list(reasons), "proven": proven, "count": count, "minute": minute}
    return Draft(
        CLIENT_REFUSED,
        client_id if proven and client_id else "keeper",
        (client_id,) if client_id else (),
        {},
        {**details, **(place or {})},
    )


def strangers_refused(network: str, minute: str, count: int, pseudonym: str = "") -> Draft:
    """Strangers were refused."""
    details: dict[str, object] = {"network": network, "minute": minute, "count": count}
    if pseudonym:
        details["pseudonym"] = pseudonym
    return Draft(STRANGERS_REFUSED, "keeper", (), {}, details)
