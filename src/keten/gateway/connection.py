"""One accepted connection: who is on the other side, and how it is reset.

The event loop's `abort()` alone closes politely, and in its next turn: the kernel goes on sending what it holds. So
the connection is dissolved first, at once (docs/decisions/0007-cutting-a-transfer.md).
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from collections.abc import Callable
from typing import Protocol

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # l_onoff, l_linger: socket(7)
_NOBODY = struct.pack("H14x", socket.AF_UNSPEC)  # a sockaddr whose family is all that counts
_libc = ctypes.PyDLL(None)  # keeps the interpreter: letting go of it costs more than the call
_QUICK_TURNS = 4
_SLOWEST = 0.02  # seconds between looks at a buffer that is not empty yet
_TLS_RECORD = 16_384  # content bytes of a full TLS record (RFC 8446 §5.1)
_TLS_RECORD_SENT = _TLS_RECORD + 22  # with header (5), content type (1) and tag (16)


class Access(Protocol):
    """Something that lives on a connection and ends with it."""

    def finish(self, end: str) -> None:
        """The connection is gone; `end` says how (the words of `keten.keeper.protocol.Delivered`)."""


class Connection:
    """A client's TCP connection, whatever is spoken on it.

    `address` is the client's as far as a trusted proxy or the socket tells; `direct` is false behind a proxy.
    `accesses` are told when the connection is cut or lost.
    """

    def __init__(self, sock: socket.socket, address: str, *, direct: bool) -> None:
        self.sock = sock
        self.address = address
        self.direct = direct
        self.raw: asyncio.Transport | None = None  # below TLS
        self.transport: asyncio.Transport | None = None  # what the protocol writes to
        self.is_reset = False
        self.is_lost = False
        self.broken = False
        self._unsent_at_end = 0
        self._ending = "client-closed"
        self.accesses: set[Access] = set()
        self._when_lost: list[Callable[[], None]] = []

    def when_lost(self, callback: Callable[[], None]) -> None:
        """Call once when the connection is gone."""
        self._when_lost.append(callback)

    def unsent(self) -> int:
        """Bytes that were written but are still in this process (ciphertext where there is TLS or SSH)."""
        if self.is_lost or self.is_reset:
            return self._unsent_at_end
        above = self.transport.get_write_buffer_size() if self.transport is not None else 0
        below = self.raw.get_write_buffer_size() if self.raw is not None and self.raw is not self.transport else 0
        return above + below

    def unsent_content(self) -> int:
        """Of the content bytes written last, how many surely are still in this process (at most two records short)."""
        return max(0, self.unsent() // _TLS_RECORD_SENT - 1) * _TLS_RECORD

    def at_eof(self) -> None:
        """The client closed its side: what it had not taken by then it did not want."""
        self._unsent_at_end = self.unsent()

    def lost(self, error: Exception | None) -> None:
        """The protocol's `connection_lost`."""
        if self.is_lost:
            return
        self.is_lost = True
        self.broken = error is not None or self.is_reset
        self._finish()
        for callback in self._when_lost:
            callback()
        self._when_lost.clear()

    def cut(self, end: str) -> None:
        """Reset the connection; every access on it ends as `end` says."""
        self._ending = end
        self.reset()
        self._finish()

    def _finish(self) -> None:
        for access in tuple(self.accesses):
            access.finish(self._ending)

    def reset(self) -> None:
        """Reset: nothing that the client has not got by now leaves this machine."""
        if self.is_reset or self.is_lost:
            return
        self._unsent_at_end = self.unsent()
        self.is_reset = True
        dissolve(self.sock)
        transport = self.raw or self.transport
        if transport is not None:
            transport.abort()
        else:
            self.sock.close()

    @property
    def closed(self) -> bool:
        """Whether the kernel has been told: after a reset, nothing more can leave."""
        return self.sock.fileno() < 0

    async def flushed(self) -> bool:
        """Wait until everything written was handed to the kernel; false when the connection ended before."""
        turn = 0
        while not self.is_lost:
            if self.unsent() == 0:
                return True
            # What is small leaves within a few turns of the loop; for the rest there is no call to wait for.
            await asyncio.sleep(0 if turn < _QUICK_TURNS else min((turn - _QUICK_TURNS) / 1000, _SLOWEST))
            turn += 1
        return not self.broken and self._unsent_at_end == 0


def dissolve(sock: socket.socket) -> None:
    """Reset a TCP connection within this call; what waits in the kernel is thrown away.

    connect(2): "connect to an address with the sa_family member of sockaddr set to AF_UNSPEC" dissolves the
    association, which for an established connection sends a reset. Where a kernel would not, its close is one.
    """
    descriptor = sock.fileno()
    if descriptor >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        _libc.connect(descriptor, _NOBODY, len(_NOBODY))
