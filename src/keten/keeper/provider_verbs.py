"""Staff sign in through the organisation's own OpenID Connect provider: the console's verbs, and what operators ask."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from sqlalchemy import Connection as Reading

from keten.core.errors import Corrupt, KetenError, NotFound
from keten.identity.ceremonies import Ceremony, Of
from keten.identity.errors import Refused
from keten.identity.model import Person
from keten.identity.roles import Face
from keten.identity.rows import people as rows
from keten.keeper import provider_protocol as said
from keten.keeper.evenly import evenly
from keten.keeper.people import People, network_at
from keten.keeper.people_verbs import PeopleVerbs
from keten.keeper.provider import OpenIdProvider, unset
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.trusted import Trusted
from keten.vault import personal

log = logging.getLogger(__name__)
FACE: Face = "console"
MOST_ADDRESS = 254


class _Sealed(msgspec.Struct):
    """What of a person's sealed part is looked at."""

    email: str


class ProviderVerbs:
    """For the console's socket alone. console: its verbs about people, which know what browsers call it."""

    def __init__(self, trusted: Trusted, people: People, console: PeopleVerbs) -> None:
        self._trusted = trusted
        self._people = people
        self._console = console
        self._provider = OpenIdProvider(trusted)

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the console's socket."""
        return {
            "people.provider_begin": waiting_verb(said.ProviderBegin, self.begin),
            "people.provider_answer": waiting_verb(said.ProviderAnswer, evenly(self.answer)),
        }

    def operators(self) -> dict[str, Verb]:
        """Verb → what it does, for the operators' socket."""
        return {"people.provider": waiting_verb(said.AskProvider, self.state)}

    async def begin(self, connection: Connection, body: said.ProviderBegin) -> said.ProviderBegun:
        """Somebody is sent to the provider. Raises `Blocked`, `Busy`, `Unavailable` (`provider-…`)."""
        relying = self._console.relying_of(connection)
        if not self._provider.settings.issuer:
            raise unset()
        self._trusted.clock.now()
        of = Of(then=body.then if len(body.then) <= said.MOST_THEN else "")
        try:
            await self._provider.ready()
            begun = self._people.begin("provider", FACE, relying, body.browser, network_at(body.address), of)
            return said.ProviderBegun(await self._provider.url(begun), begun.expires_us)
        except KetenError as error:
            log.warning("sign-in through the provider: %s", error)
            raise

    async def answer(self, _connection: Connection, body: said.ProviderAnswer) -> said.ProviderOpened:
        """Somebody came back from the provider.

        1. The sign-in is used up: begun in this browser, at this face, and not over. `state` is its name.
        2. The provider said no error, and vouches for somebody: `OpenIdProvider.claims`.
        3. It is one person of the register, of the organisation itself, by the claim that the settings name.
        4. The session (`People.open`), by the rules of any other; without a passkey it confirms no dangerous act.

        How long a refusal took tells nothing of the person: of steps 1 and 2 together, and of 3 and 4 together, each
        comes after the same time. Raises `Refused` ("sign-in-failed"), whatever is wrong; `Busy`, `Unavailable`.
        """
        if not self._provider.settings.issuer:
            raise unset()
        people, network = self._people, network_at(body.address)
        with people.answering_alike(network, body.address, "provider"):
            try:
                now = self._trusted.clock.outside()
                ceremony = people.ceremonies.take(body.state, ("provider",), FACE, body.browser, now)  # 1
                claims = await self._vouched(body, ceremony)  # 2
            except KetenError as error:
                _log(error)
                raise
        opened: said.ProviderOpened = await evenly(self._open)(ceremony, (claims, body.address))  # 3, 4
        return opened

    async def _vouched(self, body: said.ProviderAnswer, ceremony: Ceremony) -> dict[str, Any]:
        """Step 2 of `answer`."""
        if body.error or not body.code or len(body.code) > said.MOST_CODE:
            raise Refused("sign-in-failed", "it came back with an error, or without a code", cause="provider-said-no")
        return await self._provider.claims(body.code, body.issuer, ceremony)

    async def _open(self, ceremony: Ceremony, vouched: tuple[dict[str, Any], str]) -> said.ProviderOpened:
        claims, address = vouched
        people = self._people
        with people.answering_alike(ceremony.network, address, "provider"):
            try:
                person = await self._person(claims)  # 3
                opened = await people.open(person.id, FACE, ceremony, address, lambda _writing: "")  # 4
            except KetenError as error:
                _log(error)
                raise
            return said.ProviderOpened(opened, ceremony.of.then)

    async def _person(self, claims: dict[str, Any]) -> Person:
        """The one person whom the claim names. Raises `Refused` with the cause; nobody is made by signing in."""
        provider = self._provider.settings
        value = claims.get(provider.claim)
        if not isinstance(value, str) or not value or len(value) > MOST_ADDRESS or not value.isascii():
            raise _nobody("claim-missing")
        if provider.match == "email" and claims.get("email_verified") is not True and not provider.trust_email:
            raise _nobody("email-unverified")
        self._trusted.door.fresh()
        find = _by_email if provider.match == "email" else _by_name
        try:
            found = await asyncio.to_thread(self._people.reading, lambda reading: find(reading, self._trusted, value))
        except Corrupt as error:
            log.critical("sign-in through the provider: %s", error)
            raise _nobody("register-mismatch") from error
        standing = [person for person in found if person.ended is None] or found
        if not standing:
            raise _nobody("person-unknown")
        if len(standing) > 1:
            raise _nobody("claim-ambiguous")
        return standing[0]

    async def state(self, _connection: Connection, _body: said.AskProvider) -> said.ProviderState:
        """How it is set up, and what is wrong."""
        provider = self._provider.settings
        if not provider.issuer:
            return said.ProviderState("", "", (), "", ())
        redirects = tuple(f"{origin}{said.REDIRECT_PATH}" for origin in self._console.origins())
        problems = await self._provider.problems()
        return said.ProviderState(
            provider.issuer, provider.client_id, redirects, self._provider.public_keys(), problems
        )

    async def close(self) -> None:
        """End the connection to the worker."""
        await self._provider.close()


def _by_name(reading: Reading, _trusted: Trusted, value: str) -> list[Person]:
    """People of the organisation itself of this name in the estate file."""
    return [row for row in rows.find(reading, supplier="") if row.name == value and not row.erased]


def _by_email(reading: Reading, trusted: Trusted, value: str) -> list[Person]:
    """People of the organisation itself with this address; each one's is looked at, whoever is meant."""
    found: list[Person] = []
    wanted = value.lower()
    for row in rows.find(reading, supplier=""):
        if not row.sealed or row.erased:
            continue
        try:
            plain = personal.open_for(reading, trusted.keys, row.id, row.sealed)
            email = msgspec.json.decode(plain, type=_Sealed).email
        except NotFound:  # erased meanwhile
            continue
        except msgspec.MsgspecError as error:
            raise Corrupt("personal-damaged", "Stored personal data is damaged.", f"person {row.id}") from error
        if email.lower() == wanted:
            found.append(row)
    return found


def _nobody(cause: str) -> Refused:
    return Refused("sign-in-failed", cause, cause=cause)


def _log(error: KetenError) -> None:
    """Why, for whoever runs the machine: strangers are counted only in the ledger. Nothing of a person is in it."""
    cause = error.cause if isinstance(error, Refused) else error.code
    log.warning("sign-in through the provider refused: %s: %s", cause, error.reason)
