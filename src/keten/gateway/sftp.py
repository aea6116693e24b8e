"""SFTP for suppliers: a virtual file system of shares, read-only, over the same deliveries as HTTPS.

Version 3 (draft-ietf-secsh-filexfer-02). Nothing of the library's file-backed server is used: every method that it
could fall back to is answered here, and `operations.SFTP` lists them all.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol, cast

from asyncssh import SFTPAttrs, SFTPLimits, SFTPName, SFTPServer, SSHReader, SSHServerChannel, SSHWriter
from asyncssh.constants import (
    FILEXFER_TYPE_DIRECTORY,
    FILEXFER_TYPE_REGULAR,
    FXF_READ,
    FXP_CLOSE,
    FXP_DATA,
    FXP_FSETSTAT,
    FXP_FSTAT,
    FXP_INIT,
    FXP_LINK,
    FXP_LSTAT,
    FXP_MKDIR,
    FXP_OPEN,
    FXP_OPENDIR,
    FXP_READ,
    FXP_READDIR,
    FXP_READLINK,
    FXP_REALPATH,
    FXP_REMOVE,
    FXP_RENAME,
    FXP_RMDIR,
    FXP_SETSTAT,
    FXP_STAT,
    FXP_SYMLINK,
    FXP_WRITE,
)
from asyncssh.packet import PacketDecodeError, SSHPacket
from asyncssh.sftp import (
    SFTPBadMessage,
    SFTPEOFError,
    SFTPError,
    SFTPFailure,
    SFTPInvalidHandle,
    SFTPNoSuchFile,
    SFTPOpUnsupported,
    SFTPPermissionDenied,
    SFTPServerHandler,
)

from keten.core.errors import KetenError
from keten.gateway.delivery import Delivery
from keten.gateway.problems import BUDGET
from keten.gateway.sftp_files import Folder
from keten.gateway.sftp_paths import NoSuchPath, Path, resolve, written
from keten.gateway.sftp_session import SftpSession
from keten.gateway.ssh_sent import ChannelSent, Taken
from keten.keeper.protocol import ObjectInfo

log = logging.getLogger(__name__)

VERSION = 3
MAX_READ = 255 * 1024  # with its header within one packet of 256 KiB, as OpenSSH has it
MAX_PACKET = 256 * 1024
_FILE_MODE, _FOLDER_MODE = 0o100440, 0o040550
_SECOND = 1_000_000
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HEAD = struct.Struct(">IB")  # length, type
_DATA_HEAD = _HEAD.size + 4 + 4  # and in an answer to a read: id, length of the content, which follows
_HALF_YEAR = 182 * 86_400
_Answering = Callable[[SFTPServerHandler, SSHPacket], Awaitable[object]]


SPOKEN = frozenset(
    (
        *(FXP_OPEN, FXP_CLOSE, FXP_READ, FXP_WRITE, FXP_LSTAT, FXP_FSTAT, FXP_SETSTAT, FXP_FSETSTAT),
        *(FXP_OPENDIR, FXP_READDIR, FXP_REMOVE, FXP_MKDIR, FXP_RMDIR, FXP_REALPATH, FXP_STAT, FXP_RENAME),
        *(FXP_READLINK, FXP_SYMLINK, FXP_LINK),
        *(b"posix-rename@openssh.com", b"hardlink@openssh.com", b"fsync@openssh.com", b"lsetstat@openssh.com"),
        *(b"statvfs@openssh.com", b"fstatvfs@openssh.com", b"limits@openssh.com"),
    )
)


class Handle:
    """An open file: an access, how much of it was read, and where."""

    __slots__ = ("covered", "delivery", "taken")

    def __init__(self, delivery: Delivery, taken: Taken) -> None:
        self.delivery = delivery
        self.taken = taken
        self.covered = Covered()


class Covered:
    """Which bytes were handed over at least once: disjoint spans, in order."""

    MOST = 4096

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

    def add(self, start: int, end: int) -> None:
        """Bytes from `start` up to `end`. Past `MOST` spans a reader is no longer followed."""
        if self.spans and self.spans[-1][0] <= start <= self.spans[-1][1]:  # the usual: reading on
            first, last = self.spans[-1]
            self.spans[-1] = (first, max(last, end))
            return
        apart = [span for span in self.spans if span[1] < start or end < span[0]]
        for first, last in self.spans:
            if not (last < start or end < first):
                start, end = min(start, first), max(end, last)
        if len(apart) < self.MOST:
            self.spans = sorted([*apart, (start, end)])

    def whole(self, size: int) -> bool:
        """Whether every byte of an object of `size` was."""
        return size == 0 or self.spans == [(0, size)]


def failure(error: KetenError) -> SFTPError:
    """How a Keten error is said over SFTP: one table. Absent and forbidden are the same (law 8)."""
    if error.code in BUDGET:  # which its client is told (law 8)
        return SFTPFailure(error.public)
    if error.category in ("not-found", "denied", "invalid"):
        return SFTPNoSuchFile("No such file")
    if error.category == "busy":
        return SFTPFailure("Too much at once; try again in a moment")
    if error.category == "unavailable":
        return SFTPFailure("The service is not available at this moment; try again later")
    return SFTPFailure("Something went wrong here")


def _refusing(error: Callable[[str], SFTPError], text: str) -> Callable[..., NoReturn]:
    """A method that answers with an error, whatever it is asked."""

    def refuse(*_asked: object) -> NoReturn:
        raise error(text)

    return refuse


class FileServer(SFTPServer):
    """The file system of one SFTP channel. Only names that the keeper lists exist."""

    def __init__(self, channel: SSHServerChannel[bytes], session: SftpSession) -> None:
        super().__init__(channel)
        self._session = session
        self._closing = channel.is_closing
        self.answering: tuple[Taken, int] | None = None  # whose content the next answer holds, and how much

    # ---- names -------------------------------------------------------------------------------------------------

    def realpath(self, path: bytes) -> bytes:
        """The normalised path; whether something is there is not said."""
        return written(_resolved(path))

    async def stat(self, path: bytes) -> SFTPAttrs:
        """Size and time of a name."""
        where = _resolved(path)
        if not where:
            return _folder()
        with _told():
            if len(where) == 1:
                found = None
                is_folder = where[0] in await self._session.listing.folders()
            else:
                found = await self._session.listing.file(where)
                is_folder = False
        if is_folder:
            return _folder()
        if found is None:
            raise SFTPNoSuchFile("No such file")
        return _file(found)

    async def lstat(self, path: bytes) -> SFTPAttrs:
        """As `stat`: there are no links."""
        return await self.stat(path)

    async def scandir(self, path: bytes) -> Folder:  # type: ignore[override]  # read by our `_process_readdir` only
        """A folder, to be read: it must be there."""
        with _told():
            found = await self._session.listing.folder(_resolved(path))
        if found is None:
            raise SFTPNoSuchFile("No such file")
        return found

    async def names_in(self, folder: Folder) -> list[SFTPName]:
        """The next names in an open folder; none at its end."""
        with _told():
            found = await folder.read()
        names = [SFTPName(name.encode("utf-8"), attrs=_file(one) if one else _folder()) for name, one in found]
        for name in names:
            self.format_longname(name)
        return names

    def format_longname(self, name: SFTPName) -> None:
        """A line as of `ls -l`, for clients that show it (§7 of the draft)."""
        attrs = name.attrs
        kind = "d" if attrs.type == FILEXFER_TYPE_DIRECTORY else "-"
        rights = "r-xr-x---" if kind == "d" else "r--r-----"
        when = time.gmtime(attrs.mtime or 0)
        month = _MONTHS[when.tm_mon - 1]
        recent = abs(time.time() - (attrs.mtime or 0)) < _HALF_YEAR
        moment = f"{when.tm_hour:02}:{when.tm_min:02}" if recent else f" {when.tm_year:4}"
        line = f"{kind}{rights}    1 keten    keten    {attrs.size or 0:>12} {month} {when.tm_mday:>2} {moment} "
        name.longname = line.encode("ascii") + cast("bytes", name.filename)

    # ---- files -------------------------------------------------------------------------------------------------

    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> Handle:  # noqa: ARG002 - the library's interface
        """Open for reading: the keeper decides and records, and gives the key of this one access."""
        if pflags != FXF_READ:
            self.write()
        where = _resolved(path)
        with self._session.one_handle_more(), _told():
            found = await self._session.listing.file(where)
            if found is None:
                if not where or (len(where) == 1 and where[0] in await self._session.listing.folders()):
                    raise SFTPFailure("Is a folder")
                raise SFTPNoSuchFile("No such file")
            return Handle(*await self._session.open(found.id))

    async def open56(self, path: bytes, desired_access: int, flags: int, attrs: SFTPAttrs) -> Handle:  # noqa: ARG002
        """Version 3 is spoken, so nobody comes here."""
        raise SFTPOpUnsupported("Operation not supported")

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """Bytes of an open file; empty at its end. At most `MAX_READ`, which clients take as a short read."""
        handle = cast("Handle", file_obj)
        delivery = handle.delivery
        count = min(size, MAX_READ, delivery.info.size - offset)
        if count <= 0:
            return b""
        try:
            data = await self._session.frames.read(delivery, offset, count)
        except KetenError as error:
            if delivery.end == "damaged":
                # A client that gets an error in the middle may keep what it has; a reset says that it is not whole.
                self._session.connection.cut("damaged")
            raise failure(error) from error
        except asyncio.CancelledError:
            if delivery.end:
                raise SFTPFailure("This access is over") from None
            raise
        delivery.hand(len(data))
        handle.taken.read += len(data)
        self.answering = (handle.taken, len(data))
        handle.covered.add(offset, offset + len(data))
        return cast("bytes", data)  # the library only copies it into its answer

    def fstat(self, file_obj: object) -> SFTPAttrs:
        """Size and time of an open file."""
        return _file(cast("Handle", file_obj).delivery.info)

    async def close(self, file_obj: object) -> None:
        """The access is over once what was read has left; what was delivered is reported."""
        handle = cast("Handle", file_obj)
        delivery = handle.delivery
        self._session.frames.drop(delivery)
        all_left = await self._session.left(handle.taken, self._closing)
        whole = all_left and handle.covered.whole(delivery.info.size)
        delivery.finish("complete" if whole else "client-closed")

    def exit(self) -> None:
        """The channel is closed; its handles were."""

    # ---- everything else is refused ----------------------------------------------------------------------------

    write = setstat = lsetstat = fsetstat = fsync = _refusing(SFTPPermissionDenied, "This is for reading only")
    remove = mkdir = rmdir = rename = posix_rename = symlink = link = write
    readlink = _refusing(SFTPNoSuchFile, "No such file")  # there are no links
    lock = unlock = statvfs = fstatvfs = _refusing(SFTPOpUnsupported, "Operation not supported")


@contextmanager
def _told() -> Iterator[None]:
    """What the keeper refuses, as it is said over SFTP."""
    try:
        yield
    except KetenError as error:
        raise failure(error) from error


def _resolved(path: bytes) -> Path:
    try:
        return resolve(path)
    except NoSuchPath:
        raise SFTPNoSuchFile("No such file") from None


def _file(info: ObjectInfo) -> SFTPAttrs:
    changed = info.changed_us // _SECOND
    return SFTPAttrs(type=FILEXFER_TYPE_REGULAR, size=info.size, permissions=_FILE_MODE, atime=changed, mtime=changed)


def _folder() -> SFTPAttrs:
    return SFTPAttrs(type=FILEXFER_TYPE_DIRECTORY, permissions=_FOLDER_MODE, size=0)


class Parts(Protocol):
    """A channel that takes bytes without copying them first, and follows which have left."""

    sent: ChannelSent

    def send_parts(self, *parts: bytes | memoryview) -> None:
        """Send parts that stay as they are."""


class Handler(SFTPServerHandler):
    """The library's protocol handler with what we do not speak left out, and never ahead of a slow reader."""

    _extensions = [(b"limits@openssh.com", b"1")]  # noqa: RUF012 - the library's interface; no vendor, no versions

    def __init__(
        self, server: FileServer, reader: SSHReader[bytes], writer: SSHWriter[bytes], session: SftpSession
    ) -> None:
        super().__init__(server, reader, writer, VERSION)
        self._session = session
        self._files = server
        self._greeted = False

    async def run(self) -> None:
        """Serve until the channel ends; also when it does so before its first packet, which the library forgot."""
        try:
            await super().run()
        except EOFError:
            await self._cleanup(None)

    async def recv_packet(self) -> SSHPacket:
        """The next request, of at most `MAX_PACKET` bytes."""
        reader = self._reader
        if reader is None:
            raise EOFError
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > MAX_PACKET:
            raise SFTPBadMessage("The packet is too large")
        packet = SSHPacket(await reader.readexactly(length))
        self._session.heard()
        if not self._greeted:
            self._greeted = True
            _check_version(packet)
        return packet

    async def _process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """Answer one request, once what was answered before is on its way."""
        writer = self._writer
        if writer is not None:
            await self._session.room(writer)
        await super()._process_packet(pkttype, pktid, packet)

    def send_packet(self, pkttype: int, pktid: int | None, *args: bytes) -> None:  # noqa: ARG002 - for its log
        """Send a packet; its parts go to the channel as they are."""
        writer = self._writer
        if writer is None or writer.channel.is_closing():
            return
        length = 1 + sum(map(len, args))
        channel = cast("Parts", writer.channel)
        answering, self._files.answering = self._files.answering, None
        if answering is not None and pkttype == FXP_DATA:
            taken, count = answering
            channel.sent.content(_DATA_HEAD, count, taken)
        channel.send_parts(_HEAD.pack(length, pkttype), *args)

    def _log_packet(self, *_logged: object) -> None:
        """Packets are not logged."""

    def _log_extensions(self, _extensions: object) -> None:
        """Nor is what a client says of itself, which the library would take apart for that, outside its own guard."""

    async def _process_opendir(self, packet: SSHPacket) -> bytes:
        """Open a folder: it counts as a handle, and must be there at once."""
        path = packet.get_string()
        packet.check_end()
        with self._session.one_handle_more():
            folder = await self._files.scandir(path)
            handle = self._get_next_handle()
            self._dir_handles[handle] = cast("Any", folder)
        return handle

    async def _process_readdir(self, packet: SSHPacket) -> tuple[list[SFTPName], bool]:
        """The next names in a folder."""
        folder = cast("Folder | None", self._dir_handles.get(packet.get_string()))
        packet.check_end()
        if folder is None:
            raise SFTPInvalidHandle("Invalid file handle")
        names = await self._files.names_in(folder)
        if not names:
            raise SFTPEOFError
        return names, False

    async def _process_limits(self, packet: SSHPacket) -> SFTPLimits:
        """What a client may ask for at once (limits@openssh.com)."""
        packet.check_end()
        return SFTPLimits(MAX_PACKET, MAX_READ, MAX_READ, self._session.max_handles)

    async def _cleanup(self, exc: Exception | None) -> None:
        """The channel ends, with an exit status as of OpenSSH's server: without one `scp` calls all of it failed."""
        if self._writer is not None:
            cast("SSHServerChannel[bytes]", self._writer.channel).exit(0 if exc is None else 1)
        await super()._cleanup(exc)

    @property
    def handles(self) -> int:
        """How many files and folders are open."""
        return len(self._file_handles) + len(self._dir_handles)


