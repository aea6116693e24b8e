"""A file of lines: synced before it counts, renamed when it is large, mended when the last line was torn."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from keten.core.destinations import Destination
from keten.core.errors import Invalid
from keten.core.files import Files, disk_error
from keten.watch.export.drivers.driver import Record, Settling, written

_OLD = re.compile(r"\.([0-9]{1,15})\Z")
_LONGEST_LINE = 1024 * 1024


class FileDriver(Settling):
    """Appends to `url`; a full file becomes `url.1`, `url.2`, … in the order of time.

    Raises `Unavailable` ("disk-full", "write-failed"), `FsyncFailed`.
    """

    most = 1000

    def __init__(self, destination: Destination, home: Path, files: Files | None = None) -> None:
        super().__init__()
        self._destination = destination
        self._path = home / destination.url
        self._files = files or Files()
        self._stream: FileIO | None = None

    def send(self, records: Sequence[Record], upto: int) -> None:
        """Append and sync; all of it or, after an error, none of it."""
        if records:
            lines = b"".join(written(record, self._destination) + b"\n" for record in records)
            try:
                stream = self._opened()
                size = stream.seek(0, os.SEEK_END)
                if size and size + len(lines) > self._destination.rotate_bytes:
                    self._rotate()
                    stream = self._opened()
                    size = stream.seek(0, os.SEEK_END)
                self._append(stream, size, lines)
            except OSError as error:
                self.close()
                raise disk_error(error, self._path) from error
        self._upto = upto

    def close(self) -> None:
        """Close the file."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()

    def _append(self, stream: FileIO, size: int, lines: bytes) -> None:
        try:
            left = memoryview(lines)
            while left:
                left = left[stream.write(left) :]
            self._files.sync(stream)
        except OSError:
            with contextlib.suppress(OSError):
                stream.truncate(size)
            raise

    def _opened(self) -> FileIO:
        if self._stream is not None:
            return self._stream
        self._files.make_folder(self._path.parent)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o640)
        stream = FileIO(descriptor, "r+b")
        try:
            self._check(stream)
            _mend(stream)
            self._files.sync_folder(self._path.parent)
        except BaseException:
            stream.close()
            raise
        self._stream = stream
        return stream

    def _check(self, stream: FileIO) -> None:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise Invalid("export-file", f"{self._path} is not a file.")

    def _rotate(self) -> None:
        """Give the full file the next number, and remove the oldest of too many."""
        self.close()
        old = self._numbered()
        newest = old[-1][0] if old else 0
        self._files.rename(self._path, self._path.with_name(f"{self._path.name}.{newest + 1}"))
        keep = self._destination.keep
        for _number, path in self._numbered()[: -keep or None] if keep else []:
            self._files.discard(path)

    def _numbered(self) -> list[tuple[int, Path]]:
        found = []
        for path in self._path.parent.iterdir():
            match = _OLD.search(path.name)
            if match and path.name == f"{self._path.name}{match[0]}":
                found.append((int(match[1]), path))
        return sorted(found)


def _mend(stream: FileIO) -> None:
    """Cut off a last line without its end: it was torn by a crash, and is written again."""
    size = stream.seek(0, os.SEEK_END)
    start = max(0, size - _LONGEST_LINE)
    stream.seek(start)
    tail = stream.read(size - start)
    end = tail.rfind(b"\n")
    if tail and end != len(tail) - 1:
        stream.truncate(start + end + 1)
