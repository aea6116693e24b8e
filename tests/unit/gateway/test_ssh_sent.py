"""What has left over SSH, for each open file by itself: exactly what its client can have."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Callable

import paramiko
from hypothesis import given
from hypothesis import strategies as st

from keten.gateway.ssh_sent import ChannelSent, ConnectionSent, Taken
from keten.keeper import protocol as said
from tests.unit.gateway.asking import in_thread
from tests.unit.gateway.conftest import Serving
from tests.unit.gateway.fake import Scene
from tests.unit.gateway.ssh_client import USER, sftp_path

# ---- counting -------------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.integers(0, 1), st.integers(0, 2), st.integers(0, 50)),
        st.tuples(st.just("pack"), st.integers(0, 1), st.integers(1, 60), st.integers(0, 9)),
    ),
    max_size=60,
)


@given(steps=STEPS, unsent=st.integers(0, 2000))
def test_against_a_count_byte_by_byte(steps: list[tuple[str, int, int, int]], unsent: int) -> None:
    """Two channels, three accesses, answers of any size, packets that end anywhere: as if every byte had a name."""
    here = [unsent]
    connection = ConnectionSent(lambda: min(here[0], connection.written))
    channels = (ChannelSent(), ChannelSent())
    accesses = tuple(Taken(connection.settle) for _number in range(3))
    streams: tuple[list[int], list[int]] = ([], [])  # of each byte, whose content it is; -1: nobody's
    wire: list[tuple[int, list[int]]] = []  # where each packet ends, and what is in it
    packed = [0, 0]
    for what, channel, number, size in steps:
        if what == "answer":
            channels[channel].content(13, size, accesses[number])
            channels[channel].written += 13 + size
            streams[channel].extend([-1] * 13 + [number] * size)
        else:
            count = min(number, channels[channel].written - packed[channel])
            if count:
                connection.written += count + size  # size: padding and the like
                connection.packed(channels[channel], count)
                wire.append((connection.written, streams[channel][packed[channel] : packed[channel] + count]))
                packed[channel] += count
    left = connection.written - min(unsent, connection.written)
    gone = [whose for end, inside in wire if end <= left for whose in inside]
    assert [access.sent for access in accesses] == [gone.count(number) for number in range(3)]
    here[0] = 0
    gone = [whose for _end, inside in wire for whose in inside]
    assert [access.sent for access in accesses] == [gone.count(number) for number in range(3)]


def test_what_the_library_keeps_has_not_left() -> None:
    connection = ConnectionSent(lambda: 0)
    channel, access = ChannelSent(), Taken(connection.settle)
    channel.content(0, 100, access)
    channel.written = 100
    connection.deferred(channel, 60, connection.written)
    connection.deferred(channel, 40, connection.written)
    assert access.sent == 0
    connection.written += 70
    assert access.sent == 60
    connection.written += 50
    assert access.sent == 100


# ---- a client that reads nothing ------------------------------------------------------------------------------------

WINDOW = 65_536
INIT, OPEN, CLOSE, READ = 1, 3, 4, 5


class Stopped:
    """A client whose window is `WINDOW` bytes and that reads only what it is told to."""

    def __init__(self, scene: Scene, key: paramiko.PKey) -> None:
        self._transport = paramiko.Transport(scene.sftp)
        self._transport.connect(username=USER, pkey=key)
        self.channel = self._transport.open_session(window_size=WINDOW)
        self.channel.settimeout(30)
        self.channel.invoke_subsystem("sftp")
        self.taken = 0
        self.say(INIT, struct.pack(">I", 3))
        self.read(int.from_bytes(self.read(4), "big"))  # version, extensions

    def say(self, kind: int, body: bytes) -> None:
        self.channel.sendall(struct.pack(">IB", 1 + len(body), kind) + body)

    def read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self.channel.recv(count - len(found))
            assert part
            found += part
        self.taken += count
        return found

    def open(self, path: str) -> bytes:
        name = path.encode()
        self.say(OPEN, struct.pack(">II", 1, len(name)) + name + struct.pack(">II", 1, 0))
        return self.read(17)[13:]

    def ask(self, handle: bytes, offset: int, count: int) -> None:
        self.say(READ, struct.pack(">II", 2, len(handle)) + handle + struct.pack(">QI", offset, count))

    def close_handle(self, handle: bytes) -> None:
        self.say(CLOSE, struct.pack(">II", 3, len(handle)) + handle)

    def until_full(self) -> None:
        """Wait until as much has come as the window allows."""
        deadline = time.monotonic() + 30
        while len(self.channel.in_buffer) < WINDOW - self.taken:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self) -> None:
        self._transport.close()


def test_a_cut_transfer_says_of_each_file_what_its_client_can_have(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        first, second = scene.keeper.put(os.urandom(200_000), "a.bin"), scene.keeper.put(os.urandom(200_000), "b.bin")

        def begin() -> Stopped:
            client = Stopped(scene, key)
            one, other = client.open(sftp_path(first)), client.open(sftp_path(second))
            client.ask(one, 0, 20_000)
            client.ask(other, 5, 60_000)
            client.until_full()
            return client

        client = await in_thread(begin)
        scene.keeper.push(everything=True)
        reports = {one.opening: one for one in await scene.keeper.heard("exchange.delivered", 2)}
        assert {one.end for one in reports.values()} == {"cut"}
        inside = WINDOW - client.taken - (13 + 20_000) - 13
        assert sorted(one.sent for one in reports.values()) == [20_000, inside]
        await in_thread(client.end)

    serving(testing)


def test_a_file_is_complete_when_its_last_byte_has_left(serving: Serving, key: paramiko.PKey) -> None:
    """Reading all of it and closing it at once is not the same as having it."""

    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(100_000))

        def begin() -> Stopped:
            client = Stopped(scene, key)
            handle = client.open(sftp_path(content))
            client.ask(handle, 0, 100_000)
            client.close_handle(handle)
            client.until_full()
            return client

        client = await in_thread(begin)
        await asyncio.sleep(0.2)
        assert scene.keeper.bodies("exchange.delivered") == []
        assert (await in_thread(client.read, 13 + 100_000))[13:] == content.plain
        (report,) = await scene.keeper.heard("exchange.delivered")
        assert (report.sent, report.end) == (100_000, "complete")
        await in_thread(client.end)

    serving(testing)


def _gone(scene: Scene, key: paramiko.PKey, path: str, leave: Callable[[Stopped], None]) -> int:
    """Ask for a whole file, and leave; how many bytes of it came."""
    client = Stopped(scene, key)
    client.ask(client.open(path), 0, 100_000)
    client.until_full()
    leave(client)
    time.sleep(0.2)  # what was said is heard before the connection ends
    client.end()
    return WINDOW - client.taken - 13


def test_a_client_that_leaves_has_what_its_window_let_in(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(100_000))
        leaving: tuple[Callable[[Stopped], None], ...] = (
            lambda client: client.channel.close(),
            lambda client: client.channel.shutdown_write(),
            lambda client: client.end(),
        )
        for number, leave in enumerate(leaving, 1):
            came = await in_thread(_gone, scene, key, sftp_path(content), leave)
            reports: list[said.Delivered] = await scene.keeper.heard("exchange.delivered", number)
            assert (reports[-1].sent, reports[-1].end) == (came, "client-closed")

    serving(testing)
