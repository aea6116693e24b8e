"""How a delivery ends: cut, ended, damaged, complete; what the client sees of it, and what the keeper is told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from keten.core.settings import Limits
from keten.keeper import protocol as said
from tests.unit.gateway.conftest import Serving
from tests.unit.gateway.fake import LOOPS, Content, Scene
from tests.unit.gateway.wire import Download

BIG = 20_000_000
A_LITTLE = 300_000
# What may lie between the gateway's call of write and a client that has stopped reading: the kernels' buffers.
IN_KERNELS = 12_000_000


async def begun(scene: Scene, content: Content) -> Download:
    """A client that has read a little and stopped reading."""
    download = await asyncio.to_thread(Download, scene.supplier(), content.info.id, A_LITTLE)
    download.start()
    await asyncio.to_thread(download.waits.wait, 60)
    return download


async def finished(download: Download) -> None:
    download.go_on()
    await asyncio.to_thread(download.join, 60)


async def report(scene: Scene) -> said.Delivered:
    (delivered,) = await scene.keeper.heard("exchange.delivered")
    await asyncio.sleep(0.05)
    assert len(scene.keeper.bodies("exchange.delivered")) == 1, "an access ends once"
    assert isinstance(delivered, said.Delivered)
    return delivered


async def opening(scene: Scene) -> str:
    """The opening's id, as the gateway has it."""
    while not scene.gateway.accesses.openings:  # noqa: ASYNC110 - looks at what has no event
        await asyncio.sleep(0.005)
    return scene.gateway.accesses.openings[0]


Ending = Callable[[Scene], Awaitable[None]]


async def by_opening(scene: Scene) -> None:
    number = scene.keeper.push(await opening(scene))
    assert await scene.keeper.heard("keeper.acknowledge") == [said.Acknowledge(number)]


async def by_everything(scene: Scene) -> None:
    scene.keeper.push(everything=True)
    await scene.keeper.heard("keeper.acknowledge")


async def by_losing_the_keeper(scene: Scene) -> None:
    await scene.keeper.stop()
    while scene.gateway.link.ready:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.005)
    await scene.keeper.start()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("ending", [by_opening, by_everything, by_losing_the_keeper])
def test_a_cut_resets_a_connection_whose_client_does_not_read(serving: Serving, loop: str, ending: Ending) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(BIG))
        download = await begun(scene, content)
        await ending(scene)
        delivered = await report(scene)
        await finished(download)
        assert download.was_reset
        assert content.plain.startswith(bytes(download.content))
        assert delivered.end == "cut"
        assert len(download.content) <= delivered.sent <= len(download.content) + IN_KERNELS

    serving(testing, loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_time_ends_access_by_itself(serving: Serving, loop: str) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(BIG))
        scene.keeper.valid_for_us = 700_000
        download = await begun(scene, content)
        delivered = await report(scene)
        await finished(download)
        assert download.was_reset
        assert delivered.end == "ended"
        assert len(download.content) < BIG

    serving(testing, loop=loop)


def test_what_ends_together_ends_with_the_first(serving: Serving) -> None:
    """Answers take their time to come; the one that took the least knows best when the moment is that all share."""

    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(BIG))
        scene.keeper.valid_until_us = 1_900_000_000_000_000
        late = await begun(scene, content)
        scene.keeper.valid_for_us = 700_000
        early = await begun(scene, content)
        scene.keeper.valid_until_us += 1
        scene.keeper.valid_for_us = 3_600_000_000
        other = await begun(scene, content)
        ends = await scene.keeper.heard("exchange.delivered", 2)
        assert {one.end for one in ends} == {"ended"}
        await finished(late)
        await finished(early)
        assert late.was_reset
        assert early.was_reset
        assert not other.ended.is_set()
        assert len(scene.gateway.accesses.openings) == 1

    serving(testing)


@pytest.mark.parametrize("valid_for_us", [0, -5])
def test_an_access_that_is_over_when_it_is_answered_gives_nothing(serving: Serving, valid_for_us: int) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x" * 1000)
        scene.keeper.valid_for_us = valid_for_us
        with Download(scene.supplier(), content.info.id) as download:
            delivered = await report(scene)
            await asyncio.to_thread(download.ended.wait, 60)
        assert (delivered.end, delivered.sent) == ("ended", 0)
        assert download.head == b""

    serving(testing)


def test_a_push_that_overtakes_its_answer_is_not_forgotten(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x" * 1000)
        answer = scene.keeper.verbs["exchange.open"]

        async def overtaken(body: said.OpenObject) -> msgspec.Struct:
            opened = await answer(body)
            assert isinstance(opened, said.Opened)
            scene.keeper.push(opened.opening)
            await scene.keeper.heard("keeper.acknowledge")
            return opened

        scene.keeper.verbs["exchange.open"] = overtaken
        with Download(scene.supplier(), content.info.id) as download:
            delivered = await report(scene)
            await asyncio.to_thread(download.ended.wait, 60)
        assert (delivered.end, delivered.sent, download.head) == ("cut", 0, b"")

    serving(testing)


def test_cutting_everything_also_cuts_what_was_asked_for_before(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x" * 1000)
        answer = scene.keeper.verbs["exchange.open"]

        async def overtaken(body: said.OpenObject) -> msgspec.Struct:
            scene.keeper.push(everything=True)
            await scene.keeper.heard("keeper.acknowledge")
            return await answer(body)

        scene.keeper.verbs["exchange.open"] = overtaken
        with Download(scene.supplier(), content.info.id) as download:
            delivered = await report(scene)
            await asyncio.to_thread(download.ended.wait, 60)
        assert (delivered.end, download.head) == ("cut", b"")

    serving(testing)


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 1024 * 1024, 1024 * 1024 + 1, 5_000_000])
@pytest.mark.parametrize("loop", LOOPS)
def test_complete_is_said_of_what_was_taken_whole(serving: Serving, size: int, loop: str) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(size))
        answer = await asyncio.to_thread(scene.supplier().get, f"/v1/objects/{content.info.id}")
        assert answer.body == content.plain
        delivered = await report(scene)
        assert (delivered.end, delivered.sent) == ("complete", size)

    serving(testing, loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_goes_away_is_reported_with_what_it_may_have(serving: Serving, loop: str) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(BIG))
        download = await begun(scene, content)
        await asyncio.to_thread(download.socket.close)
        download.go_on()
        delivered = await report(scene)
        await asyncio.to_thread(download.join, 60)
        assert delivered.end == "client-closed"
        assert A_LITTLE <= delivered.sent < BIG

    serving(testing, loop=loop)


