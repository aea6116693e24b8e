"""Putting a file, on the operator's side: look at it, then seal it into the store under the key that the keeper gave.

The file is read twice: first to know its digest and records, so that the keeper can say "already there" before anything
is written; then to seal it. Both readings must be of the same content.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from keten.core.errors import Conflict, Invalid
from keten.core.storage import Store
from keten.vault.frames import encrypt, new_header
from keten.vault.media import media_type_of
from keten.vault.model import Ready
from keten.vault.records import CHUNK, counter_for
from keten.vault.rules import check_size, digest_text


class Measured(msgspec.Struct, frozen=True):
    """A file before it is put. `digest`: "sha-256=:<base64>:" (RFC 9530)."""

    size: int
    digest: str
    media_type: str
    records: int


def _nothing(_bytes: int) -> None:
    """Nobody looks at the progress."""


def measure(path: Path, progress: Callable[[int], None] = _nothing) -> Measured:
    """Size, digest, type and records of a file. `progress` is told how many more bytes were read.

    Raises `Invalid` (file-unreadable, not-a-file, content-too-large, records-uncountable).
    """
    media_type = media_type_of(path.name)
    digest = hashlib.sha256()
    size = 0
    try:
        with _open(path) as stream:
            counter = counter_for(stream, path.name, media_type)
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                counter.feed(chunk)
                size += len(chunk)
                progress(len(chunk))
    except OSError as error:
        raise _unreadable(path, error) from error
    return Measured(check_size(size), digest_text(digest.digest()), media_type, counter.finish())


def store(path: Path, measured: Measured, ready: Ready, into: Store, progress: Callable[[int], None] = _nothing) -> int:
    """Seal a file into the store, where and with the key that the keeper said; returns the blob's size in bytes.

    Raises `Conflict` ("content-changed") when the file is not what was measured, `Invalid` (file-unreadable,
    not-a-file), `Unavailable` ("disk-full"), `FsyncFailed`; nothing is left in the store then.
    """
    with _open(path) as stream:
        content = _verified(stream, path, measured, progress)
        return into.put(ready.storage, encrypt(content, ready.key, new_header(ready.object)))


def _verified(stream: BinaryIO, path: Path, measured: Measured, progress: Callable[[int], None]) -> Iterator[bytes]:
    """The content, as long as it is what was measured: the last frame is not sealed before that is certain."""
    digest = hashlib.sha256()
    size = 0
    while True:
        try:
            chunk = stream.read(CHUNK)
        except OSError as error:  # said here, where it is known that the source failed and not the store
            raise _unreadable(path, error) from error
        if not chunk:
            break
        digest.update(chunk)
        size += len(chunk)
        progress(len(chunk))
        yield chunk
    if size != measured.size or digest_text(digest.digest()) != measured.digest:
        raise Conflict("content-changed", f"The content of {path.name!r} changed while it was put; put it again.")


def _open(path: Path) -> BinaryIO:
    """A regular file for reading; never waits for the writer of a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Invalid("not-a-file", f"{str(path)!r} is not a regular file.")
    return os.fdopen(descriptor, "rb")


def _unreadable(path: Path, error: Exception) -> Invalid:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Invalid("file-unreadable", f"{str(path)!r} cannot be read: {why}.")
