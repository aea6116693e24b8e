"""The gateway's one connection to the keeper: requests by number, answers to futures, pushes to the accesses.

Nobody is served without it: when the connection breaks, every running transfer is cut at once and new requests are
refused, until a keeper has answered `keeper.hello` again. Reports of how accesses ended wait here until the keeper
has answered them, across reconnections.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec

from keten.core.errors import Busy, KetenError, Unavailable, rebuild
from keten.keeper.people_protocol import Origin
from keten.keeper.protocol import (
    GATEWAY_VERBS,
    MAX_ANSWER_FRAME,
    PUSHES,
    Acknowledge,
    Cut,
    Delivered,
    Failure,
    Hello,
    Nothing,
    Welcome,
)

log = logging.getLogger(__name__)

MAX_PENDING = 4000  # requests without an answer; past that callers hear Busy. The keeper takes 4096 of a connection
QUIET_SECONDS = 5.0  # after so long without a frame from a keeper that was asked something, its health is asked
ANSWER_SECONDS = 30.0  # a keeper that says nothing for so long after that is treated as gone
WATCH_SECONDS = 1.0
FIRST_BACKOFF = 0.05
LAST_BACKOFF = 2.0
RETRY_SECONDS = 1.0  # between attempts to hand in a report that the keeper could not record

_LENGTH = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode


class _Said(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An answer or a push: `what` is whether it went well, or the push's name."""

    number: int
    what: bool | str
    body: msgspec.Raw


_decode_said = msgspec.msgpack.Decoder(_Said).decode
_decode_failure = msgspec.msgpack.Decoder(Failure).decode
_answers: dict[str, Callable[[Any], Any]] = {
    verb: msgspec.msgpack.Decoder(answer).decode for verb, (_body, answer) in GATEWAY_VERBS.items()
}
_answers["people.do"] = lambda said: said  # whoever asked knows what the verb in it answers
_pushes: dict[str, Callable[[Any], Any]] = {name: msgspec.msgpack.Decoder(body).decode for name, body in PUSHES.items()}
_DAMAGED = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError)


def data_of(error: KetenError) -> dict[str, str]:
    """What came with a failure, such as {"nonce": …}."""
    data = getattr(error, "data", None)
    return data if isinstance(data, dict) else {}


class _Pending:
    """One request that waits for its answer. `arrived` runs in the turn of the loop in which the answer is read."""

    __slots__ = ("arrived", "future", "since", "verb")

    def __init__(self, verb: str, future: asyncio.Future[Any], arrived: Callable[[Any], Any] | None) -> None:
        self.verb = verb
        self.future = future
        self.arrived = arrived
        self.since = time.monotonic()


