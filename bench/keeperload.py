"""A load on the keeper's gateway socket: many callers at once, multiplexed over a few connections as a gateway does."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keten.keeper import protocol as said

_LENGTH = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(said.Answer).decode


class Callers(asyncio.Protocol):
    """One connection; `call` returns a future of the raw answer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[said.Answer]] = {}
        self._number = 0
        self._buffer = b""
        self._out: list[bytes] = []
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers."""
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while len(buffer) - at >= 4:
            (length,) = _LENGTH.unpack_from(buffer, at)
            if len(buffer) - at - 4 < length:
                break
            frame = buffer[at + 4 : at + 4 + length]
            at += 4 + length
            if frame[1] != 0:  # 0 is the number of a push
                answer = _decode(frame)
                self._waiting.pop(answer.number).set_result(answer)
        self._buffer = buffer[at:]

    def call(self, verb: str, body: bytes) -> asyncio.Future[said.Answer]:
        """Say a verb with an encoded body."""
        self._number += 1
        future: asyncio.Future[said.Answer] = self._loop.create_future()
        self._waiting[self._number] = future
        frame = _encode(said.Request(self._number, verb, msgspec.Raw(body)))
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out += [_LENGTH.pack(len(frame)), frame]
        return future

    def _flush(self) -> None:
        out, self._out = self._out, []
        self._transport.write(b"".join(out))

    async def ask(self, verb: str, body: msgspec.Struct, answer: type) -> Any:
        """Say a verb and decode its answer; `AssertionError` for a failure."""
        got = await self.call(verb, _encode(body))
        if not got.ok:
            raise AssertionError(msgspec.msgpack.decode(got.body))
        return msgspec.msgpack.decode(got.body, type=answer)


async def connected(socket: Path) -> Callers:
    """A connection that has introduced itself."""
    _transport, callers = await asyncio.get_running_loop().create_unix_connection(Callers, str(socket))
    await callers.ask("keeper.hello", said.Hello("bench", "0"), said.Welcome)
    return callers


def _text(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def ssh_sign_in(client_id: str, key: Ed25519PrivateKey) -> said.SshSignIn:
    """A sign-in as an SSH client's would reach the keeper (RFC 4252 §7)."""
    blob = _text(b"ssh-ed25519") + _text(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    session_id = os.urandom(32)
    parts = (_text(client_id.encode()), _text(b"ssh-connection"), _text(b"publickey"), b"\1", _text(b"ssh-ed25519"))
    signed = b"\x32" + b"".join(parts) + _text(blob)
    signature = _text(b"ssh-ed25519") + _text(key.sign(_text(session_id) + signed))
    return said.SshSignIn(client_id, blob, session_id, signed, signature, "127.0.0.1")


class Load:
    """Times of a closed loop: each caller says the next thing when it has its answer."""

    def __init__(self) -> None:
        self.milliseconds: list[float] = []
        self.seconds = 0.0

    async def run(self, callers: int, seconds: float, cycle: Any) -> None:
        """Run `cycle()` (a coroutine function) in `callers` loops for a while; its steps note their own times."""
        started = time.perf_counter()
        deadline = started + seconds

        async def one() -> None:
            while time.perf_counter() < deadline:
                await cycle(self)

        await asyncio.gather(*(one() for _ in range(callers)))
        self.seconds = time.perf_counter() - started

    def note(self, began: float) -> None:
        """One acknowledged entry."""
        self.milliseconds.append((time.perf_counter() - began) * 1000)

    def summary(self) -> dict[str, float]:
        """Entries a second and percentiles in milliseconds."""
        ordered = sorted(self.milliseconds)
        count = len(ordered)
        return {
            "per_second": round(count / self.seconds, 1),
            "p50_ms": round(ordered[count // 2], 2),
            "p99_ms": round(ordered[int(count * 0.99)], 2),
            "max_ms": round(ordered[-1], 2),
        }
