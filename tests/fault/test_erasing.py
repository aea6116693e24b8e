"""An erasure that is interrupted goes on; until all of it is done, nobody says that it is."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keten.core.errors import Conflict, Unavailable
from keten.keeper.subject_protocol import Approve, Erase, Outcome, ReleaseHold, SetHold
from keten.keeper.subject_protocol import Requests as Found
from keten.ledger import erasing as payloads
from keten.ledger.verify import verify
from keten.ledger.writing import Writing
from keten.subjects import holds, requests
from keten.subjects.model import Hold, Operator
from tests.cluster import chosen
from tests.fault.keeper_inside import Inside, copied
from tests.fault.searcher.ways import Searcher
from tests.town import CARRIER, SETTINGS, Town

PERSON = "drukwerk-ops"
ALONE = "[erasure]\napprovers = 1\n"
ERASED = "subjects.subject.erased"


def inside_of(town: Town, folder: Path, *testing: Callable[[Inside], Awaitable[None]]) -> None:
    """Run each part inside a keeper of its own, one after the other, on one copy of the town's instance."""

    async def part(home: Path, test: Callable[[Inside], Awaitable[None]]) -> None:
        async with asyncio.timeout(100):
            keeper = Inside(home, town)
            await keeper.start()
            try:
                await test(keeper)
            finally:
                await keeper.stop()

    with copied(town, folder) as home:
        with (home / "keten.toml").open("a") as settings:
            settings.write(ALONE)
        for test in testing:
            asyncio.run(part(home, test))


def interrupted(inside: Inside, before: int, after: int) -> None:
    """From now on the writer does `before` jobs, and the caller hears of `after` of them; then the process is gone."""
    run, begun = inside.trusted.writer.run, 0

    async def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal begun
        begun += 1
        if begun > before:
            raise Unavailable("killed", "The process is gone.")
        done = await run(*arguments, **options)
        if begun > after:
            raise Unavailable("killed", "The process is gone.")
        return done

    inside.trusted.writer.run = counted  # type: ignore[method-assign]  # a kill between two jobs


def held(inside: Inside) -> None:
    """Everything holds, and the searcher finds nothing of the person."""
    report = verify(inside.trusted.settings.state, inside.paths.ledger, processes=1)
    assert [str(fault) for fault in report.faults if fault.where not in ("checkpoint", "tile", "bundle")] == []
    wanted = {"name": PERSON.encode(), "mail": b"ops@drukwerk.example"}
    if not chosen():  # of a server's files nobody here can say anything
        assert Searcher(inside.paths.home).search(wanted) == []


def erase(inside: Inside, subject: str = PERSON) -> asyncio.Future[Any]:
    return inside.operator.ask("subjects.erase", Erase(subject, "a test"))


@pytest.mark.parametrize("heard", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, 7))
def test_it_goes_on_from_wherever_it_was(stopped: Town, tmp_path: Path, step: int, heard: bool) -> None:
    """Its jobs: ask, approve, end, key and row, payloads, no more payloads, finish."""
    begun = False

    async def first(inside: Inside) -> None:
        nonlocal begun
        interrupted(inside, step, step if heard else step - 1)
        with pytest.raises(Unavailable):
            await erase(inside)
        assert inside.entries(ERASED) == []
        begun = len(inside.entries("subjects.erasure.approved")) == 1

    async def second(inside: Inside) -> None:
        await inside.operators.subjects.go_on()
        if not begun:  # it was only asked for: it waits, and nothing is gone
            assert inside.entries(ERASED, "ledger.payloads.erased") == []
            (waiting,) = (await inside.operator.ask("subjects.requests", _everything())).requests
            await inside.operator.ask("subjects.approve", Approve(waiting.id))
        assert len(inside.entries(ERASED)) == 1
        (erased,) = inside.entries(ERASED)
        assert erased.payload is not None
        assert erased.payload.details["payloads"] == 2
        held(inside)
        await inside.operators.subjects.go_on()
        assert len(inside.entries(ERASED)) == 1

    inside_of(stopped, tmp_path, first, second)


