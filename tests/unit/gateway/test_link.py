"""The connection to the keeper: numbers and answers, pushes, losing it and coming back."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from keten.core.errors import Busy, Conflict, Denied, NotFound, Unavailable
from keten.gateway import link as link_module
from keten.gateway.link import KeeperLink, data_of
from keten.keeper import protocol as said
from keten.keeper.server import MAX_RUNNING
from tests.unit.gateway.fake import FakeKeeper

ASKED = said.SessionEnd("session")


class Told:
    """What the link told the gateway's accesses, in order."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.settled: asyncio.Event | None = None

    def cut(self, push: said.Cut) -> Awaitable[None]:
        self.events.append(push)
        return self._settle()

    async def _settle(self) -> None:
        if self.settled is not None:
            await self.settled.wait()

    def lost(self) -> None:
        self.events.append("lost")


class Linked:
    """A link to a fake keeper."""

    def __init__(self, home: Path) -> None:
        self.keeper = FakeKeeper(home)
        self.told = Told()
        self.link = KeeperLink(self.keeper.path, said.Hello("test", "1"), cut=self.told.cut, lost=self.told.lost)

    async def __aenter__(self) -> Self:
        await self.keeper.start()
        self.link.start()
        await asyncio.wait_for(self.link.wait_ready(), 20)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.link.close(0.0)
        await self.keeper.stop()


