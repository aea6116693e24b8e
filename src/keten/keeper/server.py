"""The keeper's sockets: framing, peer credentials, and which verbs a socket knows."""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec

from keten.core.errors import Denied, Invalid, KetenError
from keten.identity.people_model import Signed
from keten.keeper.protocol import Failure, Push, Request

log = logging.getLogger(__name__)

_LENGTH = struct.Struct(">I")
MAX_RUNNING = 4096  # requests of one connection at once; past that its socket is not read
FIRST_REQUEST = 1  # what a client numbers it; a user who is refused is answered before it
MAX_UNREAD = 4 * 1024 * 1024  # bytes of answers that a peer may leave unread before its socket is not read either
# What a peer's bytes can raise: no MessagePack, another type, no UTF-8, nested too deeply.
_MALFORMED = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError)
_encode = msgspec.msgpack.Encoder().encode
_decode_request = msgspec.msgpack.Decoder(Request).decode


class Peer(msgspec.Struct, frozen=True):
    """Who is on the other side of a Unix socket, by the operating system's word (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int

    @property
    def name(self) -> str:
        """The user's name, or its number where it has none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)


class Reply:
    """Where one request's answer goes; used once."""

    __slots__ = ("_connection", "_number")

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number

    def ok(self, body: msgspec.Struct) -> None:
        """The verb's answer. One that is longer than the other side takes fails, and only that: not the connection."""
        answer = _encode((self._number, True, body))
        if len(answer) > self._connection.max_answer:
            log.error("an answer of %d bytes, a %s, is too long to be said", len(answer), type(body).__name__)
            self.error(internal())
        else:
            self._connection.answer(answer)

    def error(self, error: KetenError) -> None:
        """A failure; the private reason goes to operators only."""
        reason = error.reason if self._connection.tells_reasons else ""
        data = getattr(error, "data", None) or {}
        failure = Failure(error.category, error.code, error.public, reason, data)
        self._connection.answer(_encode((self._number, False, failure)))


Handler = Callable[["Connection", Any, Reply], None]


class Verb(msgspec.Struct, frozen=True):
    """A verb's body decoder and what it does."""

    decode: Callable[[Any], Any]
    handle: Handler


def verb(body: type, handle: Handler) -> Verb:
    """A verb that answers through its `Reply`, at once or later."""
    return Verb(msgspec.msgpack.Decoder(body).decode, handle)


def waiting_verb(body: type, handle: Callable[[Connection, Any], Awaitable[msgspec.Struct]]) -> Verb:
    """A verb written as a coroutine that returns its answer."""

    async def run(connection: Connection, value: Any, reply: Reply) -> None:
        try:
            reply.ok(await handle(connection, value))
        except KetenError as error:
            reply.error(error)
        except Exception:
            log.exception("a verb failed")
            reply.error(internal())

    def start(connection: Connection, value: Any, reply: Reply) -> None:
        task = asyncio.ensure_future(run(connection, value, reply))
        connection.tasks.add(task)
        task.add_done_callback(connection.tasks.discard)

    return Verb(msgspec.msgpack.Decoder(body).decode, start)


def internal() -> KetenError:
    """What is answered when something failed that nobody foresaw; the log says what."""
    return KetenError("keeper-error", "Something went wrong in the keeper; nothing was given out.")