def test_a_client_that_goes_away_while_the_keeper_thinks_gets_nothing(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(1000))
        gate = asyncio.Event()
        answer = scene.keeper.verbs["exchange.open"]

        async def slow(body: said.OpenObject) -> msgspec.Struct:
            await gate.wait()
            return await answer(body)

        scene.keeper.verbs["exchange.open"] = slow
        download = await asyncio.to_thread(Download, scene.supplier(), content.info.id)
        download.start()
        await scene.keeper.heard("exchange.open")
        await asyncio.to_thread(download.socket.shutdown, 2)
        await asyncio.to_thread(download.join, 60)
        while scene.gateway.connections:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
        gate.set()
        delivered = await report(scene)
        assert (delivered.end, delivered.sent) == ("client-closed", 0)

    serving(testing)


def test_a_reader_that_takes_nothing_is_let_go(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(BIG))
        download = await begun(scene, content)
        delivered = await report(scene)
        await finished(download)
        assert delivered.end == "failed"
        assert download.error is not None or len(download.content) < BIG

    serving(testing, limits=Limits(slow_reader_seconds=1))


def damage(scene: Scene, content: Content, at: int) -> None:
    path = scene.keeper.blob(content)
    blob = bytearray(path.read_bytes())
    blob[at] ^= 1
    path.write_bytes(blob)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_damaged_frame_in_the_middle_is_a_reset_and_never_an_end(serving: Serving, loop: str) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(5_000_000))
        damage(scene, content, 3_500_000)
        with Download(scene.supplier(), content.info.id) as download:
            delivered = await report(scene)
            await asyncio.to_thread(download.ended.wait, 60)
        assert download.was_reset
        assert delivered.end == "damaged"
        assert content.plain.startswith(bytes(download.content))
        assert len(download.content) <= 3 * 1024 * 1024  # nothing of the damaged frame

    serving(testing, loop=loop)


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_damage_before_the_first_byte_is_said_so(serving: Serving, size: int) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(size))
        damage(scene, content, 100)
        answer = await asyncio.to_thread(scene.supplier().get, f"/v1/objects/{content.info.id}")
        assert answer.status == 500
        assert (await report(scene)).end == "damaged"

    serving(testing)


def test_content_that_is_missing_is_damage(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(1000))
        scene.keeper.blob(content).unlink()
        answer = await asyncio.to_thread(scene.supplier().get, f"/v1/objects/{content.info.id}")
        assert answer.status == 500
        assert (await report(scene)).end == "damaged"

    serving(testing)


def test_a_connections_accesses_follow_one_another(serving: Serving) -> None:
    """The next request begins when all of the one before has left, so no access waits on another's bytes."""

    async def testing(scene: Scene) -> None:
        contents = [scene.keeper.put(os.urandom(size)) for size in (5_000_000, 100, 3_000_000)]
        supplier = scene.supplier()

        def pipelined() -> bytes:
            with supplier.connect() as wire:
                for content in contents:
                    path = f"/v1/objects/{content.info.id}"
                    fields = supplier.authorised("GET", path) | {"Host": "x"}
                    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
                    wire.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
                heard = bytearray()
                while len(heard) < sum(content.info.size for content in contents):
                    heard += wire.recv(65536)
                return bytes(heard)

        heard = await asyncio.to_thread(pipelined)
        assert all(content.plain in heard for content in contents)
        await scene.keeper.heard("exchange.delivered", 3)
        names = [name for name, _body in scene.keeper.told if name in ("exchange.open", "exchange.delivered")]
        assert names == ["exchange.open", "exchange.delivered"] * 3
        assert [(body.end, body.sent) for body in scene.keeper.bodies("exchange.delivered")] == [
            ("complete", content.info.size) for content in contents
        ]

    serving(testing)


def test_progress_is_told_every_few_megabytes(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(bytes(2 * BIG))
        answer = await asyncio.to_thread(scene.supplier().get, f"/v1/objects/{content.info.id}")
        assert len(answer.body) == 2 * BIG
        await report(scene)
        told = [body.sent for body in scene.keeper.bodies("exchange.progress")]
        assert told == sorted(told)
        assert [sent // (16 * 1024 * 1024) for sent in told] == [1, 2]

    serving(testing)


def test_what_a_stopping_gateway_was_delivering_is_reported(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(BIG))
        download = await begun(scene, content)
        await scene.gateway.stop(0.05)
        delivered = await report(scene)
        await finished(download)
        assert delivered.end == "cut"
        assert download.was_reset

    serving(testing)