def run(home: Path, testing: Callable[[Linked], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with asyncio.timeout(60), Linked(home) as linked:
            await testing(linked)

    asyncio.run(inside())


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - looks at what has no event
            await asyncio.sleep(0.005)


def test_hello_comes_first(tmp_path: Path) -> None:
    async def testing(linked: Linked) -> None:
        await linked.link.call("identity.ssh_end", ASKED)
        assert [name for name, _body in linked.keeper.told] == ["keeper.hello", "identity.ssh_end"]
        assert linked.link.welcome == said.Welcome("test", 0)

    run(tmp_path, testing)


def test_answers_find_their_callers_in_any_order(tmp_path: Path) -> None:
    async def testing(linked: Linked) -> None:
        gates = {str(number): asyncio.Event() for number in range(50)}

        async def token(body: said.TokenRequest) -> msgspec.Struct:
            await gates[body.client_id].wait()
            return said.TokenGranted(f"for {body.client_id}", 1, "", "")

        linked.keeper.verbs["identity.token"] = token
        calls = [
            asyncio.ensure_future(
                linked.link.call("identity.token", said.TokenRequest(name, "", "", "", "", "192.0.2.1"))
            )
            for name in gates
        ]
        await linked.keeper.heard("identity.token", len(gates))
        for gate in reversed(gates.values()):
            gate.set()
            await asyncio.sleep(0)
        granted = await asyncio.gather(*calls)
        assert [one.access_token for one in granted] == [f"for {name}" for name in gates]
        assert all(isinstance(one, said.TokenGranted) for one in granted)

    run(tmp_path, testing)


def test_errors_are_the_keepers_own(tmp_path: Path) -> None:
    async def testing(linked: Linked) -> None:
        async def token(_body: said.TokenRequest) -> msgspec.Struct:
            error = Denied("use_dpop_nonce", "The proof must hold the nonce.", "a private reason")
            vars(error)["data"] = {"nonce": "n-1"}
            raise error

        linked.keeper.verbs["identity.token"] = token
        with pytest.raises(Denied) as caught:
            await linked.link.call("identity.token", said.TokenRequest("", "", "", "", "", ""))
        assert (caught.value.code, caught.value.public) == ("use_dpop_nonce", "The proof must hold the nonce.")
        assert data_of(caught.value) == {"nonce": "n-1"}
        assert caught.value.reason == ""  # the keeper tells gateways no reasons

    run(tmp_path, testing)


def test_a_push_is_carried_out_at_once_and_acknowledged_when_settled(tmp_path: Path) -> None:
    async def testing(linked: Linked) -> None:
        linked.told.settled = asyncio.Event()
        number = linked.keeper.push("opening-1")
        await until(lambda: linked.told.events)
        assert linked.told.events[0].openings == ("opening-1",)
        await linked.link.call("identity.ssh_end", ASKED)
        assert linked.keeper.bodies("keeper.acknowledge") == []
        linked.told.settled.set()
        assert await linked.keeper.heard("keeper.acknowledge") == [said.Acknowledge(number)]

    run(tmp_path, testing)


def test_what_arrives_is_known_before_what_is_said_after_it(tmp_path: Path) -> None:
    """Answer and push in one read: the answer's `arrived` has run when the push is carried out."""

    async def testing(linked: Linked) -> None:
        async def answering(_body: said.SessionEnd) -> msgspec.Struct:
            asyncio.get_running_loop().call_soon(linked.keeper.push, "opening")
            return said.Nothing()

        linked.keeper.verbs["identity.ssh_end"] = answering
        arrived = await linked.link.call(
            "identity.ssh_end", ASKED, lambda _answer: linked.told.events.append("arrived")
        )
        assert arrived is None
        await until(lambda: len(linked.told.events) == 2)
        assert linked.told.events[0] == "arrived"

    run(tmp_path, testing)


def test_an_answer_arrives_also_when_its_caller_is_gone(tmp_path: Path) -> None:
    async def testing(linked: Linked) -> None:
        gate = asyncio.Event()

        async def slow(_body: said.SessionEnd) -> msgspec.Struct:
            await gate.wait()
            return said.Nothing()

        linked.keeper.verbs["identity.ssh_end"] = slow
        arrived: list[Any] = []
        call = asyncio.ensure_future(linked.link.call("identity.ssh_end", ASKED, arrived.append))
        await linked.keeper.heard("identity.ssh_end")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        gate.set()
        await until(lambda: arrived == [said.Nothing()])

    run(tmp_path, testing)


def test_without_a_keeper_everything_is_cut_and_nobody_is_served(tmp_path: Path) -> None:
    async def testing(linked: Linked) -> None:
        async def never(_body: said.SessionEnd) -> msgspec.Struct:
            await asyncio.sleep(3600)
            return said.Nothing()

        linked.keeper.verbs["identity.ssh_end"] = never
        waiting = asyncio.ensure_future(linked.link.call("identity.ssh_end", ASKED))
        await linked.keeper.heard("identity.ssh_end")
        await linked.keeper.stop()
        with pytest.raises(Unavailable):
            await waiting
        assert linked.told.events == ["lost"]
        assert not linked.link.ready
        with pytest.raises(Unavailable):
            await linked.link.call("identity.ssh_end", ASKED)

    run(tmp_path, testing)


def test_it_comes_back_and_hands_in_what_waits(tmp_path: Path) -> None:
    async def testing(linked: Linked) -> None:
        async def never(_body: said.Delivered) -> msgspec.Struct:
            await asyncio.sleep(3600)
            return said.Nothing()

        linked.keeper.verbs["exchange.delivered"] = never
        one, two = said.Delivered("one", 1, "cut"), said.Delivered("two", 2, "cut")
        linked.link.report(one)
        await linked.keeper.heard("exchange.delivered")  # said, but never confirmed
        await linked.keeper.stop()
        await until(lambda: not linked.link.ready)
        linked.link.report(two)  # while nobody is there
        assert linked.link.unreported == 2

        again = FakeKeeper(tmp_path)
        await again.start()
        linked.keeper = again
        assert sorted(await again.heard("exchange.delivered", 2), key=lambda body: body.opening) == [one, two]
        assert again.told[0][0] == "keeper.hello"
        await until(lambda: linked.link.unreported == 0)

    run(tmp_path, testing)


@pytest.mark.parametrize("error", [Unavailable("disk-full", "x"), Busy("busy", "x")])
def test_a_report_that_cannot_be_recorded_now_is_said_again(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "RETRY_SECONDS", 0.01)

    async def testing(linked: Linked) -> None:
        failures = [error, error]

        async def delivered(_body: said.Delivered) -> msgspec.Struct:
            if failures:
                raise failures.pop()
            return said.Recorded("entry", 1)

        linked.keeper.verbs["exchange.delivered"] = delivered
        linked.link.report(said.Delivered("one", 1, "complete"))
        await linked.keeper.heard("exchange.delivered", 3)
        await until(lambda: linked.link.unreported == 0)

    run(tmp_path, testing)


@pytest.mark.parametrize("error", [Conflict("ended", "x"), NotFound("absent", "x")])
def test_a_report_that_the_keeper_knows_already_is_let_go(tmp_path: Path, error: Exception) -> None:
    async def testing(linked: Linked) -> None:
        async def delivered(_body: said.Delivered) -> msgspec.Struct:
            raise error

        linked.keeper.verbs["exchange.delivered"] = delivered
        linked.link.report(said.Delivered("one", 1, "complete"))
        await until(lambda: linked.link.unreported == 0)
        assert len(linked.keeper.bodies("exchange.delivered")) == 1

    run(tmp_path, testing)


def test_too_many_questions_at_once_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MAX_PENDING", 3)

    async def testing(linked: Linked) -> None:
        gate = asyncio.Event()

        async def slow(_body: said.SessionEnd) -> msgspec.Struct:
            await gate.wait()
            return said.Nothing()

        linked.keeper.verbs["identity.ssh_end"] = slow
        calls = [asyncio.ensure_future(linked.link.call("identity.ssh_end", ASKED)) for _ in range(3)]
        await linked.keeper.heard("identity.ssh_end", 3)
        with pytest.raises(Busy):
            await linked.link.call("identity.ssh_end", ASKED)
        linked.link.report(said.Delivered("one", 1, "complete"))  # waits for room
        gate.set()
        await asyncio.gather(*calls)
        await linked.link.call("identity.ssh_end", ASKED)
        linked.link.report(said.Delivered("two", 1, "complete"))
        await linked.keeper.heard("exchange.delivered", 2)

    run(tmp_path, testing)


async def never(_body: Any) -> msgspec.Struct:
    await asyncio.sleep(3600)
    return said.Nothing()


def test_a_keeper_that_says_nothing_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(link_module, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(link_module, "WATCH_SECONDS", 0.01)

    async def testing(linked: Linked) -> None:
        linked.keeper.verbs["identity.ssh_end"] = never
        linked.keeper.verbs["keeper.health"] = never
        with pytest.raises(Unavailable):
            await linked.link.call("identity.ssh_end", ASKED)
        assert linked.told.events == ["lost"]
        assert len(linked.keeper.bodies("keeper.health")) == 1
        await asyncio.wait_for(linked.link.wait_ready(), 20)  # and it is asked again
        assert len(linked.keeper.bodies("keeper.hello")) >= 2

    run(tmp_path, testing)


class Time:
    """The link's clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize("error", [None, Unavailable("disk-reserve", "x")])
@pytest.mark.parametrize("verb", ["identity.ssh_end", "keeper.hello"])
def test_a_keeper_that_writes_for_long_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, error: Exception | None
) -> None:
    """Well or not: who says so lives, and what waits for the writer is waited for."""
    clock = Time()
    monkeypatch.setattr(link_module, "time", clock)
    monkeypatch.setattr(link_module, "WATCH_SECONDS", 0.01)

    async def testing(linked: Linked) -> None:
        gate = asyncio.Event()
        answer = linked.keeper.verbs[verb]

        async def slow(body: Any) -> msgspec.Struct:
            await gate.wait()
            return await answer(body)

        async def health(_body: said.Nothing) -> msgspec.Struct:
            if error is not None:
                raise error
            return said.Nothing()

        linked.keeper.verbs.update({verb: slow, "keeper.health": health})
        if verb == "keeper.hello":
            await linked.keeper.stop()
            await until(lambda: not linked.link.ready)
            linked.told.events.clear()
            await linked.keeper.start()
            waiting = asyncio.ensure_future(linked.link.wait_ready())
            await linked.keeper.heard(verb, 2)
        else:
            waiting = asyncio.ensure_future(linked.link.call(verb, ASKED))
            await linked.keeper.heard(verb)
        times = len(linked.keeper.bodies(verb))
        end = clock.now + 3 * link_module.ANSWER_SECONDS
        while not waiting.done() and (clock.now < end or len(linked.keeper.bodies("keeper.health")) < 3):
            clock.now += 1
            await asyncio.sleep(0.005)
        assert not waiting.done()
        gate.set()
        await waiting
        assert linked.told.events == []
        assert len(linked.keeper.bodies(verb)) == times, "on the connection that it was asked on"

    run(tmp_path, testing)


def test_what_is_cut_is_acknowledged_and_health_asked_however_much_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert link_module.MAX_PENDING < MAX_RUNNING, "the keeper still reads when the link is full"
    monkeypatch.setattr(link_module, "MAX_PENDING", 1)
    monkeypatch.setattr(link_module, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(link_module, "QUIET_SECONDS", 0.01)

    async def testing(linked: Linked) -> None:
        linked.keeper.verbs["identity.ssh_end"] = never
        waiting = asyncio.ensure_future(linked.link.call("identity.ssh_end", ASKED))
        await linked.keeper.heard("identity.ssh_end")
        number = linked.keeper.push("opening-1")
        assert await linked.keeper.heard("keeper.acknowledge") == [said.Acknowledge(number)]
        await linked.keeper.heard("keeper.health")
        assert not waiting.done()
        waiting.cancel()

    run(tmp_path, testing)


def frame(*body: object) -> bytes:
    encoded = msgspec.msgpack.encode(body)
    return struct.pack(">I", len(encoded)) + encoded


@pytest.mark.parametrize(
    "damage",
    [
        struct.pack(">I", said.MAX_ANSWER_FRAME + 1),
        struct.pack(">I", 3) + b"\xc1\xc1\xc1",
        struct.pack(">I", 0),
        frame(1),
        frame("one", True, {}),
        frame(4711, True, {}),  # an answer to what nobody asked
        frame(0, "explode", {}),
        frame(0, "cut", {"push": "x"}),
        frame(0, "cut", {}),
        struct.pack(">I", 100_006) + b"\x93\x00\xa3cut" + b"\x91" * 100_000,  # nested deeper than anybody reads
    ],
)
def test_a_keeper_that_talks_nonsense_is_left(tmp_path: Path, damage: bytes) -> None:
    async def testing(linked: Linked) -> None:
        path = linked.keeper.path
        await linked.keeper.stop()
        await until(lambda: not linked.link.ready)
        linked.told.events.clear()
        connections: list[asyncio.StreamWriter] = []

        async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            number, verb, _body = msgspec.msgpack.decode(await reader.readexactly(length))
            assert verb == "keeper.hello"
            writer.write(frame(number, True, {"origin": "x", "time_us": 1}))
            if len(connections) == 1:
                await reader.readexactly(4)
                writer.write(damage + frame(0, "cut", {"push": 1, "openings": [], "sessions": [], "reason": ""}))
            await reader.read()
            writer.close()

        async with await asyncio.start_unix_server(nonsense, str(path)):
            await until(lambda: linked.link.ready)
            with pytest.raises(Unavailable):
                await linked.link.call("identity.ssh_end", ASKED)
            assert linked.told.events == ["lost"]  # and nothing that came after it was believed
            await until(lambda: len(connections) == 2 and linked.link.ready)
            await linked.link.close(0.0)
            await asyncio.gather(*(writer.wait_closed() for writer in connections))

    run(tmp_path, testing)


def test_a_frame_in_crumbs_is_put_together(tmp_path: Path) -> None:
    async def testing(linked: Linked) -> None:
        path = linked.keeper.path
        await linked.keeper.stop()
        await until(lambda: not linked.link.ready)

        gone = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                try:
                    (length,) = struct.unpack(">I", await reader.readexactly(4))
                except asyncio.IncompleteReadError:
                    writer.close()
                    await writer.wait_closed()
                    gone.set()
                    return
                number, _verb, _body = msgspec.msgpack.decode(await reader.readexactly(length))
                for byte in frame(number, True, {"origin": "slow", "time_us": 5}):
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0)

        async with await asyncio.start_unix_server(slow, str(path)):
            await until(lambda: linked.link.ready)
            assert linked.link.welcome == said.Welcome("slow", 5)
            assert await linked.link.call("identity.ssh_end", ASKED) == said.Nothing()
            await linked.link.close(0.0)
            await asyncio.wait_for(gone.wait(), 20)

    run(tmp_path, testing)
