"""SFTP packets: each request is answered once, nothing but the listed file is ever opened, and its bytes are right.

The real handler and file server over the library's packets; the session below them (the keeper, the content and the
channel) is a small one of ours.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from asyncssh.logging import SSHLogger
from asyncssh.sftp import SFTPFailure

from keten.core.errors import NotFound
from keten.gateway.sftp import MAX_PACKET, FileServer, Handler
from keten.gateway.sftp_files import Listing
from keten.gateway.ssh_sent import ChannelSent, Taken
from keten.keeper.protocol import ObjectInfo, Share, Shares
from tests.fuzz.target import Target
from tests.unit.identity.signing import string

CONTENT = bytes(range(256)) * 3
FILE = ObjectInfo("o" * 25 + "a", "file.csv", len(CONTENT), "", "text/csv", 1_700_000_000_000_000)
SHARE = Share("s" * 25 + "a", "file", "share", "p", 0, (FILE,))
MAX_HANDLES = 8
INIT, VERSION, OPEN, CLOSE, READ, LSTAT, FSTAT, OPENDIR, READDIR, REALPATH, STAT, EXTENDED = (
    *(1, 2, 3, 4, 5, 7, 8, 11, 12, 16, 17),
    200,
)
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED_REPLY = 101, 102, 103, 104, 105, 201
ANSWERS = {STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED_REPLY}


class Reading:
    """An access of the one file."""

    def __init__(self, ended: list[str]) -> None:
        self.info = FILE
        self.end = ""
        self._ended = ended

    def hand(self, count: int) -> None:
        pass

    def finish(self, end: str) -> None:
        self.end = end
        self._ended.append(end)


class Cutting:
    """A connection of which only its end is seen."""

    def cut(self, end: str) -> None:
        raise AssertionError(f"nothing here is a reason to cut: {end}")


class Session:
    """What a handler asks of its session."""

    def __init__(self) -> None:
        self.listing = Listing(cast("Any", self._ask))
        self.max_handles = MAX_HANDLES
        self.frames = self
        self.connection = Cutting()
        self.opened: list[str] = []
        self.ended: list[str] = []
        self.handler: Handler | None = None

    async def _ask(self, *, share: str = "", name: str = "", bare: bool = False, **_more: object) -> Shares:
        assert not share or share == SHARE.id, "only shares that were listed are asked for"
        if name not in ("", FILE.name):
            raise NotFound("absent", "There is nothing here.")
        shown = Share(SHARE.id, SHARE.form, SHARE.label, SHARE.purpose, 0, () if bare else (FILE,))
        return Shares("e" * 25 + "a", 7, (shown,), 60_000_000, "")

    async def open(self, object_id: str) -> tuple[Reading, Taken]:
        assert object_id == FILE.id
        self.opened.append(object_id)
        return Reading(self.ended), Taken(lambda: None)

    async def read(self, _delivery: Reading, offset: int, length: int) -> bytes:
        assert 0 <= offset < len(CONTENT)
        assert 0 < length <= len(CONTENT) - offset
        return CONTENT[offset : offset + length]

    def drop(self, _delivery: Reading) -> None:
        pass

    async def left(self, _taken: Taken, _is_closing: Callable[[], bool]) -> bool:
        return True

    async def room(self, _writer: object) -> None:
        pass

    def heard(self) -> None:
        pass

    @contextmanager
    def one_handle_more(self) -> Iterator[None]:
        assert self.handler is not None
        assert self.handler.handles <= MAX_HANDLES
        if self.handler.handles >= MAX_HANDLES:
            raise SFTPFailure("Too many files are open")
        yield


class Channel:
    """Reader, writer and channel of one SFTP session: bytes in, bytes out."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.written = bytearray()
        self.sent = ChannelSent()
        self.channel = self
        self.status: int | None = None
        self.logger = SSHLogger(logging.getLogger("keten.fuzzed"))

    async def readexactly(self, count: int) -> bytes:
        assert count <= MAX_PACKET
        found = self._data[self._at : self._at + count]
        self._at += count
        if len(found) < count:
            raise asyncio.IncompleteReadError(found, count)
        return found

    def is_closing(self) -> bool:
        return False

    def send_parts(self, *parts: bytes | memoryview) -> None:
        for part in parts:
            self.written += part

    def exit(self, status: int) -> None:
        self.status = status

    def close(self) -> None:
        pass

    def get_connection(self) -> Any:
        return self

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default


