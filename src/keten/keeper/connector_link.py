"""The keeper's way to the connector: asked with a deadline, never waited for by anybody else."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from keten.core.errors import Unavailable, rebuild
from keten.core.sources import SystemPlace
from keten.keeper.protocol import Answer, Failure, Request
from keten.keeper.server import peer_of
from keten.systems.asking import MAX_FRAME, AskRows, Describe, Described, Rows, Where

T = TypeVar("T")
log = logging.getLogger(__name__)
GRACE_SECONDS = 1.5  # over what the connector itself gives a system: then it is the connector that hangs
MOST_PENDING = 1024
_LENGTH = struct.Struct(">I")
_DAMAGED = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError)
_decode_answer = msgspec.msgpack.Decoder(Answer).decode


class ConnectorLink:
    """One connection, many questions at once; made when there is something to ask. For the keeper's loop alone.

    users: who may be the connector, by user id.
    """

    def __init__(self, path: Path, users: frozenset[int], systems: Mapping[str, SystemPlace]) -> None:
        self._path = path
        self._users = users
        self._systems = systems
        self._number = 0
        self._pending: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def rows(self, asked: AskRows) -> Rows:
        """Rows by keys. Raises `Unavailable`: "system-unavailable", and what the connector says."""
        answer = await self._ask("connector.rows", asked.where, asked, Rows)
        widths = {len(row) for row in answer.rows if row is not None}
        if len(answer.rows) != len(asked.keys) or widths - {len(asked.columns)}:
            raise _absent("the connector answered something else")
        return answer

    async def describe(self, asked: Describe) -> Described:
        """The form of a table. Raises as `rows`."""
        return await self._ask("connector.describe", asked.where, asked, Described)

    async def _ask(self, verb: str, where: Where, body: msgspec.Struct, answer: type[T]) -> T:
        place = self._systems.get(where.system)
        if place is None:
            raise _absent(f"[systems.{where.system}] is not in keten.toml")
        if len(self._pending) >= MOST_PENDING:
            raise _absent("too many lookups wait for the connector")
        try:
            async with asyncio.timeout(place.seconds + GRACE_SECONDS):
                raw = await self._said(verb, body)
            return msgspec.msgpack.decode(raw, type=answer)
        except TimeoutError as error:
            raise _absent("the connector did not answer in time") from error
        except OSError as error:
            raise _absent(f"the connector cannot be reached: {error.strerror or type(error).__name__}") from error
        except _DAMAGED as error:
            raise _absent("the connector answered something malformed") from error

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
        """The connection, made when there is none. Raises `OSError`, `Unavailable` when it is not the connector."""
        async with self._connecting:
            if self._writer is not None:
                return self._writer
            reader, writer = await asyncio.open_unix_connection(str(self._path))
            peer = peer_of(writer.get_extra_info("socket"))
            if peer.uid not in self._users:
                writer.close()
                raise _absent(f"the connector's socket is of user {peer.name}")
            self._writer = writer
            self._reading = asyncio.ensure_future(self._read(reader, writer))
            return writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        why = "the connector went away"
        try:
            while True:
                (length,) = _LENGTH.unpack(await reader.readexactly(4))
                if length > MAX_FRAME:
                    why = "the connector says too much at once"
                    return
                self._heard(_decode_answer(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            return
        except _DAMAGED:
            why = "the connector answered something malformed"
        finally:
            writer.close()
            self._writer = None
            pending, self._pending = self._pending, {}
            for future in pending.values():
                if not future.done():
                    future.set_exception(_absent(why))

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
            error = _absent(f"{failure.code}: {failure.public}")
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


def _absent(why: str) -> Unavailable:
    return Unavailable("system-unavailable", "The system that holds these records cannot be asked now.", why)
