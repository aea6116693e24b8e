"""Every access and every SFTP session that this gateway has open, so that one push, one timer or a lost keeper cuts it.

An access is admitted in the very turn of the loop in which the keeper's answer is read: a push that the keeper
says after an answer always finds the access, and one that overtakes it is remembered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Protocol

from keten.core.errors import Unavailable
from keten.gateway.connection import Connection
from keten.gateway.content import Contents
from keten.gateway.delivery import Delivery
from keten.gateway.ends import Ends
from keten.gateway.link import KeeperLink
from keten.keeper.protocol import Caller, Cut, Opened, OpenObject, Progress

log = logging.getLogger(__name__)

MAX_REMEMBERED = 65_536  # cuts that may have overtaken the answer that they are about
SWEEP_SECONDS = 1.0
_TURNS = 1000  # of the loop; a reset takes one


class Session(Protocol):
    """An SFTP session that can be cut."""

    connection: Connection

    def forget(self) -> None:
        """Drop what it cached: something changed."""


class Accesses:
    """What is open here. One per gateway."""

    def __init__(self, contents: Contents, slow_reader_seconds: float) -> None:
        self._contents = contents
        self._slow_reader_seconds = slow_reader_seconds
        self._link: KeeperLink | None = None
        self._deliveries: dict[str, Delivery] = {}
        self._sessions: dict[str, Session] = {}
        self._cuts: OrderedDict[str, None] = OrderedDict()
        self._epoch = 0
        self._ends = Ends(lambda due: _cut([one.connection for one in due], "ended"))
        self._empty: asyncio.Event | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._when_changed: list[Callable[[], None]] = []

    def attach(self, link: KeeperLink) -> None:
        """The connection to the keeper, which in turn calls `carry_out` and `lost`."""
        self._link = link
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    @property
    def link(self) -> KeeperLink:
        """The connection to the keeper."""
        if self._link is None:
            raise Unavailable("keeper-unreachable", "The service is not available at this moment; try again later.")
        return self._link

    @property
    def openings(self) -> tuple[str, ...]:
        """The accesses that are under way, by the ids of the entries that opened them."""
        return tuple(self._deliveries)

    # ---- opening -----------------------------------------------------------------------------------------------

    async def open(
        self, caller: Caller, object_id: str, connection: Connection, start: int = 0, length: int = -1
    ) -> Delivery:
        """Ask the keeper for one access; raises what the keeper raised. The caller must see to the delivery's end.

        When the asking task is cancelled meanwhile, the access is reported as not delivered.
        """
        epoch = self._epoch
        session = caller.session.session if caller.session else ""
        abandoned = False

        def arrived(opened: Opened) -> Delivery:
            delivery = Delivery(opened, connection, self._contents, self.over, self._progress)
            self._deliveries[opened.opening] = delivery
            if opened.opening in self._cuts or session in self._cuts or epoch != self._epoch:
                connection.cut("cut")
            elif abandoned or connection.is_lost or connection.is_reset:
                delivery.finish("client-closed")
            else:
                self._ends.add(delivery)
            return delivery

        asked = OpenObject(caller, object_id, start, length)
        try:
            delivery: Delivery = await self.link.call("exchange.open", asked, arrived)
        except asyncio.CancelledError:
            abandoned = True
            raise
        return delivery

    async def describe(self, caller: Caller, object_id: str) -> Opened:
        """Ask the keeper about one object; there is nothing to deliver."""
        opened: Opened = await self.link.call("exchange.open", OpenObject(caller, object_id, describe=True))
        return opened

    def over(self, delivery: Delivery) -> None:
        """A delivery ended: forget it and tell the keeper how."""
        self._ends.remove(delivery)
        self._deliveries.pop(delivery.opening, None)
        if not self._deliveries and self._empty is not None:
            self._empty.set()
        self.link.report(delivery.report())

    def _progress(self, delivery: Delivery) -> None:
        self.link.tell("exchange.progress", Progress(delivery.opening, delivery.handed))

    def when_changed(self, callback: Callable[[], None]) -> None:
        """Call whenever the keeper says that something changed, or is gone: what was kept of it may be of before."""
        self._when_changed.append(callback)

    def _changed(self) -> None:
        for callback in self._when_changed:
            callback()

    # ---- sessions ----------------------------------------------------------------------------------------------

    def epoch(self) -> int:
        """Changes with every cut of everything: what was asked for under an older epoch is void."""
        return self._epoch

    def enter(self, session: str, member: Session, epoch: int) -> bool:
        """Register an SFTP session; false when it was cut before it was known here."""
        if session in self._cuts or epoch != self._epoch:
            return False
        self._sessions[session] = member
        return True

    def leave(self, session: str) -> None:
        """The session is over."""
        self._sessions.pop(session, None)

    # ---- cutting -----------------------------------------------------------------------------------------------

    def carry_out(self, cut: Cut) -> Awaitable[None]:
        """Reset everything that a push names, now; returns what is left to wait for until the sockets are closed."""
        self._changed()
        for session in self._sessions.values():
            session.forget()
        if cut.everything:
            connections = self._everything()
        else:
            for name in (*cut.openings, *cut.sessions):
                self._cuts[name] = None
            while len(self._cuts) > MAX_REMEMBERED:
                self._cuts.popitem(last=False)
            connections = [*self._cut_openings(cut.openings), *self._cut_sessions(cut.sessions)]
        if connections:
            log.info("cut %d connections: %s", len(connections), cut.reason)
        return _closed(connections)

    def lost(self) -> None:
        """The keeper is gone: nobody is served without it, and what is running is cut at once."""
        self._changed()
        connections = self._everything()
        if connections:
            log.warning("the keeper is gone; %d connections cut", len(connections))

    def _everything(self) -> list[Connection]:
        self._epoch += 1
        return [*self._cut_openings(tuple(self._deliveries)), *self._cut_sessions(tuple(self._sessions))]

    def _cut_openings(self, openings: Iterable[str]) -> list[Connection]:
        found = [self._deliveries[opening].connection for opening in openings if opening in self._deliveries]
        return _cut(found, "cut")

    def _cut_sessions(self, names: Iterable[str]) -> list[Connection]:
        found = [self._sessions[name].connection for name in names if name in self._sessions]
        return _cut(found, "cut")

    def _sweep(self) -> None:
        """Reset connections whose reader takes next to nothing: they hold memory and keys for as long as they stay."""
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        oldest = time.monotonic() - self._slow_reader_seconds
        for delivery in [one for one in self._deliveries.values() if 0 < one.waiting_since < oldest]:
            log.info("a reader took nothing for %.0f s", self._slow_reader_seconds)
            delivery.connection.cut("failed")

    async def drained(self, seconds: float) -> None:
        """Wait until nothing is under way, for at most `seconds`."""
        self._empty = asyncio.Event()
        if self._deliveries:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), seconds)

    def stop(self, end: str = "cut") -> None:
        """Cut what is still running: the gateway ends."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for delivery in list(self._deliveries.values()):
            delivery.connection.cut(end)
        self._cut_sessions(tuple(self._sessions))


def _cut(connections: list[Connection], end: str) -> list[Connection]:
    """Reset them all, and only then do what each leaves to do: the last one must not wait for that of the others."""
    for connection in connections:
        connection.reset()
    for connection in connections:
        connection.cut(end)
    return connections


async def _closed(connections: list[Connection]) -> None:
    """Wait until the kernel has closed each of these sockets (one turn of the loop, as measured)."""
    for connection in connections:
        for _turn in range(_TURNS):
            if connection.closed:
                break
            await asyncio.sleep(0)
        else:
            log.error("a socket that was reset is still open")
