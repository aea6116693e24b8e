"""People of suppliers as callers of the one door: their sessions at the portal, as the door asks about them."""

from __future__ import annotations

from keten.core.errors import Denied
from keten.identity.errors import Refused
from keten.identity.person_callers import SignedInPerson
from keten.identity.requests import PersonProof
from keten.identity.roles import may
from keten.keeper import people_protocol as said
from keten.keeper.people import People


class PortalCallers:
    """Knows who is signed in at the portal (`identity/person_callers.py`)."""

    def __init__(self, people: People) -> None:
        self._people = people

    def check(self, proof: PersonProof, act: str, *, quiet: bool = False) -> SignedInPerson:
        """The person whose session this is, who may do this. Raises as `People.require`, which records it."""
        found = self._people.require("portal", said.PersonProof(proof.session, proof.browser), act, quiet=quiet)
        session = found.session
        return SignedInPerson(
            found.person.id, found.person.supplier, session.id, session.began_us, session.expires_us
        )

    def reasons_against(self, person: str, session: str, began_us: int, act: str = "") -> tuple[str, ...]:
        """Why what was begun in a session may not go on; empty when it may.

        1. The session is open still: it is not signed out, and its passkey has not ended.
        2. The person stands, and a role of it holds the act where there is one.
        """
        if not any(one.id == session and one.face == "portal" for one in self._people.sessions.of_person(person)):  # 1
            return ("session-ended",)
        try:
            found = self._people.standing(person, "portal", began_us)  # 2
        except Refused as error:
            return (error.cause,)
        if act and not may(self._people.roles(found), act):
            return ("not-allowed",)
        return ()

    def refused(self, error: Denied, address: str) -> None:
        """Record or count that a person whose session holds was refused for another reason."""
        self._people.refused(error, address, "person-session")
