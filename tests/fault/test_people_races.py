"""Two things at once about one person's passkeys: what was true when it was asked must be true when it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from keten.core.errors import KetenError
from keten.identity import passkeys
from keten.keeper import people_protocol as people
from keten.keeper import protocol as said
from tests.authenticator import Authenticator
from tests.fault.keeper_inside import Inside, Peer, run
from tests.town import Town

ORIGIN, BROWSER, ADDRESS = "http://localhost:8085", "a" * 64, "192.0.2.7"
PERSON = "officer"
_PEOPLE = "\nsuppliers:"
WITH_OFFICER = (_PEOPLE, f"\n  - {{id: {PERSON}, email: o@example.org, roles: [security-officer]}}{_PEOPLE}")


class Officer:
    """Somebody of the organisation, signed in at the console with one passkey."""

    def __init__(self, inside: Inside, console: Peer, person: str) -> None:
        self.inside = inside
        self.console = console
        self.person = person
        self.session = ""

    @property
    def proof(self) -> people.PersonProof:
        return people.PersonProof(self.session, BROWSER)

    async def enrol(self) -> None:
        await self.console.ask("people.origin", people.Origin(ORIGIN))
        invited = await self.inside.operator.ask("people.invite", people.Invite(PERSON))
        begun = await self.console.ask("people.enrol_begin", people.EnrolBegin(invited.token, ADDRESS, BROWSER))
        opened = await self.console.ask(
            "people.enrol", finished(begun.ceremony, Authenticator(ORIGIN).create(begun.ceremony.options))
        )
        self.session = opened.session

    async def made(self) -> people.Finished:
        """One more passkey, made and not said yet."""
        begun = await self.console.ask("people.add_key_begin", people.AddKeyBegin(self.proof))
        return finished(begun, Authenticator(ORIGIN).create(begun.options))

    async def add(self) -> None:
        await self.console.ask("people.add_key", await self.made())

    def held(self) -> list[str]:
        with self.inside.trusted.reader.connect() as reading:
            return [one.id for one in passkeys.of_person(reading, self.person)]


def finished(begun: people.Ceremony, response: str, browser: str = BROWSER) -> people.Finished:
    return people.Finished(begun.id, response, ADDRESS, browser)


def with_officer(stopped: Town, tmp_path: Path, testing: Callable[[Inside, Officer], Awaitable[None]]) -> None:
    async def inside_keeper(inside: Inside) -> None:
        applied: said.Applied = await inside.apply(instead=WITH_OFFICER)
        officer = Officer(inside, await inside.console(), applied.ids["person"][PERSON])
        await officer.enrol()
        await testing(inside, officer)

    run(stopped, tmp_path, inside_keeper)


async def at_once(inside: Inside, *asked: Callable[[], Awaitable[Any]]) -> list[str]:
    """Ask all of it before any of it is done, each queued behind the one before; "done" or the refusal's code."""
    under_way: list[asyncio.Future[Any]] = []
    async with inside.held():
        before = inside.trusted.writer.waiting
        for each in asked:
            under_way.append(asyncio.ensure_future(each()))
            await inside.queued(before + len(under_way))
    answers = []
    for one in under_way:
        try:
            await one
            answers.append("done")
        except KetenError as error:
            answers.append(error.code)
    return answers


def test_two_keys_of_two_are_not_ended_both(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, officer: Officer) -> None:
        await officer.add()
        keys = officer.held()
        own = await officer.console.ask("people.own", people.OwnKeys(officer.proof))
        (other,) = [key for key in keys if key != _of(inside, officer)]
        assert {line.id for line in own.keys} == set(keys)
        ends = [
            lambda key=key: officer.console.ask("people.end_key", people.EndKey(officer.proof, key))
            for key in (other, _of(inside, officer))
        ]
        assert await at_once(inside, *ends) == ["done", "last-key"]
        assert len(officer.held()) == 1

    with_officer(stopped, tmp_path, testing)


def test_two_additions_do_not_make_more_keys_than_there_may_be(
    stopped: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def testing(inside: Inside, officer: Officer) -> None:
        monkeypatch.setattr(passkeys, "MAX_KEYS", 2)
        one, other = await officer.made(), await officer.made()
        added = [lambda made=made: officer.console.ask("people.add_key", made) for made in (one, other)]
        assert await at_once(inside, *added) == ["done", "too-many-passkeys"]
        assert len(officer.held()) == 2

    with_officer(stopped, tmp_path, testing)


def test_a_session_that_ends_first_adds_no_key(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, officer: Officer) -> None:
        made = await officer.made()
        answers = await at_once(
            inside,
            lambda: inside.operator.ask("people.sign_out_all", people.OfPerson(PERSON)),
            lambda: officer.console.ask("people.add_key", made),
        )
        assert answers == ["done", "session-ended"]
        assert len(officer.held()) == 1

    with_officer(stopped, tmp_path, testing)


def test_a_key_that_ends_first_adds_no_key_and_ends_none(stopped: Town, tmp_path: Path) -> None:
    """Whoever has a stolen session of the key that is being ended must not get another one out of it."""

    async def testing(inside: Inside, officer: Officer) -> None:
        await officer.add()
        await officer.add()
        own = _of(inside, officer)
        other = next(key for key in officer.held() if key != own)
        made = await officer.made()
        answers = await at_once(
            inside,
            lambda: officer.console.ask("people.end_key", people.EndKey(officer.proof, own)),
            lambda: officer.console.ask("people.add_key", made),
            lambda: officer.console.ask("people.end_key", people.EndKey(officer.proof, other)),
        )
        assert answers == ["done", "session-ended", "session-ended"]
        assert len(officer.held()) == 2

    with_officer(stopped, tmp_path, testing)


def test_a_person_that_ends_first_gets_no_key(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, officer: Officer) -> None:
        made = await officer.made()
        answers = await at_once(
            inside,
            lambda: inside.revoke("person", PERSON),
            lambda: officer.console.ask("people.add_key", made),
        )
        assert answers == ["done", "session-ended"]
        assert len(officer.held()) == 1

    with_officer(stopped, tmp_path, testing)


def _of(inside: Inside, officer: Officer) -> str:
    """The passkey that the officer signed in with."""
    (session,) = inside.people.sessions.of_person(officer.person)
    return session.passkey
