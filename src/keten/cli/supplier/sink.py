"""Where a download goes: digested and written by a thread of its own, while the next piece is being received."""

from __future__ import annotations

import os
import threading
from hashlib import sha256
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import BinaryIO, Self

from keten.core.errors import Unavailable
from keten.core.files import disk_error
from keten.vault.rules import digest_text

PIECE = 1 << 20
BUFFERS = 4


class Sink:
    """A file that grows, with the digest of all that is in it. `path`: its name, for messages."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._hashed = sha256()
        self.size = 0

    def resume(self) -> int:
        """Digest what is in the file already, to go on after it; returns how much that is."""
        self._hashed, self.size = sha256(), 0
        self._stream.seek(0)
        while chunk := self._stream.read(PIECE):
            self._hashed.update(chunk)
            self.size += len(chunk)
        return self.size

    def clear(self) -> None:
        """Throw away what there is."""
        self._stream.truncate(0)
        self._stream.seek(0)
        self._hashed, self.size = sha256(), 0

    @property
    def digest(self) -> str:
        """The digest of the whole, as in RFC 9530."""
        return digest_text(self._hashed.digest())

    def take(self, data: memoryview) -> None:
        """Add data. Raises `Unavailable` ("disk-full", "write-failed")."""
        self._hashed.update(data)
        try:
            while data:
                written = self._stream.write(data)
                self.size += written
                data = data[written:]
        except OSError as error:
            # The digest is ahead of the file now: whoever goes on calls `resume` first.
            raise disk_error(error, self._path) from error


class Pump:
    """Fills buffers in this thread and empties them into a sink in another; a context manager.

    Everything given has reached the sink when the context ends, also when it ends with an error.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._full: SimpleQueue[memoryview | None] = SimpleQueue()
        for _ in range(BUFFERS):
            self._free.put(memoryview(bytearray(PIECE)))
        self._failed: Unavailable | None = None
        self._thread = threading.Thread(target=self._empty, name="keten-download", daemon=True)

    def buffer(self) -> memoryview:
        """A buffer to fill; waits until one is free. Raises what the sink failed with."""
        buffer = self._free.get()
        if self._failed is not None:
            raise self._failed
        return buffer

    def give(self, buffer: memoryview, count: int) -> None:
        """The first `count` bytes of a buffer are content."""
        self._full.put(buffer[:count])

    def _empty(self) -> None:
        while (piece := self._full.get()) is not None:
            if self._failed is None:
                try:
                    self._sink.take(piece)
                except Unavailable as error:
                    self._failed = error
            self._free.put(memoryview(piece.obj))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._full.put(None)
        self._thread.join()
        if self._failed is not None and (error is None or error is not self._failed):
            raise self._failed


def open_part(path: Path) -> BinaryIO:
    """The file of an unfinished download, made when it is not there; never through a link. Raises `Unavailable`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise disk_error(error, path) from error
    return os.fdopen(descriptor, "r+b", buffering=0)
