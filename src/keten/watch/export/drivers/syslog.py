"""Syslog over TLS: RFC 5424 messages, octet-counted (RFC 5425).

There is no acknowledgement: what TCP took may still be lost in the receiver's queue when that is killed. So an event
counts as arrived only when the connection has lived on for `settle_seconds` after it was sent, with nothing of it left
in this machine's send buffer, and `KEPT_BYTES` more were sent after it (a receiver may write in blocks, and hold back
the last one for as long as nothing comes); keep-alives notice within half of that time when the other machine is gone.
When the connection breaks, everything younger is sent again: duplicates, which `metadata.uid` tells, and no loss.
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from keten import __version__
from keten.core.clock import rfc3339
from keten.core.destinations import Destination
from keten.core.errors import Unavailable
from keten.watch.export.drivers.bounded import secured
from keten.watch.export.drivers.driver import ANSWER_SECONDS, Record, context, written

_FACILITY = 13  # log audit
_SEVERITIES = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2}
_LONGEST_ID = 32
_TOGETHER = 0.1
_MOST_HEARD = 64 * 1024
KEPT_BYTES = 128 * 1024
PROVEN_SECONDS = 5.0
_INT = struct.Struct("i")


def message(record: Record, destination: Destination, host: str) -> bytes:
    """An RFC 5424 message: the audit facility, the kind as MSGID, uid and sequence as structured data."""
    priority = _FACILITY * 8 + _SEVERITIES.get(record.severity, 6)
    data = f'[origin software="keten" swVersion="{__version__}"][meta sequenceId="{record.index % 2_147_483_647 + 1}"]'
    head = f"<{priority}>1 {rfc3339(record.time_us)} {host} keten - {record.kind[:_LONGEST_ID]} {data} "
    return head.encode("ascii", "replace") + written(record, destination)


class _Sent(msgspec.Struct, frozen=True):
    """Sent from one moment to another: how far, and how many bytes by then."""

    began: float
    ended: float
    upto: int
    bytes: int


class SyslogDriver:
    """One TLS connection to a syslog server. `monotonic`: seconds."""

    most = 500

    def __init__(self, destination: Destination, home: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._destination = destination
        self._context = context(home / destination.ca if destination.ca else None)
        self._monotonic = monotonic
        self._socket: ssl.SSLSocket | None = None
        self._waiting: deque[_Sent] = deque()
        self._bytes = 0
        self._connected_at = 0.0
        self._settled = -1
        name = socket.gethostname()
        self._host = name if name.isascii() and name.isprintable() and " " not in name and 0 < len(name) < 256 else "-"

    def send(self, records: Sequence[Record], upto: int) -> None:
        """As one piece. Raises `Unavailable` when the connection cannot be made or breaks."""
        try:
            connection = self._connected()
            self._listen(connection)
            frames = bytearray()
            for record in records:
                text = message(record, self._destination, self._host)
                frames += b"%d %s" % (len(text), text)
            if frames:
                connection.sendall(frames)
        except (OSError, ValueError) as error:
            raise self._broken(error) from error
        self._bytes += len(frames)
        now = self._monotonic()
        began = now
        if self._waiting and now - self._waiting[-1].began < _TOGETHER:  # counted as sent with the last of them
            began = self._waiting.pop().began
        self._waiting.append(_Sent(began, now, upto, self._bytes))

    def settled(self) -> int:
        """What was sent `settle_seconds` and `KEPT_BYTES` ago over a connection that still lives."""
        if self._socket is None:
            return self._settled
        try:
            self._listen(self._socket)
            (unsent,) = _INT.unpack(fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4)))
        except (OSError, ValueError) as error:
            raise self._broken(error) from error
        until = self._monotonic() - self._destination.settle_seconds
        while not unsent and self._waiting and self._waiting[0].ended <= until:
            if self._bytes - self._waiting[0].bytes < KEPT_BYTES:
                break
            self._settled = self._waiting.popleft().upto
        return self._settled

    @property
    def proven(self) -> bool:
        """Whether the connection has lived for some seconds."""
        return self._socket is not None and self._monotonic() - self._connected_at >= PROVEN_SECONDS

    def close(self) -> None:
        """Without waiting for the other side."""
        connection, self._socket = self._socket, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def _connected(self) -> ssl.SSLSocket:
        if self._socket is not None:
            return self._socket
        parts = urlsplit(self._destination.url)
        connection = secured(parts.hostname or "", parts.port or 6514, self._context)
        _keep_alive(connection, self._destination.settle_seconds)
        connection.settimeout(ANSWER_SECONDS)
        self._socket, self._connected_at = connection, self._monotonic()
        return connection

    def _listen(self, connection: ssl.SSLSocket) -> None:
        """A syslog server says nothing: what can be read is the end of the connection (or a ticket of TLS 1.3)."""
        heard = 0
        while connection.pending() or select.select([connection], [], [], 0)[0]:
            connection.settimeout(0.0)
            try:
                said = len(connection.recv(4096))
                heard += said
                if not said:
                    raise ConnectionResetError("the receiver closed the connection")
                if heard > _MOST_HEARD:  # or whoever never stops talking would never be sent anything
                    raise ConnectionError("the receiver talks, as no syslog server does")
            except ssl.SSLWantReadError:
                return
            finally:
                connection.settimeout(ANSWER_SECONDS)

    def _broken(self, error: Exception) -> Unavailable:
        self.close()
        self._waiting.clear()
        public = f"The syslog server {self._destination.url} cannot be sent to."
        return Unavailable("export-unreachable", public, f"{type(error).__name__}: {error}")


def _keep_alive(connection: socket.socket, settle_seconds: int) -> None:
    """Notice a machine that vanished well before what it was sent would count as arrived."""
    each = max(1, settle_seconds // 8)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, each)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, each)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1000, settle_seconds * 500))
