"""Where ciphertext lives: a store of blobs named by random ids (law 10). The default is a local folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from keten.core.errors import Corrupt, Invalid, Unavailable
from keten.core.files import Files, disk_error, umask
from keten.core.ids import is_id

_UNFINISHED = ".tmp"


class Blob(Protocol):
    """An open blob. `read_at` returns exactly `length` bytes or fewer at the end; closing twice is fine."""

    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes from `offset`."""

    def close(self) -> None:
        """Give the handle back."""


class Store(Protocol):
    """What a store of blobs must do; small enough for an object store."""

    def put(self, key: str, parts: Iterable[bytes]) -> int:
        """Write a new blob durably; returns its size in bytes. All or nothing."""

    def open(self, key: str) -> Blob:
        """Open for reading. `Corrupt` ("content-missing"): it is not there; `Unavailable` ("content-unreadable")."""

    def delete(self, key: str) -> bool:
        """Remove; whether it was there."""

    def keys(self) -> Iterator[str]:
        """Every blob's key, also of one that was not written to its end."""


class LocalBlob:
    """A file opened for positioned reads (safe from several threads at once)."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.size = os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`."""
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class LocalStore:
    """Blobs as files `<first two characters>/<key>` below a folder."""

    def __init__(self, root: Path, files: Files | None = None) -> None:
        self._root = root
        self._files = files or Files()

    def _path(self, key: str) -> Path:
        if not is_id(key):
            raise Invalid("storage-key", "A storage key must be a random id.", repr(key)[:60])
        return self._root / key[:2] / key

    @staticmethod
    def _unfinished(path: Path) -> Path:
        """Where a blob is until it is complete; a killed put leaves it there."""
        return path.with_name(f".{path.name}{_UNFINISHED}")

    def put(self, key: str, parts: Iterable[bytes]) -> int:
        """Write a new blob durably; returns its size. `Unavailable` when the disk is full: nothing is left behind."""
        path = self._path(key)
        temporary = self._unfinished(path)
        size = 0
        try:
            with umask(0o027):  # the gateway reads it by its group, whatever the operator's shell forbids
                if path.parent.exists():  # a killed put may have made it, and not its name durable
                    self._files.sync_folder(self._root)
                self._files.make_folder(path.parent, 0o750)
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            with os.fdopen(descriptor, "wb") as stream:
                for part in parts:
                    stream.write(part)
                    size += len(part)
                self._files.sync(stream)
            self._files.rename(temporary, path)
        except OSError as error:
            self._files.discard(temporary)
            raise disk_error(error, path) from error
        except BaseException:
            self._files.discard(temporary)
            raise
        return size

    def open(self, key: str) -> LocalBlob:
        """Open a blob for reading."""
        try:
            return LocalBlob(self._path(key))
        except FileNotFoundError as error:
            raise Corrupt("content-missing", "The content of an object is missing from the store.", key) from error
        except OSError as error:
            public = "The content cannot be read at this moment."
            raise Unavailable("content-unreadable", public, f"{key}: {error.strerror}") from error

    def delete(self, key: str) -> bool:
        """Remove a blob, complete or not; whether there was anything to remove."""
        path = self._path(key)
        removed = False
        for each in (path, self._unfinished(path)):
            try:
                each.unlink()
                removed = True
            except FileNotFoundError:
                continue
        if removed:
            self._files.sync_folder(path.parent)
        return removed

    def keys(self) -> Iterator[str]:
        """The key of every blob, also of one that a killed put left unfinished, each once, in no particular order."""
        for folder in self._root.iterdir() if self._root.exists() else ():
            if folder.is_dir():
                names = {path.name.removeprefix(".").removesuffix(_UNFINISHED) for path in folder.iterdir()}
                yield from (name for name in names if is_id(name) and name[:2] == folder.name)
