"""Kinds of entry about people who sign in. Details hold random ids and hashes only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keten.identity.entries import CHANGED, DECLARED
from keten.identity.people_model import PersonSession
from keten.identity.signin_entries import PLACE, Method
from keten.ledger.kinds import kind
from keten.ledger.model import Draft

PASSKEY_ADDED = kind("identity.passkey.added", "A person's passkey was added; from now on it signs in.", DECLARED)
PASSKEY_ENDED = kind("identity.passkey.ended", "A person's passkey was ended, for good.", CHANGED)
LINK_MADE = kind("identity.link.made", "A one-time link was made with which a person makes a passkey.", DECLARED)
LINK_USED = kind("identity.link.used", "A one-time link was used; it is of no use any more.", CHANGED)
LINK_LAPSED = kind("identity.link.lapsed", "A one-time link was taken back, unused: it is of no use any more.", CHANGED)
_ERASED = CHANGED | {
    "before": "null: it is not said any more",
    "after": "the row that is left: random ids, and that it is over",
}
PASSKEY_ERASED = kind("identity.passkey.erased", "What the register said of a passkey was erased.", _ERASED)
LINK_ERASED = kind("identity.link.erased", "What the register said of a one-time link was erased.", _ERASED)

_SESSION = {"session": "the session's public id", "face": "console or portal"}
PERSON_SIGNED_IN = kind(
    "identity.person.signed_in",
    "A person signed in with a passkey, or through the organisation's own OpenID Connect provider.",
    _SESSION
    | {
        "method": "passkey or provider",
        "passkey": 'the passkey\'s random id; "" for the provider',
        "ended": "public ids of sessions that it ended: what was open in this browser, and the oldest of too many",
    }
    | PLACE,
)
PERSON_SESSIONS_ENDED = kind(
    "identity.person.sessions_ended",
    "Sessions of a person were ended, by the person or by an operator.",
    {"sessions": "their public ids"},
)
PROVIDER_KEYS = kind(
    "identity.provider.keys_taken",
    "The OpenID Connect provider's keys were taken: the first ones since the keeper started, or other ones. Whoever "
    "signs in through it is believed by them.",
    {"issuer": "the provider", "keys": "their thumbprints (RFC 7638, SHA-256, base64url)"},
)
PERSON_ACTED = kind(
    "identity.person.acted",
    "A person confirmed an act with a fresh assertion of a passkey, before it was done.",
    {
        "verb": "what was asked of the keeper",
        "act": "SHA-256 (hex) of the verb, a zero byte, and its body",
        "passkey": "the passkey's random id",
        "session": "the session's public id",
    },
)
PERSON_REFUSED = kind(
    "identity.person.refused",
    "A sign-in, session or act of a known person was refused.",
    {
        "method": "passkey, link, person-session or provider",
        "reasons": "why, as docs/formats/reasons.md lists",
        "proven": "true when the person's own passkey, or the provider, stood behind it; false when anyone may have "
        "sent it",
        "count": "how many there were; above 1, further ones of the same person, method and reason in one minute",
        "minute": "start of that minute (RFC 3339)",
    }
    | {name: f"{meaning}, and where several were counted" for name, meaning in PLACE.items()},
)


def person_signed_in(
    session: PersonSession, supplier: str, place: Mapping[str, object], ended: Sequence[PersonSession] = ()
) -> Draft:
    """A person signed in. supplier: its random id, "" for the organisation's own; place: where from; ended: by it."""
    return Draft(
        PERSON_SIGNED_IN,
        f"person:{session.person}",
        (session.person,),
        {"supplier": supplier} if supplier else {},
        {
            "session": session.id,
            "face": session.face,
            "method": "passkey" if session.passkey else "provider",
            "passkey": session.passkey,
            **({"ended": [one.id for one in ended]} if ended else {}),
            **place,
        },
    )


def provider_keys(issuer: str, thumbprints: Sequence[str]) -> Draft:
    """The provider's keys are these from now on."""
    return Draft(PROVIDER_KEYS, "keeper", (), {}, {"issuer": issuer, "keys": sorted(thumbprints)})


def person_signed_out(person: str, sessions: Sequence[str], actor: str) -> Draft:
    """Sessions were ended on demand."""
    return Draft(PERSON_SESSIONS_ENDED, actor, (person,), {}, {"sessions": list(sessions)})


def person_acted(session: PersonSession, verb: str, act: str, passkey: str) -> Draft:
    """An act was confirmed."""
    details = {"verb": verb, "act": act, "passkey": passkey, "session": session.id}
    return Draft(PERSON_ACTED, f"person:{session.person}", (session.person,), {}, details)


def person_refused(
    person: str,
    method: Method,
    reasons: tuple[str, ...],
    minute: str,
    *,
    proven: bool,
    count: int = 1,
    place: Mapping[str, object] | None = None,
) -> Draft:
    """A known person, or someone in its name, was refused. `person` "": of people too many to count apart."""
    details = {"method": method, "reasons": list(reasons), "proven": proven, "count": count, "minute": minute}
    actor = f"person:{person}" if proven and person else "keeper"
    return Draft(PERSON_REFUSED, actor, (person,) if person else (), {}, {**details, **(place or {})})
