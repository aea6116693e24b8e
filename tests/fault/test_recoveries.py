"""Recoveries while things go wrong: no worker, a clock that jumps, and "this is not me" before the letter is noted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from keten.core.errors import Unavailable
from keten.core.recovering import Mail
from keten.identity.recovery import rules, service
from keten.identity.recovery.model import Case, Limits, Refused
from keten.keeper import protocol as said
from keten.keeper.letter_protocol import MAX_FRAME, Handed, Letter
from keten.keeper.recoveries import Recoveries
from keten.keeper.recovery_verbs import RecoveryVerbs
from keten.keeper.server import Connection, Endpoint, waiting_verb
from keten.suppliers import service as suppliers
from keten.suppliers.reach import STAFF_REACH
from tests.fault.keeper_inside import Inside, run
from tests.town import Town

_PEOPLE = "\nsuppliers:"
_ROLES = {"lost": "auditor", "desk": "helpdesk", "ciso": "security-officer", "po": "privacy-officer"}
_LINES = "".join(
    f"\n  - {{id: {name}, email: {name}@example.org, second_email: {name}@home.example, roles: [{roles}]}}"
    for name, roles in (_ROLES | {"both": "administrator, security-officer", "boss": "administrator"}).items()
)
WITH_PEOPLE = (_PEOPLE, f"{_LINES}{_PEOPLE}")
DAY_US = 86_400_000_000


class Post:
    """A worker of a test, on the worker's socket: keeps letters, and does what a test wants while it has one."""

    def __init__(self, path: Path) -> None:
        self.letters: list[Letter] = []
        self.meanwhile: Callable[[Letter], Awaitable[None]] | None = None
        path.parent.mkdir(exist_ok=True)
        verbs = {"mail.letter": waiting_verb(Letter, self.letter)}
        self._endpoint = Endpoint(
            path,
            frozenset({os.getuid()}),
            verbs,
            max_frame=MAX_FRAME,
            max_answer=MAX_FRAME,
            tells_reasons=True,
            mode=0o600,
        )

    async def letter(self, _connection: Connection, body: Letter) -> Handed:
        if self.meanwhile is not None:
            await self.meanwhile(body)
        self.letters.append(body)
        return Handed()

    async def __aenter__(self) -> Self:
        await self._endpoint.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._endpoint.stop()


class Desk:
    """Recoveries in a keeper, of people who were entered just now."""

    def __init__(self, inside: Inside, ids: dict[str, str]) -> None:
        self.inside = inside
        self.ids = ids
        settings = inside.trusted.settings
        inside.trusted.settings = msgspec.structs.replace(settings, mail=Mail("smtps://localhost", "k@example.org"))
        inside.people.origins["console"] = "http://localhost:8080"
        self.recoveries = Recoveries(inside.trusted, inside.people)
        self.recoveries.limits = Limits(seasoned_us=0, cool_us=tuple((name, 0) for name, _us in Limits().cool_us))

    @property
    def limits(self) -> Limits:
        return self.recoveries.limits

    async def open(self, name: str = "lost") -> Case:
        person, by = self.ids[name], self.ids["desk"]
        made, _batch = await self.inside.trusted.writer.run(
            lambda writing: service.open_case(writing, person, by, 0, STAFF_REACH, f"person:{by}", self.limits),
            alone=True,
        )
        assert isinstance(made, Case), made
        return made

    async def approve(self, case: Case) -> None:
        act = rules.act_digest(case.id, case.person)
        for name, slot in (("ciso", "security-officer"), ("po", "privacy-officer")):
            by = self.ids[name]
            done, _batch = await self.inside.trusted.writer.run(
                lambda writing, by=by, slot=slot: service.approve(  # type: ignore[misc]
                    writing, case.id, by, slot, 0, act, f"person:{by}", self.limits
                ),
                alone=True,
            )
            assert not isinstance(done, Refused), done

    def case(self, case: Case) -> Case:
        with self.inside.trusted.reader.connect() as reading:
            found = service.case_of(reading, case.id)
        assert found is not None
        return found

    def made(self) -> int:
        """How many secrets were made."""
        return len(self.inside.entries("identity.secret.made"))