class Connection(asyncio.Protocol):
    """One connection to a socket of the keeper. outside_only: who acts changes nothing of the organisation's own."""

    outside_only = False

    def __init__(self, endpoint: Endpoint, number: int) -> None:
        self._endpoint = endpoint
        self.number = number
        self.tells_reasons = endpoint.tells_reasons
        self.max_answer = endpoint.max_answer
        self.tasks: set[asyncio.Future[None]] = set()
        self.peer = Peer(0, -1, -1)
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._queued = 0  # bytes in it
        self._running = 0
        self._unread = False  # the peer does not read its answers
        self._reading = True
        self.loop = asyncio.get_running_loop()

    # ---- asyncio's calls -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Check who it is before reading anything."""
        self._transport = cast("asyncio.Transport", transport)
        self.peer = peer_of(transport.get_extra_info("socket"))
        if self.peer.uid not in self._endpoint.users:
            log.warning("refused user %s on %s", self.peer.name, self._endpoint.path)
            self._refuse()
            return
        self._transport.set_write_buffer_limits(high=MAX_UNREAD)
        self._endpoint.connections[self.number] = self

    def _refuse(self) -> None:
        """End a connection that is not for this user. A person at the operator's socket is told why."""
        if self._transport is None:
            return
        if not self.tells_reasons:
            self._transport.abort()
            return
        public = f"The keeper takes no commands of the user {self.peer.name}: it is not in [keeper] operator_users."
        answer = _encode((FIRST_REQUEST, False, Failure(Denied.category, "not-an-operator", public, "", {})))
        self._transport.write(_LENGTH.pack(len(answer)) + answer)
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take whole frames off the buffer and run them; a malformed frame ends the connection."""
        self._buffer += data
        self._take()

    def _take(self) -> None:
        buffer = self._buffer
        at = 0
        while self._reading and len(buffer) - at >= 4:
            (length,) = _LENGTH.unpack_from(buffer, at)
            if length > self._endpoint.max_frame:
                self._abort(f"a frame of {length} bytes")
                return
            if len(buffer) - at - 4 < length:
                break
            frame = bytes(buffer[at + 4 : at + 4 + length])
            at += 4 + length
            try:
                request = _decode_request(frame)
            except _MALFORMED as error:
                self._abort(f"a malformed frame: {error}")
                return
            self._run(request)
        del buffer[:at]

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget it; what it had under way is the endpoint's to settle."""
        self._transport = None
        if self._endpoint.connections.pop(self.number, None) is not None:
            self._endpoint.on_lost(self)

    def pause_writing(self) -> None:
        """The peer does not read its answers: hear no more of it, so that answers don't fill the memory."""
        self._unread = True
        self._read_or_wait()

    def resume_writing(self) -> None:
        """It reads again."""
        self._unread = False
        self._read_or_wait()

    def _read_or_wait(self) -> None:
        wanted = not self._unread and self._queued < MAX_UNREAD and self._running < MAX_RUNNING
        if self._transport is None or self._transport.is_closing() or wanted == self._reading:
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
            self.loop.call_soon(self._take)  # what came while nothing was taken
        else:
            self._transport.pause_reading()

    def _abort(self, why: str) -> None:
        log.warning("connection of user %s on %s ended: %s", self.peer.name, self._endpoint.path, why)
        if self._transport is not None:
            self._transport.abort()

    @property
    def actor(self) -> str:
        """Who acts here, as entries name it."""
        return f"operator:{self.peer.name}"

    @property
    def person(self) -> str:
        """The person who acts here, by random id; "" for a user of the operating system."""
        return ""

    @property
    def signed(self) -> Signed | None:
        """What a person's passkey signed for, for this very act; None where it signed for nothing."""
        return None

    @property
    def alive(self) -> bool:
        """Whether the other side is still there, as far as is known."""
        return self._transport is not None and not self._transport.is_closing()

    # ---- requests and answers --------------------------------------------------------------------------------

    def _run(self, request: Request) -> None:
        reply = Reply(self, request.number)
        self._running += 1
        if self._running >= MAX_RUNNING:
            self._read_or_wait()
        known = self._endpoint.verbs.get(request.verb)
        if known is None:
            reply.error(Invalid("unknown-verb", "This socket does not know that verb."))
            return
        try:
            body = known.decode(request.body)
        except _MALFORMED as error:
            reply.error(Invalid("malformed", "The request is malformed.", str(error)))
            return
        try:
            known.handle(self, body, reply)
        except KetenError as error:
            reply.error(error)
        except Exception:
            log.exception("verb %s failed", request.verb)
            reply.error(internal())

    def answer(self, answer: bytes) -> None:
        """Send an encoded `Answer`; answers of one turn of the loop leave together."""
        self._running -= 1
        self._send(answer)

    def push(self, name: str, body: msgspec.Struct) -> None:
        """Say something unasked, at once."""
        self._send(_encode(Push(0, name, msgspec.Raw(_encode(body)))))
        self._flush()

    def _send(self, frame: bytes) -> None:
        if not self._out:
            self.loop.call_soon(self._flush)
        self._out.append(_LENGTH.pack(len(frame)))
        self._out.append(frame)
        self._queued += len(frame)
        if self._queued >= MAX_UNREAD:
            self._read_or_wait()

    def _flush(self) -> None:
        out, self._out, self._queued = self._out, [], 0
        if out and self._transport is not None:
            self._transport.write(b"".join(out))
        if not self._reading:
            self._read_or_wait()

    def close(self) -> None:
        """End the connection after what was sent."""
        self._flush()
        if self._transport is not None:
            self._transport.close()


class Endpoint:
    """One Unix socket: where it is, who may connect, and what it knows. `max_frame`, `max_answer`: bytes."""

    def __init__(
        self,
        path: Path,
        users: frozenset[int],
        verbs: Mapping[str, Verb],
        *,
        max_frame: int,
        max_answer: int,
        tells_reasons: bool,
        mode: int,
        on_lost: Callable[[Connection], None] = lambda _connection: None,
    ) -> None:
        self.path = path
        self.users = users
        self.verbs = verbs
        self.max_frame = max_frame
        self.max_answer = max_answer
        self.tells_reasons = tells_reasons
        self.on_lost = on_lost
        self.connections: dict[int, Connection] = {}
        self._mode = mode
        self._next = 0
        self._server: asyncio.AbstractServer | None = None

    def _connection(self) -> Connection:
        self._next += 1
        return Connection(self, self._next)

    async def start(self) -> None:
        """Listen. A socket file that a killed keeper left is replaced (the keeper's lock says nobody listens)."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.get_running_loop().create_unix_server(
            self._connection, str(self.path), backlog=512
        )
        self.path.chmod(self._mode)

    def refuse(self) -> None:
        """Stop listening; the connections that are there go on."""
        if self._server is not None:
            self._server.close()
            self._server = None
        with suppress(OSError):  # nobody listens on what is left of it, and the next keeper replaces it
            self.path.unlink(missing_ok=True)

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        self.refuse()
        for connection in list(self.connections.values()):
            connection.close()


def peer_of(connected: Any) -> Peer:
    """The peer's credentials as the kernel gives them (unix(7), SO_PEERCRED)."""
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return Peer(*struct.unpack("3i", raw))


def user_ids(names: tuple[str, ...]) -> frozenset[int]:
    """Users by name or number, with the keeper's own user and root always among them. `Invalid` for an unknown name."""
    return named_ids(names) | {os.getuid(), 0}


def named_ids(names: tuple[str, ...]) -> frozenset[int]:
    """The users that are named by name or number, and no others. Raises `Invalid` for an unknown name."""
    found = set()
    for name in names:
        try:
            found.add(int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid)
        except (KeyError, ValueError) as error:  # ValueError: a NUL in it
            raise Invalid("settings", f"[keeper]: there is no user {name!r} on this machine.") from error
    return frozenset(found)
