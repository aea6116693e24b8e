"""A channel of an SSH connection: the SFTP subsystem and nothing else, and bytes on their way with few copies.

The library copies every byte eight times on its way out and puts an SSH_MSG_IGNORE before every packet (a measure for
CBC ciphers, of which none is offered). `send_parts` and `_flush_send_buf` do the same work on views, one copy a packet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import asyncssh
from asyncssh import SSHReader, SSHWriter
from asyncssh.constants import OPEN_RESOURCE_SHORTAGE
from asyncssh.packet import SSHPacket
from asyncssh.stream import SSHServerStreamSession

from keten.gateway.sftp import FileServer, Handler
from keten.gateway.sftp_session import SftpSession
from keten.gateway.ssh_sent import ChannelSent

if TYPE_CHECKING:
    from keten.gateway.ssh import SshConnection

WINDOW = 512 * 1024  # for requests
PACKET = 32 * 1024
MIN_CLIENT_PACKET = 4096  # smaller ones would have us send a file in crumbs


class SftpOnlyChannel(asyncssh.SSHServerChannel[bytes]):
    """A session channel that knows one request: the SFTP subsystem."""

    sent: ChannelSent

    def process_open(self, send_chan: int, send_window: int, send_pktsize: int, session: Any) -> None:
        """Refuse clients that would have a file sent in crumbs."""
        if send_pktsize < MIN_CLIENT_PACKET:
            raise asyncssh.ChannelOpenError(OPEN_RESOURCE_SHORTAGE, "The packet size is too small")
        self.sent = ChannelSent()
        super().process_open(send_chan, send_window, send_pktsize, session)

    # ---- requests: none but the subsystem ------------------------------------------------------------------------

    def _process_env_request(self, packet: SSHPacket) -> bool:
        return _refused(packet)

    def _process_pty_req_request(self, packet: SSHPacket) -> bool:
        return _refused(packet)

    def _process_x11_req_request(self, packet: SSHPacket) -> bool:
        return _refused(packet)

    def _process_shell_request(self, packet: SSHPacket) -> bool:
        return _refused(packet)

    def _process_exec_request(self, packet: SSHPacket) -> bool:
        return _refused(packet)

    # ---- bytes out -----------------------------------------------------------------------------------------------

    def send_parts(self, *parts: bytes | memoryview) -> None:
        """As `write`, for parts that stay as they are until they are sent."""
        if self._send_state != "open":
            return
        for part in parts:
            view = memoryview(part)
            self._send_buf.append((cast("bytearray", view), None))  # never changed in place by what is below
            self._send_buf_len += len(view)
            self.sent.written += len(view)
        self._flush_send_buf()

    def _flush_send_buf(self) -> None:
        """Send what the window allows, in packets as large as the client takes."""
        connection = cast("SshConnection", self._conn)
        while self._send_buf and self._send_window and self._send_chan is not None:
            if not connection.sends_data:
                # While keys are exchanged the library keeps packets back; it changes its buffers in place.
                self._send_buf = [(bytearray(part), kind) for part, kind in self._send_buf]
                break
            size = min(self._send_window, self._send_pktsize)
            parts: list[bytes | memoryview] = []
            count = 0
            while self._send_buf and count < size:
                part = memoryview(self._send_buf[0][0])
                take = part[: size - count]
                parts.append(take)
                count += len(take)
                if len(take) == len(part):
                    del self._send_buf[0]
                else:
                    self._send_buf[0] = (cast("bytearray", part[len(take) :]), None)
            self._send_buf_len -= count
            self._send_window -= count
            connection.send_data(self._send_chan, count, parts)
            connection.sent.packed(self.sent, count)
        waiting, before = self._send_buf_len, connection.sent.written
        super()._flush_send_buf()  # pauses and resumes the writer, and closes what waited for an empty buffer
        if self._send_buf_len < waiting:
            connection.sent.deferred(self.sent, waiting - self._send_buf_len, before)

    def _log_packet(self, *_logged: object) -> None:
        """Packets are not logged."""


def _refused(packet: SSHPacket) -> bool:
    packet.get_remaining_payload()
    return False


class ChannelSession(SSHServerStreamSession[bytes]):
    """A channel on which SFTP is spoken."""

    def __init__(self, session: SftpSession) -> None:
        super().__init__(None)
        self._session = session

    def shell_requested(self) -> bool:
        """No."""
        return False

    def exec_requested(self, command: str) -> bool:  # noqa: ARG002 - the library's interface
        """No: no commands, no SCP."""
        return False

    def subsystem_requested(self, subsystem: str) -> bool:
        """SFTP and no other."""
        return subsystem == "sftp"

    def session_started(self) -> None:
        """Serve until the channel closes."""
        channel, connection = cast("SftpOnlyChannel | None", self._chan), self._conn
        if channel is None or connection is None:
            return
        server = FileServer(channel, self._session)
        handler = Handler(server, SSHReader(self, channel), SSHWriter(self, channel), self._session)
        connection.create_task(self._run(handler))

    async def _run(self, handler: Handler) -> None:
        self._session.channels.add(handler)
        try:
            await handler.run()
        finally:
            self._session.channels.discard(handler)
