"""What is said at `/api` as JSON, where that is not what the keeper itself is told."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from keten.keeper.people_protocol import PersonView
from keten.suppliers.estate import Estate

Word = Annotated[str, Meta(max_length=200)]


class Ceremony(msgspec.Struct, frozen=True):
    """What a passkey has to sign. options: as of WebAuthn (`PublicKeyCredentialRequestOptionsJSON`).

    expires_us: until when it may be finished, in microseconds since 1970 UTC.
    """

    ceremony: str
    options: dict[str, Any]
    expires_us: int


class SignIn(msgspec.Struct, frozen=True):
    """What a passkey has to sign to sign in. mark: goes along when it is finished; the session is bound to it."""

    mark: str
    ceremony: str
    options: dict[str, Any]
    expires_us: int


class Passkey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a passkey signed: of which ceremony, and the response (`AuthenticationResponseJSON` of WebAuthn)."""

    ceremony: Word
    response: dict[str, Any]


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Finish to sign in."""

    mark: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{22}$")]
    passkey: Passkey


class SignedIn(msgspec.Struct, frozen=True):
    """The session. token: for `Authorization: Bearer`; it is kept nowhere. expires_us: when it ends at the latest."""

    token: str
    expires_us: int
    person: PersonView


class StepUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which operation is to be confirmed: its verb, and the very `act` that it will be sent."""

    verb: Word
    act: dict[str, Any]


class ApplyEstate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make the register match an estate, or (`plan_only`) show what would change.

    base: as of when the register was when that was shown (`Applied.base`); refused when it changed since.
    """

    estate: Estate
    plan_only: bool = False
    base: int = 0


def confirmed(verb: str, act: type) -> type[msgspec.Struct]:
    """What is sent to an operation: the act, and a passkey's signature for it where it takes one."""
    name = "".join(part.capitalize() for part in verb.replace("_", ".").split(".")) + "Asked"
    fields: list[tuple[str, Any, Any]] = [("act", act, msgspec.NODEFAULT), ("passkey", Passkey | None, None)]
    return msgspec.defstruct(name, fields, frozen=True, forbid_unknown_fields=True, module=__name__)
