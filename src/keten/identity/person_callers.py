"""People of suppliers as callers, by shape: who knows their sessions stands above this room."""

from __future__ import annotations

from typing import Protocol

import msgspec

from keten.core.errors import Denied
from keten.identity.requests import PersonProof

VIA = "portal"
"""The channel of what a person asks in a browser."""


class SignedInPerson(msgspec.Struct, frozen=True, gc=False):
    """A person of a supplier whose session holds. session: its public id. until_us: when it is over at the latest."""

    person: str
    supplier: str
    session: str
    began_us: int
    until_us: int


class PersonCallers(Protocol):
    """Knows who is signed in at the portal."""

    def check(self, proof: PersonProof, act: str, *, quiet: bool = False) -> SignedInPerson:
        """Whose session this is, who may do this (`roles.ACTS`). Raises `Refused`, recorded; `Unavailable`.

        quiet: a page asks that refreshes itself, which does not count as use of the session.
        """

    def reasons_against(self, person: str, session: str, began_us: int, act: str = "") -> tuple[str, ...]:
        """Why what was begun in the session with this public id may not go on; empty when it may.

        act: what the person must still hold; "": nothing in particular.
        """

    def refused(self, error: Denied, address: str) -> None:
        """Record or count that a person whose session holds was refused for another reason."""
