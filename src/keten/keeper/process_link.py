"""The keeper's way to a process beside it, on that one's socket: asked with a deadline, waited for by nobody else."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from keten.core.errors import Unavailable, rebuild
from keten.keeper.protocol import Answer, Failure, Request
from keten.keeper.server import peer_of

T = TypeVar("T")
MOST_PENDING = 1024
_LENGTH = struct.Struct(">I")
_DAMAGED = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError)
_decode_answer = msgspec.msgpack.Decoder(Answer).decode


class ProcessLink:
    """One connection, many questions at once; made when there is something to ask. For the keeper's loop alone.

    what: the process, in words. users: who may be it, by user id. most: bytes of an answer. code, public: of the
    `Unavailable` that says it can't be asked.
    """

    def __init__(self, path: Path, what: str, users: frozenset[int], most: int, code: str, public: str) -> None:
        self._path = path
        self._what = what
        self._users = users
        self._most = most
        self._code, self._public = code, public
        self._number = 0
        self._pending: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def ask(self, verb: str, body: msgspec.Struct, answer: type[T], seconds: float) -> T:
        """Say one verb and wait for its answer. Raises `Unavailable`."""
        if len(self._pending) >= MOST_PENDING:
            raise self.absent(f"too many questions wait for {self._what}")
        try:
            async with asyncio.timeout(seconds):
                raw = await self._said(verb, body)
            return msgspec.msgpack.decode(raw, type=answer)
        except TimeoutError as error:
            raise self.absent(f"{self._what} did not answer in time") from error
        except OSError as error:
            raise self.absent(f"{self._what} cannot be reached: {error.strerror or type(error).__name__}") from error
        except _DAMAGED as error:
            raise self.absent(f"{self._what} answered something malformed") from error

    def absent(self, why: str) -> Unavailable:
        """It can't be asked."""
        return Unavailable(self._code, self._public, why)

    async def _said(self, verb: str, body: msgspec.Struct) -> msgspec.Raw:
        writer = await self._connected()
        self._number += 1
        number = self._number
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            frame = msgspec.msgpack.encode(Request(number, verb, msgspec.Raw(msgspec.msgpack.encode(body))))
            writer.write(_LENGTH.pack(len(frame)) + frame)
            return await future
        finally:
            self._pending.pop(number, None)

    async def _connected(self) -> asyncio.StreamWriter:
        """The connection, made when there is none. Raises `OSError`, `Unavailable` when it is another user's."""
        async with self._connecting:
            if self._writer is not None:
                return self._writer
            reader, writer = await asyncio.open_unix_connection(str(self._path))
            peer = peer_of(writer.get_extra_info("socket"))
            if peer.uid not in self._users:
                writer.close()
                raise self.absent(f"the socket of {self._what} is of user {peer.name}")
            self._writer = writer
            self._reading = asyncio.ensure_future(self._read(reader, writer))
            return writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        why = f"{self._what} went away"
        try:
            while True:
                (length,) = _LENGTH.unpack(await reader.readexactly(4))
                if length > self._most:
                    why = f"{self._what} says too much at once"
                    return
                self._heard(_decode_answer(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            return
        except _DAMAGED:
            why = f"{self._what} answered something malformed"
        finally:
            writer.close()
            self._writer = None
            pending, self._pending = self._pending, {}
            for future in pending.values():
                if not future.done():
                    future.set_exception(self.absent(why))

    def _heard(self, answer: Answer) -> None:
        future = self._pending.get(answer.number)
        if future is None or future.done():
            return  # nobody waits any more
        if answer.ok:
            future.set_result(msgspec.Raw(bytes(answer.body)))
            return
        failure = msgspec.msgpack.decode(answer.body, type=Failure)
        error = rebuild(failure.category, failure.code, failure.public, failure.reason)
        if not isinstance(error, Unavailable):  # a keeper of another version, or a fault of ours
            error = self.absent(f"{failure.code}: {failure.public}")
        future.set_exception(error)

    async def close(self) -> None:
        """End the connection."""
        writer = self._writer
        if writer is not None:
            writer.close()
        if self._reading is not None:
            await self._reading
        if writer is not None:
            with suppress(OSError):  # it went away first
                await writer.wait_closed()
