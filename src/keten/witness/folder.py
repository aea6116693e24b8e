"""A witness's folder: its key, the logs that it watches with the newest head of each, and evidence against them.

`witness.json` holds its name and its private key (Ed25519), for its owner only; `logs/<…>.json` a log's verifier key
and the newest checkpoint that was cosigned; `evidence/<…>.json` what proves that a log showed two histories; `lock` is
held by the one process that runs.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.core.errors import Busy, Conflict, Corrupt, Denied, Invalid, Unavailable
from keten.core.files import Files, disk_error
from keten.ledger.cosignatures import Cosigner
from keten.ledger.evidence import Evidence, encode
from keten.ledger.notes import Checkpoint, Verifier, from_base64, parse_checkpoint, to_base64
from keten.ledger.succession import rivals

MOST_EVIDENCE = 1000  # files: whoever could make more has the key of a log, and is known by the first
T = TypeVar("T")


class _Kept(msgspec.Struct, frozen=True):
    name: str
    private_key: str


class Watched(msgspec.Struct, frozen=True):
    """A log that is watched. note: the newest checkpoint that was cosigned, "" before the first."""

    key: str
    note: str = ""

    @property
    def verifier(self) -> Verifier:
        """The log's key."""
        return Verifier.parse(self.key)

    def newest(self) -> Checkpoint | None:
        """The newest head that was cosigned. Raises `Corrupt` when it is not the log's any more."""
        return parse_checkpoint(self.note, self.verifier) if self.note else None


class WitnessFolder:
    """Reads and writes a witness's folder. Everything that is written is durable when the call returns."""

    def __init__(self, path: Path, files: Files | None = None) -> None:
        self.path = path
        self._files = files or Files()
        self._logs = path / "logs"
        self._evidence = path / "evidence"

    def create(self, name: str) -> Cosigner:
        """Make a new witness. Raises `Conflict` ("not-empty"), `Invalid` ("key-name"), `Unavailable`."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise Conflict("not-empty", f"{self.path} is not empty; a witness is made in a new folder.")
        private = Ed25519PrivateKey.generate()
        made = Cosigner(name, private)
        self._files.make_folder(self.path, 0o700)
        for folder in (self._logs, self._evidence):
            self._files.make_folder(folder, 0o700)
        kept = _Kept(name, to_base64(private.private_bytes_raw()))
        self._write(self.path / "witness.json", msgspec.json.encode(kept))
        return made

    def cosigner(self) -> Cosigner:
        """The witness's key. Raises `Unavailable` ("not-a-witness"), `Corrupt` ("witness-damaged")."""
        path = self.path / "witness.json"
        if not path.is_file():
            raise Unavailable("not-a-witness", f"{self.path} is not a witness; make one with 'keten witness init'.")
        kept = self._read(path, _Kept)
        raw = from_base64(kept.private_key)
        if raw is None or len(raw) != 32:
            raise Corrupt("witness-damaged", f"{path} is damaged.")
        return Cosigner(kept.name, Ed25519PrivateKey.from_private_bytes(raw))

    def add(self, key: str, *, second: bool = False) -> Watched:
        """Watch a log from now on, by its verifier key. Twice is fine.

        Raises `Invalid` for a malformed key; `Conflict` ("other-key") when another key is known for that origin; and
        `Denied` ("two-successors") for a log that was restored while another restored one of that institution is
        watched: with `second` both are.
        """
        log = Verifier.parse(key)
        with self._adding():
            return self._add(log, key, second=second)

    def watched(self, origin: str) -> Watched | None:
        """What is known of a log; None when it is not watched. Raises `Corrupt` ("witness-damaged")."""
        path = self._place(origin)
        return self._read(path, Watched) if path.is_file() else None

    def logs(self) -> Iterator[Watched]:
        """Every log that is watched."""
        for path in sorted(self._logs.glob("*.json")):
            yield self._read(path, Watched)

    def keep(self, watched: Watched) -> None:
        """Keep a log's newest head, durably. Raises `Unavailable`, `FsyncFailed`."""
        self._write(self._place(watched.verifier.name), msgspec.json.encode(watched))

    def accuse(self, name: str, evidence: Evidence) -> Path | None:
        """Keep evidence under a name of its own, once; where it is. None when there is too much already."""
        path = self._evidence / f"{name}.json"
        if not path.exists():
            if len(list(self._evidence.iterdir())) >= MOST_EVIDENCE:
                return None
            self._write(path, encode(evidence))
        return path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Alone with the folder: two processes could cosign two heads of one size. Raises `Busy` ("witness-runs")."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise disk_error(error, self.path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise Busy("witness-runs", f"A process runs on the witness {self.path} already.") from error
        try:
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _adding(self) -> Iterator[None]:
        """One process at a time: what another one added, and was cosigned since, is not made anew without its head."""
        try:
            descriptor = os.open(self._logs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise disk_error(error, self._logs) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _add(self, log: Verifier, key: str, *, second: bool) -> Watched:
        known = self.watched(log.name)
        if known is not None:
            if known.key != key.strip():
                raise Conflict("other-key", f"Another key is known for the log {log.name!r}; nothing was changed.")
            return known
        rival = next((one.verifier.name for one in self.logs() if rivals(one.verifier.name, log.name)), None)
        if rival is not None and not second:
            raise Denied(
                "two-successors",
                f"{log.name} and {rival}, which is watched here, both go on from a log of one institution: one of its "
                "backups was restored twice. Nothing was changed. Call it at a number that you know; if it says that "
                "the other one is given up: keten witness add --second.",
            )
        added = Watched(key.strip())
        self.keep(added)
        return added

    def _place(self, origin: str) -> Path:
        return self._logs / f"{sha256(origin.encode()).hexdigest()[:32]}.json"

    def _read(self, path: Path, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except (ValueError, OSError) as error:
            raise Corrupt("witness-damaged", f"{path} is damaged.", str(error)) from error

    def _write(self, path: Path, content: bytes) -> None:
        self._files.write(path, content, mode=0o600)


def checked_name(name: str) -> str:
    """A witness's name, as an address without https://. Raises `Invalid` ("witness-name")."""
    if name.startswith(("http://", "https://")):
        raise Invalid("witness-name", "A witness's name is an address without https://, such as witness.example/keten.")
    return name