def with_desk(stopped: Town, tmp_path: Path, testing: Callable[[Desk, Post], Awaitable[None]]) -> None:
    async def inside_keeper(inside: Inside) -> None:
        applied: said.Applied = await inside.apply(instead=WITH_PEOPLE)
        desk = Desk(inside, applied.ids["person"])
        try:
            await testing(desk, Post(inside.trusted.settings.paths.mail_socket))
        finally:
            await desk.recoveries.close()

    run(stopped, tmp_path, inside_keeper)


def again(desk: Desk) -> None:
    """As if the rest after a failure were over."""
    desk.recoveries._rest_until = 0.0


def test_without_a_worker_nothing_is_told_and_no_secret_is_made_twice(stopped: Town, tmp_path: Path) -> None:
    async def testing(desk: Desk, post: Post) -> None:
        case = await desk.open()
        for _each in range(3):
            await desk.recoveries.go_on()
            again(desk)
        assert desk.case(case).told == ()
        assert desk.made() == 1
        async with post:
            await desk.recoveries.go_on()
            told = [letter for letter in post.letters if letter.what == "opened"]
            assert {letter.to for letter in told} == {"lost@example.org", "lost@home.example"}
            asked = {letter.to for letter in post.letters if letter.what == "asked"}
            assert {"ciso@example.org", "po@example.org"} <= asked
            assert not asked & {"lost@example.org", "desk@example.org"}
            count = len(post.letters)
            assert desk.made() == 2
            assert set(desk.case(case).told) == set(case.noticed)
            await desk.recoveries.go_on()
            assert len(post.letters) == count

    with_desk(stopped, tmp_path, testing)


def test_nothing_goes_out_and_nothing_lapses_while_the_clock_is_wrong(stopped: Town, tmp_path: Path) -> None:
    async def testing(desk: Desk, post: Post) -> None:
        case = await desk.open()
        await desk.approve(case)
        async with post:
            desk.inside.move(40 * DAY_US)
            with pytest.raises(Unavailable):
                await desk.recoveries.go_on()
            assert (desk.case(case).state, post.letters, desk.made()) == ("open", [], 0)

    with_desk(stopped, tmp_path, testing)


def test_a_stop_before_the_letter_is_noted_holds(stopped: Town, tmp_path: Path) -> None:
    async def testing(desk: Desk, post: Post) -> None:
        case = await desk.open()
        await desk.approve(case)

        async def stop(letter: Letter) -> None:
            post.meanwhile = None
            token = letter.link.rpartition("/")[2]
            done, _batch = await desk.inside.trusted.writer.run(
                lambda writing: service.veto(writing, token, desk.limits), alone=True
            )
            assert isinstance(done, Case)

        post.meanwhile = stop
        async with post:
            for _each in range(3):
                await desk.recoveries.go_on()
                again(desk)
        assert desk.case(case).state == "vetoed"
        assert not [letter for letter in post.letters if letter.what == "code"]

    with_desk(stopped, tmp_path, testing)


def test_a_code_that_may_not_have_gone_out_is_made_anew_and_the_former_is_void(stopped: Town, tmp_path: Path) -> None:
    async def testing(desk: Desk, post: Post) -> None:
        case = await desk.open()
        await desk.approve(case)
        async with post:

            async def die(letter: Letter) -> None:
                if letter.what == "code":
                    post.letters.append(letter)  # it is out, and nobody heard that it was taken
                    raise Unavailable("export-unreachable", "Gone.")

            post.meanwhile = die
            await desk.recoveries.go_on()
            post.meanwhile = None
            first = [letter.part for letter in post.letters if letter.what == "code"]
            assert len(first) == 1
            await desk.recoveries.close()
            fresh = Recoveries(desk.inside.trusted, desk.inside.people)  # another keeper
            fresh.limits = desk.limits
            await fresh.go_on()
            await fresh.close()
        parts = [letter.part for letter in post.letters if letter.what == "code"][1:]
        assert len(parts) == 2
        assert first[0] not in parts
        now = desk.inside.trusted.clock.now()
        with desk.inside.trusted.reader.connect() as reading:
            assert service.shown(reading, parts, now, desk.limits) is not None
            assert service.shown(reading, (first[0], parts[1]), now, desk.limits) is None
            assert service.shown(reading, (parts[0], first[0]), now, desk.limits) is None

    with_desk(stopped, tmp_path, testing)


