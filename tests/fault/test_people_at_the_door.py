"""A person of a supplier goes through the same door as a system: decided, recorded, held back, cut."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from keten.core.clock import rfc3339
from keten.core.errors import Denied, KetenError, NotFound
from keten.core.ids import new_id
from keten.identity.people_model import PersonSession
from keten.identity.person_sessions import PersonSessions
from keten.identity.roles import Face
from keten.keeper import people_protocol
from keten.keeper import protocol as said
from keten.keeper.portal_protocol import AskOwnLog, OwnLogPage
from keten.ledger.model import Entry
from tests.fault.keeper_inside import Inside, Peer, run, until
from tests.town import Town

BROWSER = "b" * 64
PERSON = "zorgvervoer-planner"
_CLIENTS = "    clients: [{id: zorgvervoer-batch"
WITH_PERSON = (_CLIENTS, f"    people: [{{id: {PERSON}, email: p@zorg.example}}]\n{_CLIENTS}")
CARE = "dataset: clients-in-care, contract: vwo-2, purpose: care-transport, form: file"
ADDRESS = "127.0.0.1"


class Planner:
    """A person of the care transport, signed in at the portal."""

    def __init__(self, inside: Inside, gateway: Peer, person: str) -> None:
        self.inside = inside
        self.gateway = gateway
        self.person = person
        self.people = inside.people
        self.session: PersonSession
        self.secret = ""

    async def sign_in(self, face: Face = "portal") -> None:
        """Open a session, as what follows a passkey's assertion does."""
        now = self.inside.trusted.clock.now()
        self.secret, self.session = PersonSessions.make(
            self.person,
            new_id(),
            face,
            BROWSER,
            "",
            ("member",),
            now,
        )
        await self.inside.trusted.writer.run(lambda writing: self.people.sessions.insert(writing, self.session))
        self.people.sessions.open(self.session)

    def caller(self, browser: str = BROWSER) -> said.Caller:
        return said.Caller(ADDRESS, person=people_protocol.PersonProof(self.secret, browser))

    async def shares(self) -> said.Shares:
        found: said.Shares = await self.gateway.ask("exchange.shares", said.ShareQuery(self.caller()))
        return found

    async def open(self, object_id: str) -> said.Opened:
        opened: said.Opened = await self.gateway.ask("exchange.open", said.OpenObject(self.caller(), object_id))
        return opened

    async def log(self, before: int = -1, limit: int = 0) -> OwnLogPage:
        page: OwnLogPage = await self.gateway.ask("portal.log", AskOwnLog(self.caller(), before, limit))
        return page

    def cut(self) -> list[str]:
        """What the gateway was told to cut so far."""
        pushes = [self.gateway.pushes.get_nowait() for _ in range(self.gateway.pushes.qsize())]
        return [opening for push in pushes for opening in push.openings]


def with_planner(stopped: Town, tmp_path: Path, testing: Callable[[Inside, Planner], Awaitable[None]]) -> None:
    async def inside_keeper(inside: Inside) -> None:
        applied: said.Applied = await inside.apply(instead=WITH_PERSON)
        planner = Planner(inside, await inside.gateway(), applied.ids["person"][PERSON])
        await planner.sign_in()
        await testing(inside, planner)

    run(stopped, tmp_path, inside_keeper)


def of(entries: list[Entry]) -> dict[str, object]:
    (entry,) = entries
    assert entry.payload is not None
    return {"actor": entry.payload.actor, "subjects": entry.payload.subjects, **entry.payload.details}


async def code(asked: Awaitable[object]) -> str:
    with pytest.raises(KetenError) as caught:
        await asked
    assert isinstance(caught.value, Denied | NotFound)
    return caught.value.code