def _check_version(first: SSHPacket) -> None:
    """Raises `SFTPBadMessage` for a client that speaks less than version 3: the library would try, and stumble."""
    begins = first.get_remaining_payload()[:5]
    if begins[:1] == bytes([FXP_INIT]) and int.from_bytes(begins[1:], "big") < VERSION:
        raise SFTPBadMessage("Only version 3 is spoken")


def _guarded(handler: _Answering) -> _Answering:
    """The handler of a request; what it stumbles over is logged here, not told to the client as the library does."""

    @functools.wraps(handler)
    async def guarded(self: SFTPServerHandler, packet: SSHPacket) -> object:
        try:
            return await handler(self, packet)
        except (SFTPError, PacketDecodeError):
            raise
        except Exception:
            log.exception("an SFTP request failed")
            raise SFTPFailure("Something went wrong here") from None

    return guarded


# The library's table holds its own functions, not names: those that are overridden above must be put in anew. Left out
# are copy-data and ranges, which want files of the machine.
Handler._packet_handlers = {  # noqa: SLF001 - the library has no other way
    kind: _guarded(getattr(Handler, handler.__name__))
    for kind, handler in SFTPServerHandler._packet_handlers.items()  # noqa: SLF001 - as above
    if kind in SPOKEN and handler is not None
}
