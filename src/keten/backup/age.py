"""Encrypting to age recipients (age-encryption.org/v1) by pyrage, streaming; or not, where that was asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pyrage

from keten.core.errors import Corrupt, Denied, Invalid, KetenError
from keten.core.files import Files, disk_error

CHUNK = 1 << 20
_SECRET = "AGE-SECRET-KEY-"  # noqa: S105  # how every identity begins, no secret


class Written(msgspec.Struct, frozen=True):
    """A file that was written: its SHA-256 in hexadecimal, and its size in bytes."""

    digest: str
    size: int


class Taker(Protocol):
    """What is given the plain content, piece by piece."""

    def write(self, piece: bytes) -> int:
        """Take a piece; its length."""

    def flush(self) -> None:
        """Nothing is held back."""


def recipients(texts: Iterable[str]) -> list[Any]:
    """Recipients from their text: age1… or ssh-ed25519 AAAA…. Raises `Invalid` ("recipient")."""
    found: list[Any] = []
    for text in texts:
        kind: Any = pyrage.ssh.Recipient if text.startswith("ssh-ed25519 ") else pyrage.x25519.Recipient
        try:
            found.append(kind.from_str(text.strip()))
        except pyrage.RecipientError as error:
            raise Invalid(
                "recipient",
                f"{text[:80]!r} is no key to encrypt to; one looks like age1… or ssh-ed25519 AAAA….",
                str(error),
            ) from error
    return found


def identities(path: Path) -> list[Any]:
    """What opens a backup: a file of age's own identities, or an OpenSSH private key without passphrase.

    Raises `Invalid` ("identity"), `OSError`.
    """
    data = path.read_bytes()[:CHUNK]
    try:
        if b"PRIVATE KEY-----" in data:
            return [pyrage.ssh.Identity.from_buffer(data)]
        lines = [line.strip() for line in data.decode("ascii").splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith(_SECRET)]
    except (pyrage.IdentityError, UnicodeDecodeError) as error:
        raise Invalid("identity", f"{path} cannot be used as an identity.", str(error)) from error
    if not found:
        raise Invalid("identity", f"{path} holds no identity: neither AGE-SECRET-KEY-1… nor an OpenSSH private key.")
    return found


def seal(path: Path, pieces: Iterable[bytes], to: Sequence[Any], files: Files) -> Written:
    """Write pieces to a new file of its owner alone, encrypted to recipients (none: in the clear), and fsync it.

    It has its name only once it is whole. Raises what `pieces` raises, `Unavailable` ("disk-full", …), `FsyncFailed`.
    """
    temporary = unfinished(path)
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            target = _Hashed(stream)
            source = _Pieces(pieces)
            try:
                if to:
                    pyrage.encrypt_io(source, target, list(to))
                else:
                    while piece := source.read(CHUNK):
                        target.write(piece)
            except BaseException:
                if source.failed is not None:
                    raise source.failed from None
                if target.failed is not None:
                    raise target.failed from None
                raise
            files.sync(stream)
        files.rename(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, path) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Written(target.digest.hexdigest(), target.size)


def unfinished(path: Path) -> Path:
    """Where a file is until it is whole; a killed `seal` leaves it there."""
    return path.with_name(f".{path.name}.tmp")


def unseal(path: Path, taker: Taker, by: Sequence[Any]) -> Written:
    """Give the plain content of a file to `taker`; `by`: identities, none for a file in the clear.

    What was given is to be believed only once this returns. Raises `Denied` ("wrong-identity"), `Corrupt`
    ("backup-damaged"), what `taker` raises, `OSError`.
    """
    with path.open("rb") as stream:
        source = _Hashing(stream)
        kept = _Kept(taker)
        if not by:
            while piece := source.read(CHUNK):
                taker.write(piece)
        else:
            try:
                pyrage.decrypt_io(source, kept, list(by))
            except BaseException as error:
                if kept.failed is not None:
                    raise kept.failed from None
                if not isinstance(error, pyrage.DecryptError | OSError):
                    raise
                if isinstance(error, pyrage.DecryptError) and "matching" in str(error).lower():
                    raise Denied("wrong-identity", "This identity does not open this backup.", str(error)) from error
                raise Corrupt("backup-damaged", f"{path} is damaged, and cannot be opened.", str(error)) from error
    return Written(source.digest.hexdigest(), source.size)


def digest_of(path: Path, moved: Callable[[int], None] = lambda _count: None) -> Written:
    """A file's SHA-256 and size, read from the disk. Raises `OSError`."""
    digest, size = sha256(), 0
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
            size += len(piece)
            moved(len(piece))
    return Written(digest.hexdigest(), size)


class _Pieces:
    """Pieces as a file to read from; what they raise is remembered, for it does not pass through the library."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self._held = bytearray()
        self.failed: BaseException | None = None

    def read(self, count: int = -1) -> bytes:
        while count < 0 or len(self._held) < count:
            try:
                piece = next(self._pieces, None)
            except BaseException as error:
                self.failed = error
                raise
            if piece is None:
                break
            self._held += piece
        end = len(self._held) if count < 0 else count
        taken = bytes(self._held[:end])
        del self._held[:end]
        return taken


class _Hashed:
    """A stream to write to, of which size and digest are known."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.digest = sha256()
        self.size = 0
        self.failed: BaseException | None = None

    def write(self, piece: bytes) -> int:
        try:
            self._stream.write(piece)
        except BaseException as error:
            self.failed = error
            raise
        self.digest.update(piece)
        self.size += len(piece)
        return len(piece)

    def flush(self) -> None:
        self._stream.flush()


class _Hashing:
    """A stream to read from, of which size and digest of what was read are known."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.digest = sha256()
        self.size = 0

    def read(self, count: int = -1) -> bytes:
        piece: bytes = self._stream.read(count)
        self.digest.update(piece)
        self.size += len(piece)
        return piece


class _Kept:
    """A taker whose errors are remembered."""

    def __init__(self, taker: Taker) -> None:
        self._taker = taker
        self.failed: KetenError | Exception | None = None

    def write(self, piece: bytes) -> int:
        try:
            return self._taker.write(bytes(piece))
        except Exception as error:
            self.failed = error
            raise

    def flush(self) -> None:
        self._taker.flush()