def _everything() -> msgspec.Struct:
    from keten.keeper.subject_protocol import Everything

    return Everything()


def test_a_hold_that_is_set_between_two_payloads(
    stopped: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left stays until it is released; of two payloads one."""
    monkeypatch.setattr(payloads, "AT_ONCE", 1)

    async def testing(inside: Inside) -> None:
        run, jobs = inside.trusted.writer.run, 0
        held_by: list[Hold] = []

        def hold(writing: Writing) -> None:
            target = requests.in_state(writing.connection, "approved")[0].target
            held_by.append(holds.put(writing, "person", target, Operator("anna", 1001), "a case", 0))

        async def between(*arguments: Any, **options: Any) -> Any:
            nonlocal jobs
            jobs += 1
            done = await run(*arguments, **options)
            if jobs == 5:
                await run(hold, alone=True)
            return done

        inside.trusted.writer.run = between  # type: ignore[method-assign]  # somebody is faster than the next one
        outcome = await erase(inside)
        assert [one["outcome"] for one in outcome.steps] == ["not-done"]
        assert held_by[0].id in outcome.steps[0]["detail"]
        assert len(inside.entries("ledger.payloads.erased")) == 1
        await inside.operators.subjects.go_on()
        assert len(inside.entries("ledger.payloads.erased")) == 1
        await inside.operator.ask("subjects.release", ReleaseHold(held_by[0].id, "over"))
        await inside.operators.subjects.go_on()
        assert len(inside.entries("ledger.payloads.erased")) == 2
        assert len(inside.entries(ERASED)) == 1
        held(inside)

    inside_of(stopped, tmp_path, testing)


def test_two_at_once_and_one_twice(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside) -> None:
        one, two, again = erase(inside), erase(inside, CARRIER), erase(inside)
        answers = await asyncio.gather(one, two, again, return_exceptions=True)
        assert sum(isinstance(answer, Outcome) for answer in answers) >= 2
        assert all(isinstance(answer, Outcome | Conflict) for answer in answers), answers
        assert len(inside.entries(ERASED)) == 2
        held(inside)

    inside_of(stopped, tmp_path, testing)


def test_on_a_full_disk_it_waits_and_says_so(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside) -> None:
        writer = inside.trusted.writer
        roomy = writer._disk
        run, jobs = writer.run, 0

        async def filling(*arguments: Any, **options: Any) -> Any:
            nonlocal jobs
            jobs += 1
            if jobs == 4:  # asked, approved and ended; nothing is gone yet
                writer._disk = msgspec.structs.replace(roomy, reserve_bytes=1 << 62)
            return await run(*arguments, **options)

        writer.run = filling  # type: ignore[method-assign]  # the disk fills up meanwhile
        with pytest.raises(Unavailable, match="nearly full"):
            await erase(inside)
        found: Found = await inside.operator.ask("subjects.requests", _everything())
        assert [one.state for one in found.requests] == ["approved"]
        await inside.operators.subjects.go_on()
        assert inside.entries(ERASED) == []
        writer._disk = roomy
        await inside.operators.subjects.go_on()
        assert len(inside.entries(ERASED)) == 1
        held(inside)

    inside_of(stopped, tmp_path, testing)


@pytest.mark.parametrize(("step", "begun"), [(2, False), (4, True)])
def test_a_hold_that_is_set_after_the_approval(stopped: Town, tmp_path: Path, step: int, begun: bool) -> None:
    """It waits, says why and what is gone already, and goes on by itself when the hold is released."""

    async def first(inside: Inside) -> None:
        interrupted(inside, step, step)
        with pytest.raises(Unavailable):
            await erase(inside)

    async def second(inside: Inside) -> None:
        (approved,) = (await inside.operator.ask("subjects.requests", _everything())).requests
        assert "within half a minute" in approved.waits
        hold = await inside.operator.ask("subjects.hold", SetHold(approved.kind, approved.target, "a case"))
        await inside.operators.subjects.go_on()
        (waiting,) = (await inside.operator.ask("subjects.requests", _everything())).requests
        assert waiting.state == "approved"
        assert hold.id in waiting.waits
        assert ("gone already" in waiting.waits) is begun
        assert "hold release" in waiting.waits
        assert inside.entries(ERASED) == []
        outcome = await inside.operator.ask("subjects.release", ReleaseHold(hold.id, "over"))
        assert outcome.request is not None
        await inside.operators.subjects.go_on()
        assert len(inside.entries(ERASED)) == 1
        held(inside)

    inside_of(stopped, tmp_path, first, second)


def test_what_is_held_outlives_its_retention(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside) -> None:
        from keten.keeper.chores import Chores
        from keten.keeper.people import People
        from keten.keeper.recoveries import Recoveries

        people = People(inside.trusted)
        recoveries = Recoveries(inside.trusted, people)
        chores = Chores(inside.trusted, inside.gateways, inside.operators, people, recoveries)
        hold = await inside.operator.ask("subjects.hold", SetHold("dataset", "clients-in-care", "a case"))
        inside.move(40 * 86_400 * 1_000_000)
        inside.trusted.clock.now = inside.trusted.clock._wall  # type: ignore[method-assign]  # forty days later
        await chores.enforce_retention()
        assert inside.entries("vault.object.destroyed") == []
        await inside.operator.ask("subjects.release", ReleaseHold(hold.id, "over"))
        await chores.enforce_retention()
        assert len(inside.entries("vault.object.destroyed")) == 1

    inside_of(stopped, tmp_path, testing)


@pytest.mark.slow
def test_killed_at_any_moment_under_load(tmp_path: Path) -> None:
    """Real processes, kill -9, while a supplier fetches; every erasure is done after the keeper is back."""
    import random

    from tests.fault.kills.load import Fetcher

    choice = random.Random(3)
    town = Town(tmp_path)
    town.keten.configure(SETTINGS + ALONE)
    with town.keten:
        town.start()
        fetcher = Fetcher(town.system(CARRIER, town.carrier_key), town.care.read_bytes(), 1)
        fetcher.start()
        extra = "".join(f", {{id: leaver-{n}, email: leaver-{n}@drukwerk.example}}" for n in range(12))
        text = (town.keten.folder / "estate.yaml").read_text()
        mail = "email: ops@drukwerk.example}"
        town.keten.apply(text.replace(mail, mail + extra))
        for number in range(12):
            name = f"leaver-{number}"

            def ask(name: str = name) -> None:
                try:
                    with town.keten.keeper() as client:
                        client.call("subjects.erase", Erase(name, "a test"), Outcome)
                except Unavailable:
                    pass  # killed: if it was asked for at all, it goes on

            asking = threading.Thread(target=ask)
            asking.start()
            time.sleep(choice.uniform(0.0, 0.15))
            os.kill(town.keten.pid("keeper"), signal.SIGKILL)
            asking.join(60)
            _erased_at_last(town, name)
        fetcher.stop.set()
        fetcher.join(30)
        assert fetcher.wrong == []
        assert town.keten.command("ledger", "verify").returncode == 0
        wanted = {f"leaver-{n}": f"leaver-{n}@drukwerk.example".encode() for n in range(12)}
        town.keten.down()
        (town.keten.folder / "estate.yaml").unlink()
        if not chosen():
            assert Searcher(town.keten.home).search(wanted) == []


def _erased_at_last(town: Town, name: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with town.keten.keeper() as client:
                if client.call("subjects.erase", Erase(name, "a test"), Outcome).already:
                    return
        except (Unavailable, Conflict):
            pass
        time.sleep(0.2)
    raise AssertionError(f"{name} is not erased")