def test_only_the_workers_own_user_is_handed_a_letter(stopped: Town, tmp_path: Path) -> None:
    async def testing(desk: Desk, post: Post) -> None:
        await desk.open()
        desk.recoveries._link._users = frozenset({os.getuid() + 1})
        async with post:
            await desk.recoveries.go_on()
            await asyncio.sleep(0.1)
        assert post.letters == []

    with_desk(stopped, tmp_path, testing)


def test_a_mailbox_that_is_refused_holds_up_its_own_case_alone(stopped: Town, tmp_path: Path) -> None:
    async def testing(desk: Desk, post: Post) -> None:
        first = await desk.open()
        second = await desk.open("po")

        async def refuse(letter: Letter) -> None:
            if letter.to == "lost@home.example":
                raise Unavailable("export-deferred", "Not now.")
            if letter.to == "ciso@example.org":
                raise Unavailable("export-refused", "Never.")

        post.meanwhile = refuse
        async with post:
            await desk.recoveries.go_on()
            assert len(desk.case(first).told) == 1
            assert len(desk.case(second).told) == 2
            # Who may approve and can't be reached is not waited for.
            assert desk.ids["ciso"] in desk.case(first).asked
            post.meanwhile = None
            again(desk)
            await desk.recoveries.go_on()
            assert len(desk.case(first).told) == 2
            assert desk.made() == 4

    with_desk(stopped, tmp_path, testing)


def test_whoever_has_two_roles_approves_in_the_one_that_fewer_have(stopped: Town, tmp_path: Path) -> None:
    """Else the one of two who is left, with the role that the first one took, could approve nothing."""

    async def testing(desk: Desk, _post: Post) -> None:
        case = await desk.open()
        verbs = RecoveryVerbs(desk.inside.trusted, desk.recoveries)
        assert verbs._slot(case, desk.ids["boss"]) == "administrator"
        for name in ("ciso", "po", "dpo"):
            await desk.inside.trusted.writer.run(
                lambda writing, name=name: suppliers.end(writing, "person", desk.ids[name], "left", "operator:x"),  # type: ignore[misc]
                alone=True,
            )
        assert verbs._slot(case, desk.ids["both"]) == "security-officer"
        assert verbs._slot(case, desk.ids["boss"]) == "administrator"

    with_desk(stopped, tmp_path, testing)


def test_a_disk_that_is_full_sends_no_letter_again_and_again(stopped: Town, tmp_path: Path) -> None:
    """What was handed over and could not be noted is noted later, and not handed over once more each round."""

    async def testing(desk: Desk, post: Post) -> None:
        await desk.open()
        writer, full = desk.inside.trusted.writer, True
        run_it = writer.run

        async def until_full(job: Any, **more: Any) -> Any:
            if full and any(letter.what in ("asked", "changed") for letter in post.letters):
                raise Unavailable("disk-full", "There is no room.")
            return await run_it(job, **more)

        writer.run = until_full  # type: ignore[method-assign,assignment]
        async with post:
            for _each in range(4):
                await desk.recoveries.go_on()
                again(desk)
            asked = [letter.to for letter in post.letters if letter.what == "asked"]
            assert len(asked) == len(set(asked)) > 0
            full = False
            for _each in range(2):
                await desk.recoveries.go_on()
                again(desk)
            told = [(letter.what, letter.to) for letter in post.letters if letter.what in ("asked", "changed")]
            assert len(told) == len(set(told))
            assert {"ciso@example.org", "po@example.org"} <= {to for what, to in told if what == "asked"}

    with_desk(stopped, tmp_path, testing)
