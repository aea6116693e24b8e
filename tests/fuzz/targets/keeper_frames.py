"""What the keeper's sockets get: whole requests of verbs that the socket knows, or the connection ends; never more.

The real connection and the real tables of verbs, over a transport that only remembers. What a verb would do is not
fuzzed here (tests/unit/keeper/test_fuzz.py does, with a real keeper); that its body was what it must be, is.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from keten.keeper import people_protocol as people
from keten.keeper import protocol as said
from keten.keeper.protocol import CONSOLE_VERBS, GATEWAY_VERBS, OPERATOR_VERBS, Answer, Nothing, Request
from keten.keeper.server import Connection, Endpoint, Reply, verb
from tests.fuzz.target import Target

MAX_FRAME = 4096
MAX_ANSWER = 4096


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.ours, self.theirs = socket.socketpair()
        self.written = bytearray()
        self.over = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.ours if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def abort(self) -> None:
        self.over = True

    def is_closing(self) -> bool:
        return self.over

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def end(self) -> None:
        self.ours.close()
        self.theirs.close()


def _handler(name: str, kind: type, heard: list[tuple[str, Any]]) -> Callable[[Connection, Any, Reply], None]:
    def handle(_connection: Connection, body: Any, reply: Reply) -> None:
        assert isinstance(body, kind), "a verb gets the body that it declares"
        heard.append((name, body))
        reply.ok(Nothing())

    return handle


def _answers(written: bytes) -> list[Answer]:
    found, at = [], 0
    while at < len(written):
        (length,) = struct.unpack_from(">I", written, at)
        assert length <= MAX_ANSWER
        found.append(msgspec.msgpack.decode(written[at + 4 : at + 4 + length], type=Answer))
        at += 4 + length
    return found


def _converse(verbs: Mapping[str, tuple[type, Any]], chunks: list[bytes]) -> tuple[list[tuple[str, Any]], bytes, bool]:
    """Which verbs were heard, what was answered, and whether the connection was ended."""
    heard: list[tuple[str, Any]] = []

    async def run() -> tuple[bytes, bool]:
        endpoint = Endpoint(
            Path("fuzzed.sock"),
            frozenset({os.getuid()}),
            {name: verb(body, _handler(name, body, heard)) for name, (body, _answer) in verbs.items()},
            max_frame=MAX_FRAME,
            max_answer=MAX_ANSWER,
            tells_reasons=False,
            mode=0o600,
        )
        wire = Wire()
        try:
            connection = Connection(endpoint, 1)
            connection.connection_made(wire)
            for chunk in chunks:
                if not wire.over:
                    connection.data_received(chunk)
                    await asyncio.sleep(0)
            connection.connection_lost(None)
            return bytes(wire.written), wire.over
        finally:
            wire.end()

    with asyncio.Runner() as runner:
        written, over = runner.run(run())
    return heard, written, over


def check(verbs: Mapping[str, tuple[type, Any]], data: bytes) -> bool:
    whole = _converse(verbs, [data])
    assert _converse(verbs, [data[at : at + 7] for at in range(0, min(len(data), 700), 7)] + [data[700:]]) == whole, (
        "however the bytes come"
    )
    heard, written, over = whole
    answers = _answers(written)
    assert len(answers) >= len(heard), "each request is answered once"
    good = [answer for answer in answers if answer.ok]
    assert len(good) == len(heard)
    return bool(heard) and not over


def frame(number: int, name: str, body: Any) -> bytes:
    return _framed(msgspec.msgpack.encode(Request(number, name, msgspec.Raw(msgspec.msgpack.encode(body)))))


def _framed(raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + raw


def operator_seeds() -> list[bytes]:
    return [frame(1, "keeper.status", Nothing()), frame(1, "keeper.status", Nothing()) + frame(2, "keeper.status", {})]


def gateway_seeds() -> list[bytes]:
    caller = said.Caller("192.0.2.7", said.HttpProof("token", "proof", "GET", "https://a/b"), None)
    bodies = {
        "keeper.hello": said.Hello("fuzzed", "0"),
        "exchange.shares": said.ShareQuery(caller, limit=10),
        "identity.token": said.TokenRequest("c", "a", "d", "i", "u", "192.0.2.7"),
        "identity.ssh_sign_in": said.SshSignIn("user", b"key", b"session", b"signed", b"signature", "192.0.2.7"),
    }
    return [b"".join(frame(number, name, body) for number, (name, body) in enumerate(bodies.items()))]


def console_seeds() -> list[bytes]:
    proof = people.PersonProof("session", "a" * 64)
    finished = people.Finished("ceremony", '{"id":"x"}', "192.0.2.7", "a" * 64)
    bodies = {
        "people.origin": people.Origin("http://localhost:8080"),
        "people.enrol_begin": people.EnrolBegin("token", "192.0.2.7", "a" * 64),
        "people.sign_in": finished,
        "people.authorise": people.Authorise(proof, "see-overview"),
        "people.do": people.Do(proof, "revocation.revoke", b"\x80", finished),
    }
    return [b"".join(frame(number, name, body) for number, (name, body) in enumerate(bodies.items()))]


WORDS = (
    *(_framed(b"\x91" * 3900), _framed(frame(7, "keeper.status", None)[4:-1] + b"\x91" * 3900)),
    *(b"\xc0", b"\x80", b"\x90", b"\x91" * 40, b"\x81" * 40, b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff"),
    *(b"\xc6\xff\xff\xff\xff", b"\xd9\xff", b"\xc1", b"\xcb\x7f\xf0\0\0\0\0\0\0", b"\0\0\0\0", b"\0\0\0\x05"),
)
OPERATOR = Target(
    "operator-frames",
    functools.partial(check, OPERATOR_VERBS),
    operator_seeds,
    WORDS,
    longest=4096,
    calls=(200, 200_000),
)
CONSOLE = Target(
    "console-frames", functools.partial(check, CONSOLE_VERBS), console_seeds, WORDS, longest=4096, calls=(200, 200_000)
)
GATEWAY = Target(
    "gateway-frames", functools.partial(check, GATEWAY_VERBS), gateway_seeds, WORDS, longest=4096, calls=(200, 200_000)
)
