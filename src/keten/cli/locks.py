"""Locks between commands on one instance: `up` holds one, and so does a command that runs a keeper for itself."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from keten.core.errors import Unavailable
from keten.core.settings import Paths

RETRY_SECONDS = 0.05


class Lock:
    """A lock on a file (flock(2)), given back by the kernel when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self, *, shared: bool = False, seconds: float = 0.0) -> bool:
        """Take it, waiting up to `seconds` for whoever has it; whether that worked."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        deadline = time.monotonic() + seconds
        self._open()
        while True:
            try:
                fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
                return True
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            if time.monotonic() >= deadline:
                return False
            time.sleep(RETRY_SECONDS)

    def give_back(self) -> None:
        """Give it back; twice is fine."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open(self) -> None:
        if self._descriptor >= 0:
            return
        try:
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise Unavailable("lock", f"{self._path} cannot be opened.", str(error)) from error


def up_lock(paths: Paths) -> Lock:
    """Held by `keten up` as long as it runs."""
    return Lock(paths.up_lock)


def command_lock(paths: Paths) -> Lock:
    """Held alone by a command that runs a keeper for itself; shared by one that uses the keeper that is there."""
    return Lock(paths.run / "command.lock")


def is_up(paths: Paths) -> bool:
    """Whether `keten up` runs on the instance."""
    return _held(paths.up_lock)


def is_kept(paths: Paths) -> bool:
    """Whether a keeper runs on the instance, also one that is just starting or stopping."""
    return _held(paths.keeper_lock)


def _held(path: Path) -> bool:
    if not path.exists():
        return False
    lock = Lock(path)
    try:
        return not lock.take(shared=True)
    finally:
        lock.give_back()
