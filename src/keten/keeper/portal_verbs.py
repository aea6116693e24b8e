"""What people of suppliers ask about themselves, at the portal: how they stand, their log, a contact's people.

They are told that for as long as they may sign in: also whose contract ended, since it is then that they want to know.
"""

from __future__ import annotations

from collections.abc import Callable

from keten.core.errors import Denied
from keten.identity.service import Principal
from keten.keeper.caller import Caller
from keten.keeper.own_log import OwnLog
from keten.keeper.own_people import OwnPeople
from keten.keeper.own_standing import OwnStanding
from keten.keeper.portal_protocol import AskColleagues, AskOwnLog, AskStanding, Colleagues, OwnLogPage, Standing
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.trusted import Trusted

Who = Callable[[Caller, str], tuple[Principal, str]]
"""Verifies a caller's own proof, and that a person holds an act: who it is, and from which country."""


class PortalVerbs:
    """The verbs of `PORTAL_VERBS`. Each is recorded before it is told."""

    def __init__(self, trusted: Trusted, who: Who) -> None:
        self._trusted = trusted
        self._who = who
        self._log = OwnLog(trusted)
        self._standing = OwnStanding(trusted)
        self._people = OwnPeople(trusted)

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {
            "portal.log": waiting_verb(AskOwnLog, self.log),
            "portal.standing": waiting_verb(AskStanding, self.standing),
            "portal.people": waiting_verb(AskColleagues, self.people),
        }

    async def log(self, _connection: Connection, body: AskOwnLog) -> OwnLogPage:
        """What is recorded about a person's own accesses, or its supplier's."""
        return await self._log.answer(body, *self._asking(body.caller, "portal-log"))

    async def standing(self, _connection: Connection, body: AskStanding) -> Standing:
        """How it stands with what is shared with a person."""
        return await self._standing.answer(body, *self._asking(body.caller, "portal-shares"))

    async def people(self, _connection: Connection, body: AskColleagues) -> Colleagues:
        """Who a contact's colleagues are."""
        return await self._people.answer(body, *self._asking(body.caller, "portal-people"))

    def _asking(self, caller: Caller, act: str) -> tuple[Principal, str, Callable[[], None]]:
        """Who asks, from which country, and what raises `Denied` once it may no longer be here."""
        self._trusted.clock.now()  # raises once it has jumped
        one, country = self._who(caller, act)
        return one, country, lambda: self._still(one, act)

    def _still(self, one: Principal, act: str) -> None:
        """The register changed: the session is open still, the person stands, and holds the act."""
        trusted = self._trusted
        trusted.clock.now()
        trusted.door.fresh()
        people = trusted.sign_in.people
        reasons = people.reasons_against(one.client_id, one.key, one.began_us, act) if people else ("session-ended",)
        if reasons:
            raise Denied(reasons[0], "You may not see this any more.")