def test_a_person_lists_opens_and_reads_its_log(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, planner: Planner) -> None:
        shares = await planner.shares()
        (found,) = shares.shares[0].objects
        opened = await planner.open(found.id)
        assert opened.key
        entry = of(inside.entries("exchange.object.opened"))
        assert (entry["actor"], entry["subjects"], entry["channel"]) == (planner.person, (planner.person,), "portal")
        await planner.gateway.ask("exchange.delivered", said.Delivered(opened.opening, 4096, "client-closed"))
        page = await planner.log()
        assert [line.kind for line in page.lines] == [
            "exchange.object.delivered",
            "exchange.object.opened",
            "exchange.shares.listed",
        ]
        assert {line.who for line in page.lines} == {PERSON}
        assert (page.lines[0].sent, page.lines[1].name) == (4096, found.name)
        assert of(inside.entries("identity.log.read"))["lines"] == 3
        first = await planner.log(limit=1)
        second = await planner.log(before=first.next, limit=2)
        assert [line.entry for line in (*first.lines, *second.lines)] == [line.entry for line in page.lines]
        assert second.next == -1

    with_planner(stopped, tmp_path, testing)


def test_a_member_does_not_see_what_the_suppliers_system_did(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, planner: Planner) -> None:
        carrier = inside.carrier()
        await carrier.token(planner.gateway)
        await inside.care(carrier, planner.gateway)
        assert (await planner.log()).lines == ()

    with_planner(stopped, tmp_path, testing)


def test_a_system_has_no_log_of_its_own(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, planner: Planner) -> None:
        carrier = inside.carrier()
        await carrier.token(planner.gateway)
        assert await code(planner.gateway.ask("portal.log", AskOwnLog(carrier.caller("/v1/log")))) == "not-allowed"
        assert inside.entries("identity.log.read") == []

    with_planner(stopped, tmp_path, testing)


@pytest.mark.parametrize("kind", ["person", "supplier", "contract", "grant"])
def test_what_is_revoked_is_cut_and_gone(stopped: Town, tmp_path: Path, kind: str) -> None:
    async def testing(inside: Inside, planner: Planner) -> None:
        found = (await planner.shares()).shares[0].objects[0]
        opened = await planner.open(found.id)
        names = {
            "person": PERSON,
            "supplier": "zorgvervoer",
            "contract": "vwo-2",
            "grant": "care-for-zorgvervoer",
        }
        await inside.revoke(kind, names[kind])
        assert opened.opening in planner.cut()
        assert await code(planner.open(found.id)) in ("absent", "session-ended")

    with_planner(stopped, tmp_path, testing)


def test_another_browser_another_face_and_a_closed_session_open_nothing(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, planner: Planner) -> None:
        found = (await planner.shares()).shares[0].objects[0]
        stolen = said.OpenObject(planner.caller("c" * 64), found.id)
        assert await code(planner.gateway.ask("exchange.open", stolen)) == "session-ended"
        opened = await planner.open(found.id)
        planner.people.sessions.close(planner.session)
        assert await code(planner.open(found.id)) == "session-ended"
        await inside.apply(instead=WITH_PERSON, extra=f"  - {{id: more, {CARE}}}")
        assert opened.opening in planner.cut()  # what was begun in a session that is over does not go on
        await planner.sign_in("console")
        assert await code(planner.open(found.id)) == "session-ended"
        assert len(inside.entries("exchange.object.opened")) == 1

    with_planner(stopped, tmp_path, testing)


def test_a_grant_to_a_system_alone_is_not_its_colleagues(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, planner: Planner) -> None:
        found = (await planner.shares()).shares[0].objects[0]
        await inside.revoke("grant", "care-for-zorgvervoer")
        extra = f"  - {{id: care-for-a-system, {CARE}, to: [zorgvervoer-batch]}}"
        await inside.apply(instead=WITH_PERSON, extra=extra)
        assert (await planner.shares()).shares == ()
        assert await code(planner.open(found.id)) == "absent"
        extra += f"\n  - {{id: care-for-a-person, {CARE}, to: [{PERSON}]}}"
        await inside.apply(instead=WITH_PERSON, extra=extra)
        assert (await planner.open(found.id)).key
        carrier = inside.carrier()
        await carrier.token(planner.gateway)
        seen = await planner.gateway.ask("exchange.shares", said.ShareQuery(carrier.caller("/v1/shares")))
        assert len(seen.shares) == 1

    with_planner(stopped, tmp_path, testing)


