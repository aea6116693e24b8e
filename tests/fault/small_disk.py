"""A disk of its own size below a folder, to be filled: a tmpfs. Needs root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1 << 20
_PAGE = 4096


class SmallDisk:
    """A mounted tmpfs. `fill` leaves exactly so many bytes, `free` gives everything back.

    What fills it is a file without a name, so that nobody finds it among their own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = -1

    @property
    def left(self) -> int:
        """Free bytes."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int) -> None:
        """Take everything but `leave` bytes (rounded to pages). Others may write meanwhile, so look again."""
        if self._filler < 0:
            self._filler = os.open(self.path, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC)
        for _attempt in range(50):
            size = os.fstat(self._filler).st_size
            over = (self.left - leave) // _PAGE * _PAGE
            if over == 0:
                return
            try:
                if over > 0:
                    os.posix_fallocate(self._filler, size, over)
                else:
                    os.ftruncate(self._filler, max(0, size + over))
            except OSError:
                continue  # somebody else took of it meanwhile

    def free(self) -> None:
        """Give the space back."""
        filler, self._filler = self._filler, -1
        if filler >= 0:
            os.close(filler)


@contextmanager
def small_disk(path: Path, mebibytes: int) -> Iterator[SmallDisk]:
    """Mount a disk of so many MiB over a folder, made when it is not there."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    path.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0755", "tmpfs", str(path)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    disk = SmallDisk(path)
    try:
        yield disk
    finally:
        disk.free()
        subprocess.run(["umount", "-l", str(path)], check=True)