def check(data: bytes) -> bool:
    session, channel = Session(), Channel(data)

    async def run() -> None:
        server = FileServer(cast("Any", channel), cast("Any", session))
        session.handler = Handler(server, cast("Any", channel), cast("Any", channel), cast("Any", session))
        await session.handler.run()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    with asyncio.Runner() as runner:
        runner.run(run())
    assert channel.status is not None, "the channel ends with a status, whatever came"
    answered = _answers(bytes(channel.written))
    assert len(session.ended) == len(session.opened), "every access ends"
    assert b"Uncaught exception" not in channel.written, "what nobody foresaw is told to the client"
    asked = _requests(data)
    assert [number for _kind, number in answered] == asked[: len(answered)], "once each, in order"
    return any(kind in (DATA, NAME, ATTRS, HANDLE) for kind, _number in answered)


def _answers(written: bytes) -> list[tuple[int, int]]:
    """Type and number of each answer after the first, which says the version."""
    found, at = [], 0
    while at < len(written):
        length, kind = struct.unpack_from(">IB", written, at)
        if at == 0:
            assert kind == VERSION
        else:
            assert kind in ANSWERS
            found.append((kind, struct.unpack_from(">I", written, at + 5)[0]))
        if kind == DATA:
            (count,) = struct.unpack_from(">I", written, at + 9)
            assert written[at + 13 : at + 13 + count] in CONTENT
        at += 4 + length
    assert at == len(written)
    return found


def _requests(data: bytes) -> list[int]:
    """The number of each whole request after the first packet."""
    found, at = [], 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        packet = data[at + 4 : at + 4 + length]
        if at > 0 and len(packet) >= 5:
            found.append(struct.unpack_from(">I", packet, 1)[0])
        at += 4 + length
    return found


def packet(kind: int, body: bytes) -> bytes:
    return struct.pack(">IB", 1 + len(body), kind) + body


def asking(kind: int, number: int, *parts: bytes) -> bytes:
    return packet(kind, struct.pack(">I", number) + b"".join(parts))


FIRST = packet(INIT, struct.pack(">I", 3))
PATH = string(b"/share/file.csv")
NO_ATTRIBUTES = bytes(4)


def _seeds() -> list[bytes]:
    handle = string(bytes(4))
    reading = (
        FIRST
        + asking(OPEN, 1, PATH, struct.pack(">I", 1), NO_ATTRIBUTES)
        + asking(READ, 2, handle, struct.pack(">QI", 100, 300))
        + asking(FSTAT, 3, handle)
        + asking(CLOSE, 4, handle)
    )
    listing = (
        FIRST
        + asking(REALPATH, 1, string(b"."))
        + asking(OPENDIR, 2, string(b"/share"))
        + asking(READDIR, 3, handle)
        + asking(READDIR, 4, handle)
        + asking(CLOSE, 5, handle)
        + asking(STAT, 6, PATH)
        + asking(EXTENDED, 7, string(b"limits@openssh.com"))
    )
    greeting = packet(INIT, struct.pack(">I", 3) + string(b"supported") + string(b"")) + asking(LSTAT, 1, PATH)
    return [reading, listing, greeting]


TARGET = Target(
    "sftp-packets",
    check,
    _seeds,
    words=(
        *(string(name) for name in (b"/", b"/share", b"../..", b"/share/\xff", b"supported2", b"acl-supported")),
        *(string(b"copy-data"), string(b"vendor-id") + string(b"\0\0"), string(b"supported") + string(b"\0\0\0")),
        *(struct.pack(">I", number) for number in (0, 1, 2, 26, 255, 0x7FFFFFFF, 0xFFFFFFFF)),
        *(asking(kind, 9, string(bytes(4))) for kind in (4, 6, 9, 10, 13, 14, 15, 18, 19, 20, 21, 200)),
        *(struct.pack(">Q", 2**63), struct.pack(">Q", 2**64 - 1), FIRST, packet(INIT, struct.pack(">I", 6))),
    ),
    longest=1024,
    calls=(300, 200_000),
)