async def signed_out(planner: Planner) -> None:
    own = planner.people.sessions.of_person(planner.person)
    await planner.people.end(own, planner.person, f"person:{planner.person}")


def test_signing_out_cuts_what_is_under_way(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, planner: Planner) -> None:
        found = (await planner.shares()).shares[0].objects[0]
        opened = await planner.open(found.id)
        await signed_out(planner)
        assert planner.cut() == [opened.opening]
        await planner.gateway.ask("exchange.delivered", said.Delivered(opened.opening, 10, "cut"))
        assert of(inside.entries("exchange.object.delivered"))["reason"] == "session-ended"

    with_planner(stopped, tmp_path, testing)


def test_another_session_of_the_person_goes_on(stopped: Town, tmp_path: Path) -> None:
    async def testing(_inside: Inside, planner: Planner) -> None:
        found = (await planner.shares()).shares[0].objects[0]
        first = planner.session
        opened = await planner.open(found.id)
        await planner.sign_in()
        goes_on = await planner.open(found.id)
        await planner.people.end((first,), planner.person, f"person:{planner.person}")
        assert planner.cut() == [opened.opening]
        assert goes_on.opening != opened.opening

    with_planner(stopped, tmp_path, testing)


def test_what_waits_for_the_writer_while_its_session_ends_gets_no_key(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, planner: Planner) -> None:
        found = (await planner.shares()).shares[0].objects[0]
        async with inside.held():
            asked = inside.trusted.writer.waiting
            opening = asyncio.ensure_future(planner.open(found.id))
            await inside.queued(asked + 1)
            ending = asyncio.ensure_future(signed_out(planner))
            await asyncio.sleep(0)
        assert await code(opening) == "session-ended"
        await ending
        await until(lambda: inside.entries("exchange.object.delivered"))
        assert of(inside.entries("exchange.object.delivered"))["bytes"] == 0

    with_planner(stopped, tmp_path, testing)


def test_an_access_holds_no_longer_than_its_session(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, planner: Planner) -> None:
        found = (await planner.shares()).shares[0].objects[0]
        opened = await planner.open(found.id)
        assert opened.valid_until_us == planner.session.expires_us
        entry = of(inside.entries("exchange.object.opened"))
        assert entry["session_until"] == rfc3339(planner.session.expires_us)
        index = inside.entries("exchange.object.opened")[0].id
        replayed = await inside.operator.ask("policy.replay", said.Replay(index))
        assert replayed.same

    with_planner(stopped, tmp_path, testing)


def test_a_session_in_which_something_is_under_way_does_not_lie_still(stopped: Town, tmp_path: Path) -> None:
    async def testing(_inside: Inside, planner: Planner) -> None:
        found = (await planner.shares()).shares[0].objects[0]
        opened = await planner.open(found.id)
        before = planner.people.sessions.now(planner.session)
        assert before is not None
        await planner.people.sweep()
        after = planner.people.sessions.now(planner.session)
        assert after is not None
        assert after.used_us > before.used_us
        await planner.gateway.ask("exchange.delivered", said.Delivered(opened.opening, 10, "complete"))
        await planner.people.sweep()
        assert planner.people.sessions.now(planner.session) == after

    with_planner(stopped, tmp_path, testing)


def test_a_suppliers_end_ends_what_is_under_way_and_the_session(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside, planner: Planner) -> None:
        opened = await planner.open((await planner.shares()).shares[0].objects[0].id)
        await inside.revoke("supplier", "zorgvervoer")
        assert opened.opening in planner.cut()
        await planner.people.sweep()
        assert planner.people.sessions.of_person(planner.person) == ()

    with_planner(stopped, tmp_path, testing)
