"""Durable writing of many files at once, by way of a staging folder (law 13)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from keten.core.errors import Unavailable
from keten.core.files import Files, disk_error

_AT_ONCE = 64  # files that are open together


class TreeFiles(Files):
    """Files of a tree, made under `staging` (on the same file system) and then moved to their places.

    One writer only. What a crash leaves behind lies in `staging`, not between the files that others read.
    """

    def __init__(self, staging: Path) -> None:
        self._staging = staging
        self._known: set[Path] = set()

    def clear_staging(self) -> None:
        """Remove what an earlier writer left unfinished."""
        try:
            self.make_folder(self._staging)
            for path in self._staging.iterdir():
                path.unlink()
        except OSError as error:
            raise disk_error(error, self._staging) from error

    def write_all(self, files: Iterable[tuple[Path, bytes]]) -> None:
        """Write or replace every file, durably; each one appears whole or not at all, in no certain order.

        1. Write new files in the staging folder, and fsync each.
        2. Move them to their places.
        3. Fsync each folder that got one.

        Raises `Unavailable` ("disk-full", "write-failed") and `FsyncFailed`.
        """
        for some in _groups(files):
            try:
                self._write_group(some)
            except OSError as error:
                self._discard(len(some))
                raise disk_error(error, some[0][0]) from error
            except Unavailable:
                self._discard(len(some))
                raise

    def write_new(self, path: Path, content: bytes) -> None:
        """Write a file that nobody else sees yet, and fsync it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o644), "wb") as stream:
            stream.write(content)
            self.sync(stream)

    def replace(self, source: Path, target: Path) -> None:
        """Rename without making it durable yet."""
        source.replace(target)

    def remove_folder(self, folder: Path) -> None:
        """Remove a folder of files, if it is there; not necessarily durably. Raises `OSError`."""
        try:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        except FileNotFoundError:
            return
        finally:
            self._known.discard(folder)

    def _write_group(self, some: list[tuple[Path, bytes]]) -> None:
        folders = dict.fromkeys(path.parent for path, _ in some)
        for folder in folders:
            if folder not in self._known:
                self.make_folder(folder)
                self._known.add(folder)
        for number, (_, content) in enumerate(some):  # 1
            self.write_new(self._temporary(number), content)
        for number, (path, _) in enumerate(some):  # 2
            self.replace(self._temporary(number), path)
        for folder in folders:  # 3
            self.sync_folder(folder)

    def _temporary(self, number: int) -> Path:
        return self._staging / str(number)

    def _discard(self, count: int) -> None:
        self._known.clear()  # perhaps somebody took a folder away
        for number in range(count):
            self.discard(self._temporary(number))


def _groups(files: Iterable[tuple[Path, bytes]]) -> Iterator[list[tuple[Path, bytes]]]:
    each = iter(files)
    while some := list(islice(each, _AT_ONCE)):
        yield some
