"""A disk whose power can be cut: ext4 in a file, shut down by its own ioctl, without its journal. Needs root."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.fault.campaigns.keeping import NotHereError

MIB = 1 << 20
SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN of fs/ext4/ext4.h, FS_IOC_SHUTDOWN of linux/fs.h
NO_LOG_FLUSH = 2
FREE_SECONDS = 30.0
_WRITE = 2  # SYNC_FILE_RANGE_WRITE
OPTIONS = ("", "noauto_da_alloc", "nodelalloc,noauto_da_alloc", "data=writeback,noauto_da_alloc")
"""How it may be mounted. Without auto_da_alloc, ext4 does not make up for a forgotten fsync before a rename."""


class Disk:
    """The mounted disk. `cut` takes its power: what was not synced is gone; `mount` brings it back."""

    def __init__(self, image: Path, path: Path) -> None:
        self.image = image
        self.path = path
        self.mounted = False

    def mount(self, options: str = "") -> None:
        """Mount it; the file system replays its journal."""
        words = ["mount", "-o", ",".join(filter(None, ("loop", options))), str(self.image), str(self.path)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotHereError(f"an ext4 file cannot be mounted here: {done.stderr.strip()}")
        self.mounted = True

    def cut(self) -> None:
        """From now on nothing reaches the disk any more, neither data nor the journal."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("=I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def write_back(self, path: Path, offset: int, length: int) -> None:
        """Start to write a part of a file, as the kernel may do at any time, without any promise."""
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                libc.sync_file_range(descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), _WRITE)
            finally:
                os.close(descriptor)

    def release(self) -> None:
        """Unmount, once every process has let go of it."""
        deadline = time.monotonic() + FREE_SECONDS
        while self.mounted:
            done = subprocess.run(["umount", str(self.path)], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                self.mounted = False
                return
            assert time.monotonic() < deadline, f"the disk is still used: {done.stderr}"
            time.sleep(0.05)

    def check(self, *, repair: bool) -> str:
        """What e2fsck has to say: with `repair` it may replay the journal; "" when the file system is whole."""
        words = ["e2fsck", "-f", "-p" if repair else "-n", str(self.image)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return "" if done.returncode in ((0, 1) if repair else (0,)) else done.stdout + done.stderr


@contextmanager
def disk(folder: Path, path: Path, mebibytes: int) -> Iterator[Disk]:
    """A fresh disk of so many MiB, its file in `folder`, mounted on `path`."""
    if os.geteuid() != 0:
        raise NotHereError("only root can mount a file system")
    for program in ("mkfs.ext4", "e2fsck", "mount"):
        if shutil.which(program) is None:
            raise NotHereError(f"{program} is not installed")
    image = folder / "disk.img"
    with image.open("wb") as stream:
        stream.truncate(mebibytes * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, capture_output=True)
    path.mkdir(exist_ok=True)
    made = Disk(image, path)
    made.mount()
    try:
        yield made
    finally:
        with suppress(AssertionError):
            made.release()
        if made.mounted:
            subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)