class _Frames(asyncio.Protocol):
    """One connection's bytes: frames in, coalesced frames out."""

    def __init__(self, link: KeeperLink) -> None:
        self._link = link
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._aborted = False
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.broken: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; what is said first is the link's to say."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        """Take whole frames off the buffer, in order. A malformed one ends the connection: the keeper is not itself."""
        if self._is_over():
            return
        self._buffer += data
        buffer = self._buffer
        at = 0
        while len(buffer) - at >= 4:
            (length,) = _LENGTH.unpack_from(buffer, at)
            if length > MAX_ANSWER_FRAME:
                self.abort(f"a frame of {length} bytes")
                return
            if len(buffer) - at - 4 < length:
                break
            frame = bytes(buffer[at + 4 : at + 4 + length])
            at += 4 + length
            try:
                self._link.heard(self, _decode_said(frame))
            except _DAMAGED as error:
                self.abort(f"a malformed frame: {error}")
            if self._is_over():
                return
        del buffer[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        """The keeper is gone."""
        log.info("the connection to the keeper is over%s", f": {exc}" if exc else "")
        self.transport = None
        self._link.gone(self)
        self.broken.set_result(None)

    def _is_over(self) -> bool:
        return self._aborted

    def send(self, frame: bytes) -> None:
        """Send a frame; those of one turn of the loop leave together."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(_LENGTH.pack(len(frame)))
        self._out.append(frame)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self.transport is not None:
            self.transport.write(b"".join(out))

    def abort(self, why: str) -> None:
        """End the connection; `connection_lost` follows."""
        log.error("connection to the keeper ended: %s", why)
        self._aborted = True
        if self.transport is not None:
            self.transport.abort()


class KeeperLink:
    """One multiplexed connection to the keeper's gateway socket, kept up for as long as the gateway runs.

    `cut` resets what a push names when it is called, and returns what to wait for until the sockets are closed;
    `lost` cuts everything when it is called.
    """

    def __init__(
        self,
        path: Path,
        hello: Hello,
        *,
        cut: Callable[[Cut], Awaitable[None]],
        lost: Callable[[], None],
    ) -> None:
        self._path = path
        self._hello = hello
        self._cut = cut
        self._lost = lost
        self._number = 0
        self._heard = 0.0  # when the last frame came (monotonic, seconds)
        self._backoff = FIRST_BACKOFF
        self._pending: dict[int, _Pending] = {}
        self._reports: dict[str, Delivered] = {}
        self._unsent: deque[str] = deque()
        self._frames: _Frames | None = None
        self._ready = asyncio.Event()
        self._stopping = False
        self._tasks: set[asyncio.Future[None]] = set()
        self._keeping: asyncio.Task[None] | None = None
        self._all_reported: asyncio.Event | None = None
        self._waiting_to_retry: asyncio.TimerHandle | None = None
        self._origin = ""
        self.welcome: Welcome | None = None

    # ---- what the gateway says ---------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether a keeper is there and has said welcome."""
        return self._ready.is_set()

    @property
    def unreported(self) -> int:
        """How many ends of accesses the keeper has not confirmed yet."""
        return len(self._reports)

    async def call(self, verb: str, body: msgspec.Struct, arrived: Callable[[Any], Any] | None = None) -> Any:
        """Say a verb; its typed answer. Raises the keeper's own error, `Unavailable` when it is not there, or `Busy`.

        `arrived(answer)` runs when the answer is read, before anything that the keeper says after it, and also when
        the caller was cancelled meanwhile; what it returns is returned instead of the answer.
        """
        if not self.ready:
            raise _unreachable()
        return await self._say(verb, body, arrived)

    async def introduce(self, url: str) -> None:
        """What browsers call the portal: said now where a keeper is there, and first thing on every later connection.

        Raises what the keeper raises: "origin", when passkeys can't work there.
        """
        self._origin = url
        if self.ready:
            await self._say("people.origin", Origin(url), None)

    def tell(self, verb: str, body: msgspec.Struct) -> None:
        """Say a verb whose answer nobody waits for; forgotten when the keeper is not there."""
        if self.ready and len(self._pending) < MAX_PENDING:
            self._say(verb, body, None).add_done_callback(_swallow)

    def report(self, delivered: Delivered) -> None:
        """Hand in how an access ended: until the keeper has answered, again after every reconnection."""
        self._reports[delivered.opening] = delivered
        self._unsent.append(delivered.opening)
        self._hand_in()

    def _say(self, verb: str, body: msgspec.Struct, arrived: Callable[[Any], Any] | None) -> asyncio.Future[Any]:
        if len(self._pending) >= MAX_PENDING:
            raise Busy("too-many-at-once", "Too much is asked at once; try again in a moment.")
        return self._ask(verb, body, arrived)

    def _ask(
        self, verb: str, body: msgspec.Struct, arrived: Callable[[Any], Any] | None = None
    ) -> asyncio.Future[Any]:
        """Say what must be said however much waits: that something was cut, whether the keeper is there."""
        if self._frames is None:
            raise _unreachable()
        self._number += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[self._number] = _Pending(verb, future, arrived)
        self._frames.send(_encode((self._number, verb, body)))
        return future

    # ---- what the keeper says ----------------------------------------------------------------------------------

    def heard(self, frames: _Frames, said: _Said) -> None:
        """An answer or a push, in the order in which the keeper said them."""
        self._heard = time.monotonic()
        if isinstance(said.what, str):
            self._pushed(frames, said.what, said.body)
            return
        pending = self._pending.pop(said.number, None)
        if pending is None:
            frames.abort(f"an answer to number {said.number}, which was not asked")
            return
        if said.what:
            answer = _answers[pending.verb](said.body)
            if pending.arrived is not None:
                answer = pending.arrived(answer)
            if not pending.future.done():
                pending.future.set_result(answer)
        elif not pending.future.done():
            failure = _decode_failure(said.body)
            error = rebuild(failure.category, failure.code, failure.public, failure.reason)
            vars(error)["data"] = dict(failure.data)
            pending.future.set_exception(error)

    def _pushed(self, frames: _Frames, name: str, body: msgspec.Raw) -> None:
        decode = _pushes.get(name)
        if decode is None:
            frames.abort(f"a push that is not known: {name[:40]!r}")
            return
        push = decode(body)
        if isinstance(push, Cut):
            # cut() resets here and now and returns what is left to wait for before acknowledging.
            task = asyncio.ensure_future(self._acknowledge(frames, push, self._cut(push)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _acknowledge(self, frames: _Frames, push: Cut, carried_out: Awaitable[None]) -> None:
        await carried_out
        if self._frames is frames:
            self._ask("keeper.acknowledge", Acknowledge(push.push)).add_done_callback(_swallow)

    def gone(self, frames: _Frames) -> None:
        """The connection broke: cut everything first, then let every caller hear."""
        if self._frames is not frames:
            return
        was_ready = self.ready
        self._frames = None
        self._ready.clear()
        if was_ready:
            self._lost()
        pending, self._pending = self._pending, {}
        for one in pending.values():
            if not one.future.done():
                one.future.set_exception(_unreachable())

    # ---- reports -----------------------------------------------------------------------------------------------

    def _hand_in(self) -> None:
        while self.ready and self._unsent and len(self._pending) < MAX_PENDING:
            opening = self._unsent.popleft()
            delivered = self._reports.get(opening)
            if delivered is not None:
                self._say("exchange.delivered", delivered, None).add_done_callback(
                    lambda future, opening=opening: self._handed_in(opening, future)  # type: ignore[misc]  # default binds it
                )

    def _handed_in(self, opening: str, future: asyncio.Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is None:
            self._reports.pop(opening, None)
        elif isinstance(error, Unavailable | Busy):
            self._unsent.append(opening)
            if self._waiting_to_retry is None:
                self._waiting_to_retry = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._retry)
        else:
            # The keeper knows the access as ended already: the report came twice, or after the keeper closed it.
            self._reports.pop(opening, None)
            log.warning("the keeper did not take the report on %s: %s", opening, error)
        if not self._reports and self._all_reported is not None:
            self._all_reported.set()

    def _retry(self) -> None:
        self._waiting_to_retry = None
        self._hand_in()

    # ---- keeping the connection up -----------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and go on connecting until `close`."""
        self._keeping = asyncio.ensure_future(self._keep_up())

    async def wait_ready(self) -> None:
        """Wait until a keeper has said welcome."""
        await self._ready.wait()

    async def _keep_up(self) -> None:
        while not self._stopping:
            frames = await self._connect()
            if frames is not None:
                await self._watch(frames)
            await asyncio.sleep(self._backoff)
            self._backoff = min(self._backoff * 2, LAST_BACKOFF)

    async def _connect(self) -> _Frames | None:
        """Connect and say hello; None when nobody is there. `_welcomed` follows, or the connection ends."""
        loop = asyncio.get_running_loop()
        try:
            _transport, frames = await loop.create_unix_connection(lambda: _Frames(self), str(self._path))
        except OSError as error:
            log.debug("the keeper is not there yet: %s", error)
            return None
        if frames.transport is None:  # broken again already
            return None
        self._frames = frames
        self._ask("keeper.hello", self._hello).add_done_callback(lambda future: self._welcomed(frames, future))
        return frames

    def _welcomed(self, frames: _Frames, future: asyncio.Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if self._frames is not frames:
            return
        if error is not None:
            log.warning("the keeper did not welcome this gateway: %s", error)
            frames.abort("not welcome")
            return
        self.welcome = future.result()
        self._backoff = FIRST_BACKOFF
        if self._origin:
            self._ask("people.origin", Origin(self._origin)).add_done_callback(_refused_origin)
        self._ready.set()
        self._unsent = deque(self._reports)
        self._hand_in()

    async def _watch(self, frames: _Frames) -> None:
        """Until the connection is gone. A keeper that lives but says nothing is as good as gone.

        An answer may wait long for the writer; whether the keeper is well it says at once, whatever it writes.
        """
        asked: _Pending | None = None
        while not frames.broken.done():
            await asyncio.wait((frames.broken,), timeout=WATCH_SECONDS)
            oldest = next(iter(self._pending.values()), None)
            if self._frames is not frames or oldest is None:
                continue
            now = time.monotonic()
            if asked is None or asked.future.done():
                if now - max(self._heard, oldest.since) > QUIET_SECONDS:
                    self._ask("keeper.health", Nothing()).add_done_callback(_swallow)
                    asked = self._pending[self._number]
            elif now - max(self._heard, asked.since) > ANSWER_SECONDS:
                frames.abort(f"no answer to {asked.verb} for {ANSWER_SECONDS:.0f} s")

    async def close(self, seconds: float) -> None:
        """Give waiting reports up to `seconds` to be taken, then end the connection."""
        if self._reports:
            self._all_reported = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_reported.wait(), seconds)
        if self._reports:
            log.error("%d reports of ended accesses were not taken by the keeper", len(self._reports))
        self._stopping = True
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        frames = self._frames
        if frames is not None and frames.transport is not None:
            frames.transport.close()
            await frames.broken


def _unreachable() -> Unavailable:
    return Unavailable("keeper-unreachable", "The service is not available at this moment; try again later.")


def _refused_origin(future: asyncio.Future[Any]) -> None:
    """People can't sign in through this connection; whoever tries is told that, and everybody else is served."""
    if not future.cancelled() and (error := future.exception()) is not None:
        log.error("the keeper does not take the portal's address: %s", error)


def _swallow(future: asyncio.Future[Any]) -> None:
    """Nobody waits for this answer; what went wrong is known to the keeper."""
    if not future.cancelled() and (error := future.exception()) is not None:
        log.debug("not taken: %s", error)
