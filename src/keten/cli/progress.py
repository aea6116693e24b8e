"""How far things are, on a terminal's stderr; silent everywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from keten.suppliers.mistakes import plain

REFRESH_SECONDS = 0.1
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def remark(text: str) -> None:
    """Say what takes its time."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{plain(text)}\n")
        sys.stderr.flush()


class Transfer:
    """Shows bytes, per cent and speed of one transfer while it runs. `size` None: not known beforehand."""

    def __init__(self, title: str, size: int | None, *, done: int = 0, show: bool | None = None) -> None:
        self._title = plain(title)
        self._size = size
        self._done = done
        self._first = done
        self._started = time.monotonic()
        self._next = 0.0
        self._show = sys.stderr.isatty() if show is None else show
        self._shown = 0

    @property
    def speed(self) -> float:
        """Bytes a second since the start."""
        return (self._done - self._first) / max(time.monotonic() - self._started, 1e-6)

    def advance(self, count: int) -> None:
        """So many bytes more."""
        self._done += count
        now = time.monotonic()
        if self._show and now >= self._next:
            self._next = now + REFRESH_SECONDS
            self._print()

    def move_to(self, done: int) -> None:
        """Begin again from here (a part was fetched earlier, or thrown away)."""
        self._done = self._first = done
        self._started = time.monotonic()

    def _print(self) -> None:
        text = f"{self._title}  {in_bytes(self._done)}"
        if self._size:
            percent = self._done * 100 // self._size
            text = f"{self._title}  {percent:3d} %  {in_bytes(self._done)} of {in_bytes(self._size)}"
        text += f"  {in_bytes(self.speed)}/s"
        if self._size and self.speed > 0:
            left = int(max(0, self._size - self._done) / self.speed)
            text += f"  {left // 60}:{left % 60:02d} left"
        sys.stderr.write("\r" + text.ljust(self._shown))
        sys.stderr.flush()
        self._shown = len(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._shown:
            if error is None:
                self._print()
            sys.stderr.write("\n")
            sys.stderr.flush()


class Counted:
    """Shows how many things have come so far, while others are on their way; how many there are is not known."""

    def __init__(self, title: str, *, show: bool | None = None) -> None:
        self._title = plain(title)
        self._show = sys.stderr.isatty() if show is None else show
        self._shown = False

    def move_to(self, done: int) -> None:
        """So many by now."""
        if self._show:
            sys.stderr.write(f"\r{done:,} {self._title} …")
            sys.stderr.flush()
            self._shown = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._shown:
            sys.stderr.write("\n")
            sys.stderr.flush()


def in_bytes(count: float) -> str:
    """A number of bytes for people: 1536 is 1.5 KiB."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError  # the last unit returned
