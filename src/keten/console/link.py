"""The console's one connection to the keeper: requests by number, answers to whoever waits for them.

The first thing that is said on each connection is what browsers call this console (`people.origin`). Until the keeper
has taken that, and whenever it is away, every call is refused; whoever was waiting when a connection broke hears that.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from keten.core.errors import Busy, KetenError, Unavailable, rebuild
from keten.keeper.people_protocol import Done, Origin
from keten.keeper.protocol import MAX_OPERATOR_FRAME, Answer, Failure, Request

log = logging.getLogger(__name__)

MAX_PENDING = 1000  # requests without an answer; past that callers hear Busy
ANSWER_SECONDS = 60.0  # ending a supplier waits until its transfers are cut
FIRST_BACKOFF = 0.05
LAST_BACKOFF = 2.0

T = TypeVar("T")
_LENGTH = struct.Struct(">I")
_decode_answer = msgspec.msgpack.Decoder(Answer).decode
_decode_failure = msgspec.msgpack.Decoder(Failure).decode
_DAMAGED = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError)


class KeeperLink:
    """The connection, kept up from `start` to `close`. path: the keeper's socket. origin: `https://host[:port]`."""

    def __init__(self, path: Path, origin: str) -> None:
        self._path = path
        self._origin = origin
        self._number = 0
        self._pending: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._why: KetenError | None = unreachable()  # why nothing can be asked; None: the keeper took the origin
        self._backoff = FIRST_BACKOFF
        self._keeping: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()

    async def call(self, verb: str, body: msgspec.Struct, answer: type[T]) -> T:
        """Say one verb and wait for its answer.

        Raises the keeper's own error; `Unavailable` ("keeper-unreachable") when it was not asked, ("keeper-gone") when
        it was asked and did not answer, so that nobody here knows whether it was done; `Busy`; what it had against the
        origin.
        """
        if self._why is not None:
            raise rebuild(self._why.category, self._why.code, self._why.public, self._why.reason)
        return await self._ask(verb, body, answer)

    async def _ask(self, verb: str, body: msgspec.Struct, answer: type[T]) -> T:
        if self._writer is None:
            raise unreachable()
        if len(self._pending) >= MAX_PENDING:
            raise Busy("too-many-at-once", "Too much is asked at once; try again in a moment.")
        self._number += 1
        number = self._number
        frame = msgspec.msgpack.encode(Request(number, verb, msgspec.Raw(msgspec.msgpack.encode(body))))
        waiting: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._pending[number] = waiting
        self._writer.write(_LENGTH.pack(len(frame)) + frame)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                raw = await waiting
        except TimeoutError:
            raise _gone(f"no answer to {verb} for {ANSWER_SECONDS:.0f} s") from None
        finally:
            self._pending.pop(number, None)
        try:
            return msgspec.msgpack.decode(raw, type=answer)
        except _DAMAGED as error:
            raise _gone(f"an answer to {verb} that is none: {error}") from error

    # ---- keeping the connection up -----------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and go on connecting until `close`."""
        self._keeping = asyncio.ensure_future(self._keep_up())

    async def settle(self, seconds: float) -> None:
        """Wait until the keeper has answered once, but no longer than that."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._answered.wait(), seconds)

    async def close(self) -> None:
        """End the connection."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep_up(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path))
            except OSError as error:
                log.debug("the keeper is not there yet: %s", error)
            else:
                await self._talk(reader, writer)
            await asyncio.sleep(self._backoff)
            self._backoff = min(self._backoff * 2, LAST_BACKOFF)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first word to its end."""
        self._writer = writer
        introducing = asyncio.ensure_future(self._introduce(writer))
        try:
            while True:
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if length > MAX_OPERATOR_FRAME:
                    log.error("connection to the keeper ended: a frame of %d bytes", length)
                    return
                self._heard(await reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError) as error:
            log.info("the connection to the keeper is over: %s", error)
        except _DAMAGED as error:
            log.error("connection to the keeper ended: a malformed frame: %s", error)  # noqa: TRY400 - says all
        finally:
            introducing.cancel()
            self._writer, self._why = None, unreachable()
            for one in self._pending.values():
                if not one.done():
                    one.set_exception(_gone("the connection broke"))
            writer.close()

    async def _introduce(self, writer: asyncio.StreamWriter) -> None:
        """Say what browsers call this console. A keeper that does not want that is asked nothing else.

        One that does not answer at all is not worth its connection.
        """
        try:
            await self._ask("people.origin", Origin(self._origin), Done)
        except KetenError as error:
            if error.code in ("keeper-gone", "keeper-unreachable"):
                writer.close()
            else:
                log.warning("the keeper does not take the origin %s: %s", self._origin, error)
                self._why = error
                self._answered.set()
            return
        self._why = None
        self._answered.set()
        self._backoff = FIRST_BACKOFF

    def _heard(self, frame: bytes) -> None:
        """An answer. One that nobody waits for any more came too late."""
        if frame[1:2] == b"\x00":  # [0, …] is a push, of no concern here
            return
        said = _decode_answer(frame)
        waiting = self._pending.get(said.number)
        if waiting is None or waiting.done():
            return
        if said.ok:
            waiting.set_result(said.body)
        else:
            failure = _decode_failure(said.body)
            error = rebuild(failure.category, failure.code, failure.public, failure.reason)
            vars(error)["data"] = dict(failure.data)
            waiting.set_exception(error)


def unreachable() -> Unavailable:
    """The keeper is away, and was not asked."""
    return Unavailable("keeper-unreachable", "The keeper cannot be reached.")


def _gone(reason: str) -> Unavailable:
    return Unavailable("keeper-gone", "The keeper went away before it answered.", reason)
