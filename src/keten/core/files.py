"""The one place where Keten writes files that must survive: temp → fsync → rename → fsync the folder (law 13).

Fault tests put their own `Files` here, so every write, fsync and rename of ours can be made to fail.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

from keten.core.errors import FsyncFailed, Unavailable
from keten.core.ids import new_id

log = logging.getLogger(__name__)
EXIT_DISK_FAILED = 74  # EX_IOERR of sysexits.h


def stop_process(why: str) -> NoReturn:
    """What the disk holds is not known any more, so nothing in memory is either: leave at once (law 13)."""
    log.critical("the process stops: %s", why)
    logging.shutdown()
    os._exit(EXIT_DISK_FAILED)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Within this, what is made has the modes that are asked for, less `mask`, whatever the caller's shell forbids.

    It is the whole process's: not beside other threads that make files.
    """
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


class Files:
    """Durable file operations on the local disk."""

    def write(self, path: Path, content: bytes, mode: int = 0o644) -> None:
        """Replace or make `path` atomically and durably. `Unavailable` when the disk is full, `FsyncFailed`."""
        temporary = path.with_name(f".{path.name}.{new_id()[:8]}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                self.sync(stream)
            self.rename(temporary, path)
        except OSError as error:
            self.discard(temporary)
            raise disk_error(error, path) from error
        except BaseException:
            self.discard(temporary)
            raise

    def discard(self, path: Path) -> None:
        """Remove what is unfinished, if it can be: what went wrong before must not be hidden by what goes wrong now."""
        with suppress(OSError):
            path.unlink(missing_ok=True)

    def sync(self, stream: BinaryIO) -> None:
        """Flush and fsync an open file; an error is final."""
        stream.flush()
        try:
            os.fsync(stream.fileno())
        except OSError as error:
            raise FsyncFailed("fsync-failed", "The disk failed; the process stops.", str(error)) from error

    def rename(self, source: Path, target: Path) -> None:
        """Rename within one file system, then fsync the folder."""
        source.replace(target)
        self.sync_folder(target.parent)

    def sync_folder(self, folder: Path) -> None:
        """Make a folder's names durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise FsyncFailed("fsync-failed", "The disk failed; the process stops.", str(error)) from error
        finally:
            os.close(descriptor)

    def make_folder(self, folder: Path, mode: int = 0o755) -> None:
        """Make a folder and its parents, durably."""
        missing = []
        at = folder
        while not at.exists():
            missing.append(at)
            at = at.parent
        for each in reversed(missing):
            each.mkdir(mode=mode, exist_ok=True)
            self.sync_folder(each.parent)


def disk_error(error: OSError, path: Path) -> Unavailable:
    """The Keten error for an `OSError` while writing `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        public = "The disk is full; nothing was changed. Free some space and try again."
        return Unavailable("disk-full", public, str(path))
    return Unavailable("write-failed", "A file could not be written; nothing was changed.", f"{path}: {error}")
