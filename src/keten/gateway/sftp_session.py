"""One signed-in SSH connection: what its channels share, and what bounds them together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from asyncssh import SSHWriter
from asyncssh.sftp import SFTPFailure

from keten.gateway.accesses import Accesses
from keten.gateway.connection import Connection
from keten.gateway.delivery import Delivery
from keten.gateway.sftp_files import Listing
from keten.gateway.sftp_frames import Frames
from keten.gateway.ssh_sent import Taken
from keten.keeper.protocol import Caller, SessionEnd, SessionOpened, SessionProof, ShareQuery, Shares

MAX_HANDLES = 256
MAX_CHANNELS = 8
IDLE_SECONDS = 900.0  # without a request; people leave a file manager open
_LOOK_SECONDS = 30.0
_SLOWEST = 0.02  # seconds between looks at what has left


class Channel(Protocol):
    """An SFTP channel, as far as its session counts it."""

    @property
    def handles(self) -> int:
        """Open files and folders."""


class SftpSession:
    """A session that the keeper opened. It ends with its connection, at its time, or when it is cut."""

    def __init__(
        self,
        accesses: Accesses,
        connection: Connection,
        opened: SessionOpened,
        slow_seconds: float,
        settle: Callable[[], None],
    ) -> None:
        self.connection = connection
        self.id = opened.session
        self.frames = Frames()
        self.listing = Listing(self._ask)
        self.max_handles = MAX_HANDLES
        self.channels: set[Channel] = set()
        self.writable = asyncio.Event()
        self.writable.set()
        self._accesses = accesses
        self._slow_seconds = slow_seconds
        self._settle = settle
        self._opening = 0
        self._heard = time.monotonic()
        self._ends = self._heard + opened.valid_for_us / 1_000_000
        self._timer: asyncio.TimerHandle | None = None
        connection.when_lost(self._over)
        self._look()

    # ---- when it ends ------------------------------------------------------------------------------------------

    def heard(self) -> None:
        """A request came in."""
        self._heard = time.monotonic()

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._ends:
            self.connection.cut("ended")
        elif now - self._heard >= IDLE_SECONDS:
            self.connection.cut("client-closed")
        else:
            wait = min(self._ends - now, _LOOK_SECONDS)
            self._timer = asyncio.get_running_loop().call_later(wait, self._look)

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.frames.clear()
        self._accesses.leave(self.id)
        self._accesses.link.tell("identity.ssh_end", SessionEnd(self.id))

    def forget(self) -> None:
        """Something changed: list anew."""
        self.listing.forget()

    # ---- what it may -------------------------------------------------------------------------------------------

    def _caller(self) -> Caller:
        return Caller(self.connection.address, None, SessionProof(self.id), self.connection.direct)

    async def _ask(
        self, *, share: str = "", name: str = "", bare: bool = False, cursor: str = "", limit: int = 0
    ) -> Shares:
        asked = ShareQuery(self._caller(), share, name=name, bare=bare, cursor=cursor, limit=limit)
        shares: Shares = await self._accesses.link.call("exchange.shares", asked)
        return shares

    async def open(self, object_id: str) -> tuple[Delivery, Taken]:
        """Open an object whole, by the keeper's decision; and what is followed of its content."""
        delivery = await self._accesses.open(self._caller(), object_id, self.connection)
        if delivery.end:
            raise SFTPFailure("This access is over")
        taken = Taken(self._settle)
        delivery.left = lambda: taken.sent
        return delivery, taken

    async def left(self, taken: Taken, is_closing: Callable[[], bool]) -> bool:
        """Wait until all that was read into answers has left; false when the channel or the connection ends before.

        A client that takes nothing for `slow_seconds` is cut.
        """
        deadline, sent, turn = time.monotonic() + self._slow_seconds, taken.sent, 0
        while taken.sent < taken.read and not is_closing() and not self.connection.is_lost:
            if taken.sent > sent:
                deadline, sent = time.monotonic() + self._slow_seconds, taken.sent
            elif time.monotonic() > deadline:
                self.connection.cut("failed")
            await asyncio.sleep(min(turn / 1000, _SLOWEST))  # there is no call to wait for
            turn += 1
        return taken.sent >= taken.read

    @contextmanager
    def one_handle_more(self) -> Iterator[None]:
        """Room for a handle that is being opened; `SFTPFailure` when there are `MAX_HANDLES`."""
        if self._opening + sum(channel.handles for channel in self.channels) >= self.max_handles:
            raise SFTPFailure("Too many files are open")
        self._opening += 1
        try:
            yield
        finally:
            self._opening -= 1

    async def room(self, writer: SSHWriter[bytes]) -> None:
        """Wait until what was answered is mostly on its way, so that memory stays bounded whatever the client reads.

        A client that takes nothing for `slow_seconds` is cut.
        """
        if self.writable.is_set() and writer.channel.get_write_buffer_size() == 0:
            return
        try:
            async with asyncio.timeout(self._slow_seconds):
                await writer.drain()
                await self.writable.wait()
        except TimeoutError:
            self.connection.cut("failed")
            raise
