"""Ciphertext in, content out: one object's frames, decrypted with the key of one access, in threads."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from keten.core.errors import Unavailable
from keten.core.storage import Blob, Store
from keten.keeper.protocol import Opened
from keten.vault.frames import FrameReader


class Content:
    """One open object. The file is opened at the first read; the key is forgotten at `close`."""

    def __init__(self, store: Store, opened: Opened) -> None:
        self._store = store
        self._opened: Opened | None = opened
        self._blob: Blob | None = None
        self._reader: FrameReader | None = None
        self._in_threads = 0
        self._closing = False
        self._opening = threading.Lock()
        self.frame_size = opened.layout.frame_size

    def frame_of(self, offset: int) -> int:
        """The number of the frame in which a byte is."""
        return offset // self.frame_size

    def frame(self, number: int) -> bytes:
        """One frame's content. `Corrupt` when it is damaged or missing."""
        return self._ready().frame(number)

    def _ready(self) -> FrameReader:
        with self._opening:
            if self._reader is None:
                self._reader = self._first()
            return self._reader

    def _first(self) -> FrameReader:
        if self._opened is None:
            raise Unavailable("access-over", "This access is over.")
        self._blob = self._store.open(self._opened.layout.storage)
        return FrameReader(self._blob, self._opened.key, self._opened.layout)

    def read(self, start: int, length: int) -> bytes:
        """`length` bytes from `start`, which the object has."""
        return b"".join(self._ready().read(start, length))

    def entered(self) -> None:
        """A thread is about to read: closing waits for it."""
        self._in_threads += 1

    def left(self) -> None:
        """A thread has read."""
        self._in_threads -= 1
        if self._closing and not self._in_threads:
            self._close()

    def close(self) -> None:
        """Forget the key and close the file, once no thread reads from it any more."""
        self._closing = True
        if not self._in_threads:
            self._close()

    def _close(self) -> None:
        self._opened = None
        self._reader = None
        blob, self._blob = self._blob, None
        if blob is not None:
            blob.close()


class Contents:
    """Where ciphertext is, and the threads that decrypt (AES releases the interpreter's lock)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1), thread_name_prefix="decrypt")

    def content(self, opened: Opened) -> Content:
        """The content of one access."""
        return Content(self._store, opened)

    def submit(self, content: Content, number: int) -> asyncio.Future[bytes]:
        """Decrypt one frame in a thread."""
        loop = asyncio.get_running_loop()
        content.entered()
        running = self._threads.submit(content.frame, number)
        # Counted when the thread is done, which a cancelled caller does not wait for.
        running.add_done_callback(lambda _done: loop.call_soon_threadsafe(content.left))
        future = asyncio.wrap_future(running)
        future.add_done_callback(_heard)
        return future

    def stop(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _heard(done: asyncio.Future[bytes]) -> None:
    """A frame decrypted ahead that nobody came for is no unheard error."""
    if not done.cancelled():
        done.exception()
