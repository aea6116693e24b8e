"""Whoever's passkeys change, or about whose account something is unusual, hears of it at every address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from secrets import token_hex

import msgspec
import pytest
from sqlalchemy import select, update

from keten.core.clock import wall_us
from keten.core.errors import Unavailable
from keten.core.recovering import Mail
from keten.identity import forgetting, tables, to_tell
from keten.identity.networks import Networks
from keten.keeper import people_protocol as people
from keten.keeper import protocol as said
from keten.keeper.letter_protocol import Letter
from keten.keeper.recoveries import LATE_US, Recoveries
from keten.ledger.writing import Writing
from keten.worker.letters import message_of
from tests.fault.keeper_inside import Inside, run, until
from tests.fault.test_own_sessions import Someone, code_of
from tests.fault.test_people_races import ADDRESS, ORIGIN, finished
from tests.fault.test_recoveries import Post
from tests.town import Town

_PEOPLE = "\nsuppliers:"
OTHER = "officer"
NAME, ADDRESSES = "reader", ("reader@example.org", "reader@home.example")
_LINES = (
    f"\n  - {{id: {NAME}, email: {ADDRESSES[0]}, second_email: {ADDRESSES[1]}, roles: [auditor]}}"
    f"\n  - {{id: {OTHER}, email: {OTHER}@example.org, roles: [auditor]}}"
)
WITH_READER = (_PEOPLE, f"{_LINES}{_PEOPLE}")


class Reader:
    """Somebody with two addresses, signed in at the console, and what writes letters."""

    def __init__(self, inside: Inside, someone: Someone, other: str) -> None:
        self.inside = inside
        self.someone = someone
        self.other = other
        self.post = Post(inside.trusted.settings.paths.mail_socket)
        settings = inside.trusted.settings
        inside.trusted.settings = msgspec.structs.replace(settings, mail=Mail("smtps://localhost", "k@example.org"))
        inside.people.origins["console"] = ORIGIN
        self.letters = Recoveries(inside.trusted, inside.people)
        self.browser = token_hex(32)
        self.proof = people.PersonProof("", self.browser)

    async def enrol(self) -> None:
        self.proof = await self.someone.enrol(NAME, self.browser)

    async def hears(self) -> list[tuple[str, str, str]]:
        """What it is told in one round: the address, what, and why."""
        self.post.letters.clear()
        await self.letters.go_on()
        return [(one.to, one.what, one.why) for one in self.post.letters]

    def owed(self) -> int:
        """How much it is still to be told."""
        with self.inside.trusted.reader.connect() as reading:
            return len(to_tell.rows(reading))


def at_both(what: str, why: str = "") -> list[tuple[str, str, str]]:
    return [(address, what, why) for address in ADDRESSES]


def with_reader(stopped: Town, tmp_path: Path, testing: Callable[[Reader], Awaitable[None]]) -> None:
    async def inside_keeper(inside: Inside) -> None:
        applied: said.Applied = await inside.apply(instead=WITH_READER)
        console = await inside.console()
        await console.ask("people.origin", people.Origin(ORIGIN))
        ids = applied.ids["person"]
        reader = Reader(inside, Someone(inside, console, ids[NAME]), ids[OTHER])
        await reader.enrol()
        try:
            await testing(reader)
        finally:
            await reader.letters.close()

    run(stopped, tmp_path, inside_keeper)


def test_a_passkey_that_comes_or_goes_is_told_at_every_address(stopped: Town, tmp_path: Path) -> None:
    async def testing(reader: Reader) -> None:
        async with reader.post:
            assert await reader.hears() == at_both("key-added")
            assert {one.link for one in reader.post.letters} == {ORIGIN}
            assert len({one.uid for one in reader.post.letters}) == 2
            assert await reader.hears() == []
            await reader.someone.add_key(reader.proof)
            assert await reader.hears() == at_both("key-added")
            (other,) = set(reader.someone.held()) - {_of(reader)}
            await reader.someone.console.ask("people.end_key", people.EndKey(reader.proof, other))
            assert await reader.hears() == at_both("key-ended")
            assert reader.owed() == 0

    with_reader(stopped, tmp_path, testing)


def test_it_is_told_also_when_nobody_takes_letters_at_first_and_the_keeper_starts_anew(
    stopped: Town, tmp_path: Path
) -> None:
    async def testing(reader: Reader) -> None:
        assert await reader.hears() == []  # no worker: it waits
        assert reader.owed() == 1
        await reader.letters.close()
        reader.letters = Recoveries(reader.inside.trusted, reader.inside.people)
        taken: list[Letter] = []

        async def only_the_first(letter: Letter) -> None:
            taken.append(letter)
            if letter.to == ADDRESSES[1] and len(taken) == 2:
                raise Unavailable("export-deferred", "The mail server says: later.")

        async with reader.post:
            reader.post.meanwhile = only_the_first
            assert await reader.hears() == at_both("key-added")[:1]
            reader.letters._rest_until = 0.0
            assert await reader.hears() == at_both("key-added")[1:]  # and not twice at the first
            assert reader.owed() == 0

    with_reader(stopped, tmp_path, testing)


def test_what_somebody_else_may_be_behind_is_told_once_a_day(stopped: Town, tmp_path: Path) -> None:
    async def testing(reader: Reader) -> None:
        someone, console = reader.someone, reader.someone.console
        await someone.add_key(reader.proof)
        async with reader.post:
            await reader.hears()
            # A stolen session, in another browser.
            stolen = people.PersonProof(reader.proof.session, token_hex(32))
            for _each in range(2):
                assert await someone.may(stolen) == "session-ended"
            await until(reader.owed)
            assert await reader.hears() == at_both("unusual", "session-elsewhere")
            # A copy of the passkey: its count goes back.
            for _each in range(2):
                reader.proof = await someone.sign_in(reader.browser)
            for _each in range(2):
                begun = await console.ask("people.sign_in_begin", people.SignInBegin(ADDRESS, reader.browser))
                copy = someone.key.get(begun.options, counter=1)
                shown = finished(begun, copy, reader.browser)
                assert await code_of(console.ask("people.sign_in", shown)) == "sign-in-failed"
            await until(reader.owed)
            assert await reader.hears() == at_both("unusual", "passkey-copied")
            # One that was ended.
            someone.key.counter += 10
            other = next(key for key in someone.held() if key != _of(reader))
            reader.proof = await someone.sign_in(reader.browser)
            await console.ask("people.end_key", people.EndKey(reader.proof, _of(reader)))
            assert other in someone.held()
            assert await reader.hears() == at_both("key-ended")
            assert await code_of(someone.sign_in(reader.browser)) == "sign-in-failed"
            await until(reader.owed)
            assert await reader.hears() == at_both("unusual", "passkey-ended")
            for letter in reader.post.letters:
                assert "that was ended" in message_of(letter, "k@example.org", "en").get_content()

    with_reader(stopped, tmp_path, testing)


def test_a_sign_in_from_a_listed_network_is_told(stopped: Town, tmp_path: Path) -> None:
    async def testing(reader: Reader) -> None:
        listed = tmp_path / "bad.txt"
        listed.write_text(f"{ADDRESS}\n")
        async with reader.post:
            await reader.hears()
            reader.inside.trusted.networks = Networks(b"k" * 32, (listed,))
            for _each in range(2):
                await reader.someone.sign_in(reader.browser)
            assert await reader.hears() == at_both("unusual", "network-listed")

    with_reader(stopped, tmp_path, testing)


def test_without_a_mail_server_and_after_a_week_nothing_is_kept(stopped: Town, tmp_path: Path) -> None:
    async def testing(reader: Reader) -> None:
        trusted = reader.inside.trusted
        owed, _batch = await trusted.writer.run(
            lambda writing: to_tell.owe(writing, reader.someone.person, "key-added"), alone=True
        )
        assert owed is None
        with trusted.reader.connect() as reading:
            rows = to_tell.rows(reading)
        async with reader.post:
            late = msgspec.structs.replace(rows[0], moment_us=wall_us() - LATE_US - 60_000_000)
            assert await reader.letters._account(late) is True
            assert reader.post.letters == []
            trusted.settings = msgspec.structs.replace(trusted.settings, mail=Mail())
            assert (reader.owed(), await reader.hears(), reader.owed()) == (2, [], 0)

    with_reader(stopped, tmp_path, testing)


def test_whoever_is_erased_is_told_nothing_more(stopped: Town, tmp_path: Path) -> None:
    async def testing(reader: Reader) -> None:
        trusted, person = reader.inside.trusted, reader.someone.person

        def erase(writing: Writing) -> None:
            to_tell.owe(writing, reader.other, "key-added")
            forgetting.forget(writing, person, "keeper")

        assert reader.owed() == 1
        await trusted.writer.run(erase, alone=True)
        with trusted.reader.connect() as reading:
            assert [row.person for row in to_tell.rows(reading)] == [reader.other]

    with_reader(stopped, tmp_path, testing)


def test_a_person_whose_row_was_changed_holds_up_nobody_else(
    stopped: Town, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def testing(reader: Reader) -> None:
        trusted, other = reader.inside.trusted, reader.other
        people_rows = tables.people
        chosen = people_rows.c.id == reader.someone.person

        def change(writing: Writing) -> None:
            body = writing.connection.execute(select(people_rows.c.body).where(chosen)).scalar_one()
            assert b"auditor" in body
            changed = body.replace(b"auditor", b"helpdesk")
            writing.connection.execute(update(people_rows).where(chosen).values(body=changed))
            to_tell.owe(writing, other, "key-added")

        await trusted.writer.run(change, alone=True)
        async with reader.post:
            assert await reader.hears() == [(f"{OTHER}@example.org", "key-added", "")]
            assert await reader.hears() == []
        assert reader.owed() == 1
        assert caplog.text.count("is not told what happened to its account") == 1

    with_reader(stopped, tmp_path, testing)


def _of(reader: Reader) -> str:
    """The passkey that this browser's session was opened with."""
    sessions = reader.inside.people.sessions.of_person(reader.someone.person)
    return next(one.passkey for one in sessions if one.browser == reader.browser)


def test_of_one_person_and_cause_a_day_goes_by() -> None:
    once, day = to_tell.OnceADay(), 24 * 3_600_000_000
    assert [once.is_first("p", "a", 0), once.is_first("p", "b", 0), once.is_first("q", "a", 0)] == [True] * 3
    assert [once.is_first("p", "a", day - 1), once.is_first("p", "a", day)] == [False, True]
