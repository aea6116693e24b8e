"""A download by a reader of some speed, and what it saw of its end: when it was reset, and what came after."""

from __future__ import annotations

import os
import select
import threading
import time

from keten.drills.supplier import SupplierSystem

PIECE = 64 * 1024


class Reader(threading.Thread):
    """Downloads one object again and again until it is refused or cut.

    bytes_per_second: 0: as fast as it can. stall_after: stop reading after so many bytes, until `resume` is set.
    Times are `time.time()` in seconds. cut_at: when the reset came to this machine; a slow reader only sees it
    (`reset_at`) when it reads again. descriptor: of the connection, once it began.
    """

    def __init__(
        self,
        system: SupplierSystem,
        path: str,
        *,
        bytes_per_second: int = 0,
        stall_after: int = 0,
    ) -> None:
        super().__init__(daemon=True)
        self._system = system
        self._path = path
        self._speed = bytes_per_second
        self._stall_after = stall_after
        self.resume = threading.Event()
        self.began = threading.Event()
        self.descriptor = -1
        self.arrivals: list[tuple[float, int]] = []
        self.cut_at = 0.0
        self.reset_at = 0.0
        self.refused_status = 0
        self.entries: list[str] = []
        self.failure = ""

    def run(self) -> None:
        """Until the end."""
        try:
            while not self.reset_at and not self.refused_status:
                self._download()
                self.cut_at = self.cut_at or self.reset_at  # it was reading at that moment, and saw it first
        except OSError as error:
            self.failure = str(error)

    def _download(self) -> None:
        small = self._speed > 0 or self._stall_after > 0
        with self._system.connect(receive_buffer=PIECE if small else 0) as wire:
            response = self._system.send(wire, "GET", self._path, self._system.authorised("GET", self._path))
            if response.status != 200:
                self.refused_status = response.status
                return
            self.entries.append(response.headers["Keten-Entry"])
            self.descriptor = wire.fileno()
            over = os.eventfd(0)
            watching = threading.Thread(target=self._watch, args=(os.dup(self.descriptor), over), daemon=True)
            watching.start()
            started, got = time.monotonic(), 0
            try:
                while part := response.read1(PIECE):
                    self.arrivals.append((time.time(), len(part)))
                    self.began.set()
                    got += len(part)
                    if self._stall_after and got >= self._stall_after:
                        self.resume.wait(120)
                        self._stall_after = 0
                    if self._speed:
                        time.sleep(max(0.0, started + got / self._speed - time.monotonic()))
            except OSError:
                self.reset_at = time.time()
                return
            finally:
                os.eventfd_write(over, 1)
                watching.join()
                os.close(over)
            if got < int(response.headers["Content-Length"]):
                self.reset_at = time.time()

    def _watch(self, descriptor: int, over: int) -> None:
        """Note when the connection is reset, whatever the reader does meanwhile; until `over` can be read."""
        watched = select.poll()
        watched.register(descriptor, 0)  # POLLERR and POLLHUP are always reported, an ordinary end is neither
        watched.register(over, select.POLLIN)
        try:
            if descriptor in dict(watched.poll()):
                self.cut_at = time.time()
        finally:
            os.close(descriptor)

    @property
    def received(self) -> int:
        """Bytes in all."""
        return sum(count for _at, count in self.arrivals)

    def received_after(self, moment: float) -> int:
        """Bytes that came after a moment."""
        return sum(count for at, count in self.arrivals if at > moment)

    def ended_at(self) -> float:
        """When the last sign of life came: the reset, or else the last byte."""
        return self.reset_at or (self.arrivals[-1][0] if self.arrivals else 0.0)
