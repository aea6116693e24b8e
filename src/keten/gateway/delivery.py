"""One open access on its way out: the one door, for HTTPS and SFTP alike.

The keeper has decided and recorded before a `Delivery` exists. It ends exactly once, however it ends, and then the
keeper is told what was really delivered (law 1). It ends by itself when the decision no longer holds (law 5).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

from keten.core.errors import Corrupt, KetenError, Unavailable
from keten.gateway.connection import Connection
from keten.gateway.content import Content, Contents
from keten.keeper.protocol import Delivered, Opened

PIECE = 256 * 1024  # bytes handed to the transport at once: what waits in this process stays small
INLINE = 64 * 1024  # up to here, a hop to a thread costs more than the work
PROGRESS = 16 * 1024 * 1024  # bytes between two reports of progress


class Delivery:
    """One access. `end` is empty while it runs; `waiting_since` is when its reader was last waited for (monotonic).

    over: called once it ended. deadline: when its time is over (monotonic), which is for others to see to (`Ends`).
    """

    def __init__(
        self,
        opened: Opened,
        connection: Connection,
        contents: Contents,
        over: Callable[[Delivery], None],
        progress: Callable[[Delivery], None],
    ) -> None:
        self.opening = opened.opening
        self.index = opened.index
        self.info = opened.info
        self.start = opened.start
        self.length = opened.length
        self.connection = connection
        self.handed = 0
        self.sent = 0
        self.end = ""
        self.waiting_since = 0.0
        self.left: Callable[[], int] | None = None  # what has left this process, where that is followed
        self.deadline = time.monotonic() + opened.valid_for_us / 1_000_000
        self.valid_until_us = opened.valid_until_us
        self._contents = contents
        self._content: Content | None = contents.content(opened)
        self._over = over
        self._progress = progress
        self._next_progress = PROGRESS
        connection.accesses.add(self)

    # ---- how it ends -------------------------------------------------------------------------------------------

    def finish(self, end: str) -> None:
        """It ended; only the first end counts. Says nothing to the connection: see `Connection.cut`."""
        if self.end:
            return
        self.end = end
        self.sent = self.handed
        if self.left is not None:
            self.sent = self.left()
        elif end != "complete" and self.connection.accesses == {self}:
            self.sent = max(0, self.handed - self.connection.unsent_content())
            if end == "client-closed" and self.sent == self.length:  # it took everything and hung up at once
                self.end = "complete"
        self.connection.accesses.discard(self)
        content, self._content = self._content, None
        if content is not None:
            content.close()
        self._over(self)

    async def complete(self) -> None:
        """Everything was handed over: wait until the kernel has it."""
        self.wait()
        self.finish("complete" if await self.connection.flushed() else "client-closed")

    def report(self) -> Delivered:
        """What the keeper is told."""
        return Delivered(self.opening, self.sent, self.end)

    # ---- its bytes ---------------------------------------------------------------------------------------------

    def wait(self) -> None:
        """The reader is waited for, from now."""
        self.waiting_since = time.monotonic()

    def hand(self, count: int) -> None:
        """`count` content bytes were handed to the connection."""
        self.handed += count
        self.waiting_since = 0.0
        if self.handed >= self._next_progress:
            self._next_progress = self.handed + PROGRESS
            self._progress(self)

    def whole(self) -> bytes:
        """All of a small range at once (up to `INLINE` bytes). Raises like `pieces`."""
        with _Damage(self):
            return self._open().read(self.start, self.length)

    async def pieces(self) -> AsyncIterator[memoryview]:
        """The range, a piece at a time, the next frame decrypted in a thread while this one is sent.

        Stops when the access ends. Raises `Corrupt` when a frame is damaged: what was handed over before is right,
        and the caller must reset the connection, so that nobody takes it for the whole.
        """
        content = self._open()
        at, stop = self.start, self.start + self.length
        ahead = self._contents.submit(content, content.frame_of(at))
        while at < stop:
            number = content.frame_of(at)
            with _Damage(self):
                frame = memoryview(await ahead)
            if self._over_now():
                return
            offset = at - number * content.frame_size
            until = min(len(frame), stop - number * content.frame_size)
            at += until - offset
            if at < stop:
                ahead = self._contents.submit(content, number + 1)
            for piece in range(offset, until, PIECE):
                yield frame[piece : min(piece + PIECE, until)]
                if self._over_now():
                    return

    def _over_now(self) -> bool:
        return bool(self.end)

    async def frame(self, number: int) -> bytes:
        """One decrypted frame, for readers that jump about. Raises `Corrupt`; `Unavailable` once the access is over."""
        with _Damage(self):
            frame = await self._contents.submit(self._open(), number)
        self._open()  # it may have ended meanwhile
        return frame

    @property
    def frame_size(self) -> int:
        """Content bytes in a frame."""
        return self._open().frame_size

    def _open(self) -> Content:
        if self._content is None:
            raise Unavailable("access-over", "This access is over.")
        return self._content


class _Damage:
    """Ends a delivery whose content cannot be read: `damaged`, or `failed` where the machine is to blame."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _at: object) -> None:
        if isinstance(error, Corrupt):
            self._delivery.finish("damaged")
        elif isinstance(error, KetenError | OSError):
            self._delivery.finish("failed")
