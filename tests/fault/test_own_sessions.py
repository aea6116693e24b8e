"""One's own sessions and passkeys: a browser has one session, others are ended at once, and neither by a stale one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from keten.core.errors import KetenError
from keten.identity import links, passkeys, people_tables
from keten.identity.errors import Refused
from keten.identity.person_sessions import MAX_OF_PERSON
from keten.keeper import people_protocol as people
from keten.keeper import people_verbs
from keten.keeper import protocol as said
from keten.ledger.writing import Writing
from tests.authenticator import Authenticator
from tests.fault.keeper_inside import Inside, Peer, run, until
from tests.fault.test_people_races import ADDRESS, ORIGIN, finished
from tests.town import Town

_PEOPLE = "\nsuppliers:"
NAMES = ("officer", "reader")
WITH_BOTH = (
    _PEOPLE,
    "".join(f"\n  - {{id: {name}, email: {name}@example.org, roles: [auditor]}}" for name in NAMES) + _PEOPLE,
)


class Someone:
    """Somebody with one passkey, who signs in in several browsers."""

    def __init__(self, inside: Inside, console: Peer, person: str) -> None:
        self.inside = inside
        self.console = console
        self.person = person
        self.key = Authenticator(ORIGIN)

    async def enrol(self, name: str, browser: str) -> people.PersonProof:
        invited = await self.inside.operator.ask("people.invite", people.Invite(name))
        begun = await self.console.ask("people.enrol_begin", people.EnrolBegin(invited.token, ADDRESS, browser))
        made = finished(begun.ceremony, self.key.create(begun.ceremony.options), browser)
        return people.PersonProof((await self.console.ask("people.enrol", made)).session, browser)

    async def sign_in(self, browser: str) -> people.PersonProof:
        begun = await self.console.ask("people.sign_in_begin", people.SignInBegin(ADDRESS, browser))
        shown = finished(begun, self.key.get(begun.options), browser)
        return people.PersonProof((await self.console.ask("people.sign_in", shown)).session, browser)

    async def add_key(self, proof: people.PersonProof) -> None:
        begun = await self.console.ask("people.add_key_begin", people.AddKeyBegin(proof))
        made = finished(begun, Authenticator(ORIGIN).create(begun.options), proof.browser)
        await self.console.ask("people.add_key", made)

    async def may(self, proof: people.PersonProof) -> str:
        return await code_of(self.console.ask("people.authorise", people.Authorise(proof, "")))

    def held(self) -> list[str]:
        with self.inside.trusted.reader.connect() as reading:
            return [one.id for one in passkeys.of_person(reading, self.person)]

    def public(self) -> set[str]:
        """The public ids of what is open."""
        return {one.id for one in self.inside.people.sessions.of_person(self.person)}


def details(inside: Inside, kind: str) -> list[dict[str, Any]]:
    """What the entries of a kind say, oldest first."""
    payloads = [one.payload for one in inside.entries(kind)]
    return [one.details for one in payloads if one is not None]


async def code_of(asked: Awaitable[object]) -> str:
    try:
        await asked
    except KetenError as error:
        return error.code
    return "done"


def with_two(stopped: Town, tmp_path: Path, testing: Callable[[Inside, Someone, Someone], Awaitable[None]]) -> None:
    async def inside_keeper(inside: Inside) -> None:
        applied: said.Applied = await inside.apply(instead=WITH_BOTH)
        console = await inside.console()
        await console.ask("people.origin", people.Origin(ORIGIN))
        officer, reader = (Someone(inside, console, applied.ids["person"][name]) for name in NAMES)
        await testing(inside, officer, reader)

    run(stopped, tmp_path, inside_keeper)


def browser() -> str:
    return token_hex(32)


def test_signing_in_again_ends_what_was_open_in_that_browser_whoevers_it_was(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, officer: Someone, reader: Someone) -> None:
        here, elsewhere = browser(), browser()
        first = await officer.enrol("officer", here)
        other = await officer.sign_in(elsewhere)
        before = officer.public()
        again = await officer.sign_in(here)
        assert again.session != first.session
        assert [await officer.may(one) for one in (first, again, other)] == ["session-ended", "done", "done"]
        (ended,) = before - officer.public()
        assert details(inside, "identity.person.signed_in")[-1]["ended"] == [ended]
        theirs = await reader.enrol("reader", here)
        assert [await officer.may(one) for one in (again, other)] == ["session-ended", "done"]
        assert await reader.may(theirs) == "done"

    with_two(stopped, tmp_path, testing)


def test_the_oldest_of_too_many_ends(stopped: Town, tmp_path: Path) -> None:
    async def testing(_inside: Inside, officer: Someone, _reader: Someone) -> None:
        first = await officer.enrol("officer", browser())
        second = await officer.sign_in(browser())
        for _each in range(MAX_OF_PERSON - 1):
            await officer.sign_in(browser())
        assert len(officer.public()) == MAX_OF_PERSON
        assert [await officer.may(one) for one in (first, second)] == ["session-ended", "done"]

    with_two(stopped, tmp_path, testing)


def test_signed_out_is_out_and_others_are_ended_together(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, officer: Someone, reader: Someone) -> None:
        this = await officer.enrol("officer", browser())
        others = [await officer.sign_in(browser()) for _each in range(3)]
        theirs = await reader.enrol("reader", browser())
        await officer.console.ask("people.sign_out", people.SignOut(others[0]))
        assert await officer.may(others[0]) == "session-ended"
        await officer.console.ask("people.sign_out", people.SignOut(this, others=True))
        assert [await officer.may(one) for one in (this, *others[1:])] == ["done", "session-ended", "session-ended"]
        assert await reader.may(theirs) == "done"
        ended = details(inside, "identity.person.sessions_ended")
        assert [len(one["sessions"]) for one in ended] == [1, 2]
        await officer.console.ask("people.sign_out", people.SignOut(this, others=True))
        assert details(inside, "identity.person.sessions_ended") == ended, "there were none: nothing to record"
        await officer.console.ask("people.sign_out", people.SignOut(this))
        assert await officer.may(this) == "session-ended"

    with_two(stopped, tmp_path, testing)


def test_a_session_that_was_left_open_changes_no_passkey_and_ends_no_other_session(
    stopped: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def testing(inside: Inside, officer: Someone, _reader: Someone) -> None:
        this = await officer.enrol("officer", browser())
        other = await officer.sign_in(browser())
        await officer.add_key(this)
        keys, sessions = officer.held(), officer.public()
        (theirs,) = {one.id for one in inside.people.sessions.of_person(officer.person) if one.browser != this.browser}
        monkeypatch.setattr(people_verbs, "RECENT_US", -1)  # whatever was shown is too old
        for verb, body in (
            ("people.add_key_begin", people.AddKeyBegin(this)),
            *(("people.end_key", people.EndKey(this, key)) for key in keys),
            ("people.sign_out", people.SignOut(this, theirs)),
            ("people.sign_out", people.SignOut(this, others=True)),
        ):
            assert await code_of(officer.console.ask(verb, body)) == "step-up"
        assert (officer.held(), officer.public()) == (keys, sessions)
        assert await officer.may(other) == "done"
        await until(lambda: len(details(inside, "identity.person.refused")) == 3 + len(keys))
        refused = details(inside, "identity.person.refused")
        assert {reason for one in refused for reason in one["reasons"]} == {"step-up"}
        await officer.console.ask("people.sign_out", people.SignOut(this))  # its own it ends at any time
        monkeypatch.undo()
        await officer.console.ask("people.end_key", people.EndKey(other, keys[1]))
        assert officer.held() == keys[:1]

    with_two(stopped, tmp_path, testing)


def test_a_passkey_that_somebody_changed_in_the_database_signs_nobody_in(
    stopped: Town, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever can write there puts a key of his own into somebody's row: the row is not as the ledger has it."""

    async def testing(inside: Inside, officer: Someone, _reader: Someone) -> None:
        here = browser()
        this = await officer.enrol("officer", here)
        assert await code_of(officer.sign_in(here)) == "done"
        (kept,) = officer.held()
        table = people_tables.passkeys
        chosen = table.c.id == kept

        def put(writing: Writing, before: bytes, after: bytes) -> None:
            body = writing.connection.execute(select(table.c.body).where(chosen)).scalar_one()
            assert body.count(before) == 1
            writing.connection.execute(update(table).where(chosen).values(body=body.replace(before, after)))

        def public_key() -> bytes:
            with inside.trusted.reader.connect() as reading:
                found = passkeys.get(reading, kept)
            assert found is not None
            return found.public_key.encode()

        ours = public_key()
        theirs = ours[:-4] + (b"AAAA" if ours[-4:] != b"AAAA" else b"BBBB")
        await inside.trusted.writer.run(lambda writing: put(writing, ours, theirs), alone=True)
        assert await code_of(officer.sign_in(here)) == "sign-in-failed"
        assert "passkey" in caplog.text
        await inside.trusted.writer.run(lambda writing: put(writing, theirs, ours), alone=True)
        assert await code_of(officer.sign_in(here)) == "done"
        assert await officer.may(this) == "session-ended"

    with_two(stopped, tmp_path, testing)


def test_a_link_ends_by_its_time_and_is_kept_as_a_hash(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, _officer: Someone, _reader: Someone) -> None:
        invited = await inside.operator.ask("people.invite", people.Invite("officer", hours=1))
        with inside.trusted.reader.connect() as reading:
            link = links.find(reading, invited.token, invited.expires_us - 1)
            assert link.hash == sha256(invited.token.encode()).hexdigest()
            assert invited.token.encode() not in msgspec.json.encode(link)
            with pytest.raises(Refused) as over:
                links.find(reading, invited.token, invited.expires_us)
        assert (over.value.code, over.value.cause) == ("link-invalid", "link-expired")
        assert invited.expires_us - link.made_us == 3_600_000_000
        for hours in (0, links.HOURS[-1] + 1):
            assert await code_of(inside.operator.ask("people.invite", people.Invite("officer", hours))) == "hours"

    with_two(stopped, tmp_path, testing)
