"""The SSH listener: connections, signing in with the client's own key, and nothing but the SFTP subsystem.

The keeper verifies the signature, not this process (law 2): what the client signed and the session id go to it as
they are. A key that is merely offered is always answered alike, so that nobody learns which clients exist.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
import time
from collections import Counter
from pathlib import Path
from typing import Any, cast

import asyncssh
from asyncssh.connection import SSHServerConnection
from asyncssh.constants import (
    DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
    DISC_TOO_MANY_CONNECTIONS,
    MSG_CHANNEL_DATA,
    OPEN_RESOURCE_SHORTAGE,
)
from asyncssh.kex import get_kex_algs
from asyncssh.packet import PacketDecodeError, SSHPacket

from keten.core.errors import Busy, Invalid, KetenError
from keten.core.settings import Limits
from keten.gateway.accesses import Accesses
from keten.gateway.connection import Connection
from keten.gateway.delivery import PIECE
from keten.gateway.sftp_session import MAX_CHANNELS, SftpSession
from keten.gateway.ssh_channel import PACKET, WINDOW, ChannelSession, SftpOnlyChannel
from keten.gateway.ssh_sent import ConnectionSent
from keten.keeper.protocol import SessionEnd, SessionOpened, SshSignIn

log = logging.getLogger(__name__)

KEY_TYPE = b"ssh-ed25519"
KEY_EXCHANGES = (
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
)
CIPHERS = ("chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")
LOGIN_SECONDS = 20
MAX_ATTEMPTS = 6
MAX_OFFERS = 20
MAX_STARTING = 128
MAX_STARTING_PER_ADDRESS = 64
KEEPALIVE_SECONDS = 30
KEEPALIVE_MISSES = 4
_DATA = struct.Struct(">BBII")  # padding length, message, channel, bytes
_DATA_HEAD = _DATA.size
_MIN_PADDING = 4
MAX_WAITING = 1024 * 1024  # bytes received and not yet looked at, while the keeper is asked


class SftpService:
    """What every SFTP connection has in common."""

    def __init__(self, accesses: Accesses, host_key: Path, limits: Limits) -> None:
        asyncssh.set_log_level(logging.WARNING)
        self.accesses = accesses
        self.slow_reader_seconds = float(limits.slow_reader_seconds)
        self._starting: Counter[str] = Counter()
        try:
            key = asyncssh.read_private_key(host_key)
        except (OSError, asyncssh.KeyImportError) as error:
            raise Invalid("ssh-host-key", f"The SSH host key {host_key} cannot be used.", str(error)) from error
        key.set_comment(None)
        self.host_key = key.export_public_key().decode("ascii").strip()
        known = {name.decode("ascii") for name in get_kex_algs()}
        self._options = asyncssh.SSHServerConnectionOptions(
            server_factory=Owner,
            server_host_keys=[key],
            config=None,
            server_version="Keten",
            kex_algs=[name for name in KEY_EXCHANGES if name in known],
            encryption_algs=list(CIPHERS),
            mac_algs=list(MACS),
            compression_algs=["none"],
            signature_algs=[KEY_TYPE.decode()],
            public_key_auth=True,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            allow_pty=False,
            line_editor=False,
            x11_forwarding=False,
            agent_forwarding=False,
            allow_scp=False,
            rdns_lookup=False,
            encoding=None,
            window=WINDOW,
            max_pktsize=PACKET,
            login_timeout=LOGIN_SECONDS,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVE_MISSES,
        )

    async def serve(self, connection: Connection) -> None:
        """Speak SSH on an accepted connection; above the limits on strangers it is closed at once."""
        address = connection.address
        if sum(self._starting.values()) >= MAX_STARTING or self._starting[address] >= MAX_STARTING_PER_ADDRESS:
            raise ConnectionAbortedError("too many connections are signing in")
        self._starting[address] += 1
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(
            lambda: SshConnection(loop, self._options, connection, self), connection.sock
        )

    def started(self, address: str) -> None:
        """A connection has signed in, or is gone before that."""
        self._starting[address] -= 1
        if self._starting[address] <= 0:
            del self._starting[address]


class SshConnection(SSHServerConnection):
    """The library's server connection, with signing in by the keeper, and bounds that it lacks."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: asyncssh.SSHServerConnectionOptions,
        connection: Connection,
        service: SftpService,
    ) -> None:
        super().__init__(loop, options)
        self._gate = connection
        self._service = service
        self._attempts = 0
        self._offers = 0
        self._is_starting = True
        self.sent = ConnectionSent(connection.unsent)
        self.session: SftpSession | None = None
        connection.when_lost(self._gone)

    # ---- the connection ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, for resets."""
        raw = cast("asyncio.Transport", transport)
        raw.set_write_buffer_limits(high=PIECE)
        self._gate.raw = self._gate.transport = raw
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None = None) -> None:
        """Over, whichever side ended it."""
        self._gate.at_eof()
        self._gate.lost(exc)
        super().connection_lost(exc)

    def _gone(self) -> None:
        self._started()

    def _started(self) -> None:
        if self._is_starting:
            self._is_starting = False
            self._service.started(self._gate.address)

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        """Bytes; what waits while the keeper is asked is bounded."""
        if len(self._inpbuf) + len(data) > MAX_WAITING:
            self._gate.reset()
            return
        super().data_received(data, datatype)

    def pause_writing(self) -> None:
        """The kernel takes no more for now."""
        if self.session is not None:
            self.session.writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        if self.session is not None:
            self.session.writable.set()

    @property
    def sends_data(self) -> bool:
        """Whether channel data may go out by `send_data`: signed in, encrypted, and no new keys due or under way."""
        return (
            self._auth_complete
            and self._kex_complete
            and self._send_encryption is not None
            and self._compressor is None
            and self._rekey_bytes_sent < self._rekey_bytes
            and not (self._rekey_seconds and time.monotonic() >= self._rekey_time)
        )

    def send_data(self, channel: int, count: int, parts: list[bytes | memoryview]) -> None:
        """Send one SSH_MSG_CHANNEL_DATA packet (RFC 4254 §5.2, RFC 4253 §6). Only while `sends_data`."""
        encryption, transport = self._send_encryption, self._transport
        if encryption is None or transport is None:
            return
        padding = -(self._send_enchdrlen + _DATA_HEAD - 1 + count) % self._send_blocksize
        if padding < _MIN_PADDING:
            padding += self._send_blocksize
        head = _DATA.pack(padding, MSG_CHANNEL_DATA, channel, count)
        packet = b"".join((head, *parts, os.urandom(padding)))
        sequence = self._send_seq
        sealed, mac = encryption.encrypt_packet(sequence, len(packet).to_bytes(4, "big"), packet)
        transport.writelines((sealed, mac))
        self.sent.written += len(sealed) + len(mac)
        self._send_seq = (sequence + 1) & 0xFFFFFFFF
        self._rekey_bytes_sent += len(packet)

    def _send(self, data: bytes) -> None:
        """What the library writes is counted as well."""
        self.sent.written += len(data)
        super()._send(data)

    def _log_packet(self, *_logged: object) -> None:
        """Packets are not logged."""

    async def reload_config(self) -> None:
        """The library reads its options anew for every user; ours are the same for all."""

    # ---- signing in --------------------------------------------------------------------------------------------

    async def validate_public_key(self, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        """Sign in (RFC 4252 §7).

        1. Only plain Ed25519 keys.
        2. A key that is offered without a signature is welcome, whoever offers it.
        3. The keeper verifies what was signed, decides, records, and opens the session, which counts as one transfer
           of its client.
        """
        if not _is_plain_key(key_data):  # 1
            return False
        if not msg:  # 2
            self._offers += 1
            if self._offers > MAX_OFFERS:
                raise asyncssh.DisconnectError(DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many keys")
            return True
        self._attempts += 1
        if self._attempts > MAX_ATTEMPTS:
            raise asyncssh.DisconnectError(DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many attempts")
        address, direct = self._gate.address, self._gate.direct
        asked = SshSignIn(username, key_data, self._session_id, msg, signature, address, direct)
        epoch = self._service.accesses.epoch()
        try:
            opened = await self._sign_in(asked)  # 3
        except Busy as error:
            raise asyncssh.DisconnectError(DISC_TOO_MANY_CONNECTIONS, error.public) from error
        except KetenError as error:
            log.debug("sign-in refused: %s", error.code)
            return False
        slow_seconds = self._service.slow_reader_seconds
        session = SftpSession(self._service.accesses, self._gate, opened, slow_seconds, self.sent.settle)
        if not self._service.accesses.enter(opened.session, session, epoch):
            self._gate.cut("cut")
            return False
        self.session = session
        self._started()
        return True

    async def _sign_in(self, asked: SshSignIn) -> SessionOpened:
        """Ask the keeper. A session that opens after this connection has gone is ended at once."""
        abandoned = False
        link = self._service.accesses.link

        def arrived(opened: SessionOpened) -> SessionOpened:
            if abandoned or self._gate.is_lost:
                link.tell("identity.ssh_end", SessionEnd(opened.session))
            return opened

        try:
            opened: SessionOpened = await link.call("identity.ssh_sign_in", asked, arrived)
        except asyncio.CancelledError:
            abandoned = True
            raise
        return opened


class Owner(asyncssh.SSHServer):
    """What the library asks about a connection. Its defaults refuse all but what is answered here."""

    _connection: SshConnection | None = None

    def connection_made(self, conn: SSHServerConnection) -> None:
        """Whose connection this is."""
        self._connection = cast("SshConnection", conn)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - the library's interface
        """Everybody signs in."""
        return True

    def public_key_auth_supported(self) -> bool:
        """By key, and in no other way."""
        return True

    def session_requested(self) -> Any:
        """A channel for the SFTP subsystem."""
        connection = self._connection
        if connection is None or connection.session is None:
            return False
        if len(connection._channels) >= MAX_CHANNELS:  # noqa: SLF001 - those that are open, whatever runs on them
            raise asyncssh.ChannelOpenError(OPEN_RESOURCE_SHORTAGE, "Too many channels")
        loop = asyncio.get_running_loop()
        channel = SftpOnlyChannel(connection, loop, False, False, False, 0, 0, None, "strict", WINDOW, PACKET)
        return channel, ChannelSession(connection.session)


def _is_plain_key(blob: bytes) -> bool:
    """Whether a public key blob is an Ed25519 key: no certificate, no other kind (RFC 8709 §4)."""
    packet = SSHPacket(blob)
    try:
        kind, key = packet.get_string(), packet.get_string()
        packet.check_end()
    except PacketDecodeError:
        return False
    return kind == KEY_TYPE and len(key) == 32
