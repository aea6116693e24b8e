"""What is said about rights that somebody has to confirm (see `suppliers/recertifying.py`)."""

from __future__ import annotations

import msgspec

MOST_RIGHTS = 200
MOST_CONFIRMED = 100


class AskUnconfirmed(msgspec.Struct, frozen=True):
    """Grants and roles that have to be confirmed within so many days, or were not.

    owner: only grants of datasets of this person (random id); "": all of them, and people's roles.
    """

    owner: str = ""
    soon_days: int = 30


class Unconfirmed(msgspec.Struct, frozen=True):
    """A right that waits. kind: "grant" or "person". Names are the register's, "" where there is none.

    until: the moment (RFC 3339) from which it does not count; lapsed: that is over. by: who may confirm it, where that
    is one person. used: when it was last used (RFC 3339), "" for never. roles: of a person.
    """

    kind: str
    id: str
    name: str
    until: str
    lapsed: bool
    every_days: int
    supplier: str = ""
    dataset: str = ""
    purpose: str = ""
    by: str = ""
    used: str = ""
    roles: tuple[str, ...] = ()


class Unconfirmeds(msgspec.Struct, frozen=True):
    """The nearest first. cut: there are more. broken: rows that are not what the ledger says, which are left out."""

    rights: tuple[Unconfirmed, ...]
    cut: bool = False
    broken: int = 0


class ConfirmGrants(msgspec.Struct, frozen=True):
    """These grants (names or random ids) are still needed. All of them, or none."""

    grants: tuple[str, ...]


class ConfirmRoles(msgspec.Struct, frozen=True):
    """The roles of these people (names or random ids) are still needed. All of them, or none."""

    people: tuple[str, ...]


class RightsConfirmed(msgspec.Struct, frozen=True):
    """What was asked for → the entry that says that it was confirmed."""

    entries: dict[str, str]


class EndGrant(msgspec.Struct, frozen=True):
    """This grant (name or random id) is not needed any more: its access ends now, for good."""

    grant: str
    reason: str


RIGHTS_VERBS: dict[str, tuple[type, type]] = {
    "rights.unconfirmed": (AskUnconfirmed, Unconfirmeds),
    "rights.confirm_grants": (ConfirmGrants, RightsConfirmed),
    "rights.confirm_roles": (ConfirmRoles, RightsConfirmed),
}
"""`rights.end` is of `keeper.protocol`, whose answer to ending it shares."""
