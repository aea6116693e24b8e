"""The keeper's sockets: who may connect, frames of every bad kind, peers that flood or do not read."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from keten.core.errors import Denied, Invalid
from keten.keeper import server
from keten.keeper.client import KeeperClient
from keten.keeper.protocol import Answer, Failure, Nothing, Request
from keten.keeper.server import MAX_UNREAD, Connection, Endpoint, Reply, user_ids, verb, waiting_verb

MAX_FRAME = 10_000
MAX_ANSWER = 60_000


class Said(msgspec.Struct, frozen=True):
    text: str = ""


class Served:
    """An endpoint in a loop of its own, as the keeper runs it."""

    def __init__(self, path: Path, users: frozenset[int], *, tells_reasons: bool) -> None:
        self.path = path
        self.lost: list[int] = []
        self.held: list[Reply] = []
        self._users = users
        self._tells = tells_reasons
        self._ready, self._end = threading.Event(), asyncio.Event()
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(30)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.endpoint = Endpoint(
            self.path,
            self._users,
            {
                "test.echo": verb(Said, lambda _connection, said, reply: reply.ok(said)),
                "test.slow": waiting_verb(Said, self._slow),
                "test.big": verb(Nothing, lambda _connection, _said, reply: reply.ok(Said("x" * 50_000))),
                "test.too_big": verb(Nothing, lambda _connection, _said, reply: reply.ok(Said("x" * MAX_ANSWER))),
                "test.too_big_later": waiting_verb(Nothing, self._too_big),
                "test.denied": verb(Said, self._denied),
                "test.broken": verb(Said, self._broken),
                "test.broken_later": waiting_verb(Said, self._broken_later),
                "test.held": verb(Said, lambda _connection, _said, reply: self.held.append(reply)),
            },
            max_frame=MAX_FRAME,
            max_answer=MAX_ANSWER,
            tells_reasons=self._tells,
            mode=0o600,
            on_lost=lambda connection: self.lost.append(connection.number),
        )
        await self.endpoint.start()
        self._ready.set()
        await self._end.wait()
        await self.endpoint.stop()

    async def _slow(self, _connection: Connection, said: Said) -> Said:
        await asyncio.sleep(0.01)
        return said

    async def _too_big(self, _connection: Connection, _said: Nothing) -> Said:
        return Said("x" * MAX_ANSWER)

    def _denied(self, _connection: Connection, _said: Said, _reply: Reply) -> None:
        raise Denied("no", "No.", "because of what the ledger may know")

    def _broken(self, _connection: Connection, _said: Said, _reply: Reply) -> None:
        raise ZeroDivisionError("a secret of the inside")

    async def _broken_later(self, _connection: Connection, _said: Said) -> Said:
        raise ZeroDivisionError("a secret of the inside")

    def in_loop(self, call: Any) -> None:
        self.loop.call_soon_threadsafe(call)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)
        assert not self._thread.is_alive()


@contextmanager
def served(users: frozenset[int] | None = None, *, tells_reasons: bool = False) -> Iterator[Served]:
    with tempfile.TemporaryDirectory() as folder:
        made = Served(
            Path(folder) / "s", frozenset({os.getuid()}) if users is None else users, tells_reasons=tells_reasons
        )
        try:
            yield made
        finally:
            made.close()


@pytest.fixture(scope="module")
def one() -> Iterator[Served]:
    with served() as made:
        yield made


def connected(to: Served) -> socket.socket:
    wire = socket.socket(socket.AF_UNIX)
    wire.settimeout(30)
    wire.connect(str(to.path))
    return wire


def frame(number: int, name: str, body: Any) -> bytes:
    raw = msgspec.msgpack.encode(Request(number, name, msgspec.Raw(msgspec.msgpack.encode(body))))
    return struct.pack(">I", len(raw)) + raw


def packed(value: Any, after: bytes = b"") -> bytes:
    raw = msgspec.msgpack.encode(value) + after
    return struct.pack(">I", len(raw)) + raw


def answer(wire: socket.socket) -> tuple[Answer, Any]:
    def exactly(count: int) -> bytes:
        got = b""
        while len(got) < count:
            part = wire.recv(count - len(got))
            assert part, "the connection was ended"
            got += part
        return got

    found = msgspec.msgpack.decode(exactly(struct.unpack(">I", exactly(4))[0]), type=Answer)
    return found, msgspec.msgpack.decode(found.body)


def ended(wire: socket.socket) -> bool:
    """Whether the other side ended it, without a word."""
    try:
        return wire.recv(1) == b""
    except ConnectionResetError:
        return True


def alive(one: Served) -> None:
    with KeeperClient(one.path, timeout=30) as client:
        assert client.call("test.echo", Said("still here"), Said) == Said("still here")


def test_an_answer_has_its_requests_number(one: Served) -> None:
    with connected(one) as wire:
        wire.sendall(frame(7, "test.slow", Said("a")) + frame(9, "test.echo", Said("b")))
        (first, said), (second, later) = answer(wire), answer(wire)
        assert (first.number, said) == (9, {"text": "b"})
        assert (second.number, later) == (7, {"text": "a"})


def test_a_frame_in_pieces(one: Served) -> None:
    with connected(one) as wire:
        for byte in frame(1, "test.echo", Said("slowly")):
            wire.sendall(bytes([byte]))
        assert answer(wire)[1] == {"text": "slowly"}


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack(">I", MAX_FRAME + 1),
        b"\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">I", 0),
        struct.pack(">I", 3) + b"\xc1\xc1\xc1",
        struct.pack(">I", 1) + b"\x93",
        struct.pack(">I", 5) + msgspec.msgpack.encode([1, "a", 2])[:1] + b"\x01\xa1\xff\x02",
        packed({"number": 1}),
        packed(["1", "test.echo", {}]),
        packed([1, "test.echo", {}], b"after"),
    ],
    ids=["too long", "4 GiB", "http", "empty", "reserved", "cut", "not utf-8", "a map", "a text number", "after"],
)
def test_a_malformed_frame_ends_its_connection_and_no_other(one: Served, raw: bytes) -> None:
    with connected(one) as other, connected(one) as wire:
        wire.sendall(raw)
        assert ended(wire)
        other.sendall(frame(1, "test.echo", Said("x")))
        assert answer(other)[1] == {"text": "x"}


@pytest.mark.parametrize("body", [[], "text", {"text": 5}, {"text": None}, {"text": ["x"]}, 1 << 63, None])
def test_a_malformed_body_is_answered(one: Served, body: Any) -> None:
    with connected(one) as wire:
        wire.sendall(frame(3, "test.echo", body))
        found, failure = answer(wire)
        assert (found.number, found.ok) == (3, False)
        assert (failure["category"], failure["code"]) == ("invalid", "malformed")
        assert failure["reason"] == ""


@pytest.mark.parametrize("name", ["", "revocation.revoke", "test.echo ", "TEST.ECHO", "__class__", "x" * 9000])
def test_an_unknown_verb(one: Served, name: str) -> None:
    with connected(one) as wire:
        wire.sendall(frame(1, name, {}) + frame(2, "test.echo", Said("x")))
        assert answer(wire)[1]["code"] == "unknown-verb"
        assert answer(wire)[1] == {"text": "x"}


@pytest.mark.parametrize("name", ["test.too_big", "test.too_big_later"])
def test_an_answer_that_is_too_long_fails_its_request_alone(one: Served, name: str) -> None:
    with connected(one) as wire:
        wire.sendall(frame(1, "test.slow", Said("before")) + frame(2, name, Nothing()))
        wire.sendall(frame(3, "test.echo", Said("x")))
        answers = {found.number: (found.ok, body) for found, body in (answer(wire) for _each in range(3))}
        assert answers[1] == (True, {"text": "before"})
        assert answers[2][0] is False
        assert answers[2][1]["code"] == "keeper-error"
        assert answers[3] == (True, {"text": "x"})
    alive(one)


@pytest.mark.parametrize("name", ["test.broken", "test.broken_later"])
def test_a_fault_of_ours_says_nothing_of_the_inside(one: Served, name: str) -> None:
    with connected(one) as wire:
        wire.sendall(frame(1, name, Said()))
        found, failure = answer(wire)
        assert not found.ok
        assert failure["code"] == "keeper-error"
        assert "secret" not in str(failure)
    alive(one)


@pytest.mark.parametrize("tells", [True, False])
def test_the_private_reason_is_for_operators(tells: bool) -> None:
    with served(tells_reasons=tells) as made, connected(made) as wire:
        wire.sendall(frame(1, "test.denied", Said()))
        failure = msgspec.convert(answer(wire)[1], Failure)
        assert failure == Failure("denied", "no", "No.", "because of what the ledger may know" if tells else "")


def test_another_user_is_refused_before_a_word_is_read() -> None:
    with served(users=frozenset({os.getuid() + 1})) as made, connected(made) as wire:
        with suppress(OSError):  # refused that fast
            wire.sendall(frame(1, "test.echo", Said("x")))
        assert ended(wire)
        assert made.endpoint.connections == {}
        assert made.lost == []


def test_an_operator_who_is_none_is_told_so() -> None:
    """Not that the keeper went away; also when the request comes after the refusal."""
    with served(users=frozenset({os.getuid() + 1}), tells_reasons=True) as made:
        for late in (False, True):
            with KeeperClient(made.path) as client:
                if late:
                    client._socket.recv(1, socket.MSG_PEEK)
                with pytest.raises(Denied, match="operator_users"):
                    client.call("say", Nothing(), Nothing)


def test_a_lost_connection_is_told_once(one: Served) -> None:
    with connected(one) as wire:
        wire.sendall(frame(1, "test.echo", Said("x")))
        answer(wire)
        number = max(one.endpoint.connections)
        wire.sendall(frame(2, "test.held", Said()))
    while number not in one.lost:
        time.sleep(0.005)
    assert one.lost.count(number) == 1
    assert number not in one.endpoint.connections
    one.in_loop(lambda: one.held.pop().ok(Said("to nobody")))
    alive(one)


def _fill(wire: socket.socket, raw: bytes, most: int) -> int:
    """Write until the other side takes no more for two seconds; how many bytes it took."""
    taken = 0
    wire.settimeout(2)
    try:
        while taken < most:
            taken += wire.send(raw[taken % len(raw) :])
    except TimeoutError:
        pass
    finally:
        wire.settimeout(30)
    return taken


def test_who_does_not_read_is_not_read_either(one: Served) -> None:
    """Answers to a peer that does not take them would fill the keeper's memory."""
    each = frame(1, "test.big", Nothing())
    with connected(one) as wire:
        taken = _fill(wire, each, 64 << 20)
        assert taken < 4 << 20, "it would have gone on for ever"
        (connection,) = [each for each in one.endpoint.connections.values() if each._unread]
        transport: Any = connection._transport
        assert MAX_UNREAD < transport.get_write_buffer_size() < 3 * MAX_UNREAD
        assert len(connection._out) == 0
        alive(one)
        for _number in range(taken // len(each)):  # whole requests: all of them are answered
            found, said = answer(wire)
            assert found.ok
            assert len(said["text"]) == 50_000
    alive(one)


def test_who_asks_too_much_at_once_waits(one: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_RUNNING", 5)
    with connected(one) as wire:
        held = b"".join(frame(number, "test.held", Said()) for number in range(1, 6))
        wire.sendall(held + frame(6, "test.echo", Said("later")))
        alive(one)
        wire.settimeout(0.5)
        with pytest.raises(TimeoutError):
            wire.recv(1)
        wire.settimeout(30)
        one.in_loop(lambda: one.held.pop().ok(Said("held")))
        assert {answer(wire)[1]["text"], answer(wire)[1]["text"]} == {"held", "later"}
        for reply in one.held:
            one.in_loop(partial(reply.ok, Said("held")))
        assert [answer(wire)[1]["text"] for _ in range(4)] == ["held"] * 4
        one.held.clear()
        wire.sendall(frame(7, "test.echo", Said("as ever")))
        assert answer(wire)[1] == {"text": "as ever"}


def test_the_socket_is_private_replaces_a_dead_one_and_goes() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        made = Served(path, frozenset({os.getuid()}), tells_reasons=False)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        alive(made)
        with connected(made) as wire:
            wire.sendall(frame(1, "test.echo", Said("x")))
            answer(wire)
            made.close()
            assert ended(wire)
        assert not path.exists()


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=6), st.booleans())
def test_random_bytes_kill_nothing(one: Served, parts: list[bytes], framed: bool) -> None:
    with connected(one) as wire:
        try:
            for part in parts:
                wire.sendall(struct.pack(">I", len(part)) + part if framed else part)
        except OSError:
            pass  # it has ended the connection already
    alive(one)


words = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=9),
        st.binary(max_size=9),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["test.echo", "test.slow", "test.big", "x"]), words), max_size=5))
def test_random_bodies_are_all_answered(one: Served, asked: list[tuple[str, Any]]) -> None:
    with connected(one) as wire:
        wire.sendall(b"".join(frame(number + 1, *each) for number, each in enumerate(asked)))
        assert sorted(answer(wire)[0].number for _ in asked) == list(range(1, len(asked) + 1))


def test_users_by_name_and_number() -> None:
    always = {0, os.getuid()}
    assert user_ids(()) == always
    assert user_ids(("root", "64011")) == always | {64011}
    for name in ("nobody-of-that-name", "", "-1", "1.5", "²", "a\0b"):
        with pytest.raises(Invalid):
            user_ids((name,))
