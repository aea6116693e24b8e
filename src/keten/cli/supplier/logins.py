"""What the supplier's commands keep, below the user's settings folder: logins, and what was seen of each ledger.

    instances/<name>.json    a login: address, client, where the key is, the authority's certificate, the ledger's key
    ledgers/<name>.json      a ledger's newest verified checkpoint, and own entries still to be verified
    proofs/<name>/           proofs of own entries (c2sp.org/tlog-proof), the newest of them
    current                  the login that is used when none is named

Files are 0600, folders 0700. No token and no key is kept: the key stays where it is, tokens live for one command.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from keten.core.errors import Corrupt, Invalid
from keten.core.files import Files
from keten.ledger.succession import Predecessor

MAX_PENDING = 10_000
MAX_PROOFS = 1000  # of a ledger; a kilobyte each
T = TypeVar("T")


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """ca: PEM, or "" for the machine's authorities. ledger_key: the verifier key seen when signing in first."""

    url: str
    client_id: str
    key: str
    passphrase_file: str = ""
    ca: str = ""
    ledger_key: str


class Pending(msgspec.Struct, frozen=True):
    """An own entry whose inclusion is still to be verified."""

    entry: str
    index: int


class Seen(msgspec.Struct, frozen=True):
    """checkpoint: the newest verified signed note, "" before the first. before: the logs that this one goes on from."""

    ledger_key: str
    checkpoint: str = ""
    pending: tuple[Pending, ...] = ()
    before: tuple[Predecessor, ...] = ()


class Logins:
    """The logins of one user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._instances = folder / "instances"
        self._ledgers = folder / "ledgers"
        self._current = folder / "current"

    def add(self, login: Login) -> None:
        """Keep a login, and use it from now on."""
        self._write(self._place(login.url), msgspec.json.encode(login))
        self._write(self._current, login.url.encode())

    def remove(self, url: str) -> None:
        """Forget a login; what was seen of its ledger stays."""
        self._place(url).unlink(missing_ok=True)
        if self._read_current() == url:
            self._current.unlink(missing_ok=True)

    def all(self) -> list[Login]:
        """Every login."""
        if not self._instances.is_dir():
            return []
        return [self._read(path, Login) for path in sorted(self._instances.glob("*.json"))]

    def choose(self, instance: str = "") -> Login:
        """The login named by address or host, or else the one used last. `Invalid` ("not-signed-in", "which")."""
        logins = self.all()
        if not logins:
            raise Invalid("not-signed-in", "Sign in first: keten login URL --client ID --key FILE.")
        if not instance:
            current = self._read_current()
            chosen = [one for one in logins if one.url == current] or (logins if len(logins) == 1 else [])
        else:
            chosen = [one for one in logins if instance.rstrip("/") in (one.url, *_names(one.url))]
        if len(chosen) != 1:
            known = ", ".join(one.url for one in logins)
            raise Invalid("which", f"Name one of the instances that you are signed in to: --instance, one of {known}.")
        return chosen[0]

    def seen(self, ledger_key: str) -> Seen:
        """What was seen of a ledger. Raises `Corrupt` ("login-damaged")."""
        path = self._ledger(ledger_key)
        return self._read(path, Seen) if path.exists() else Seen(ledger_key)

    @contextmanager
    def locked(self, ledger_key: str) -> Iterator[None]:
        """Alone with a ledger's file, also among several commands at once."""
        self._make(self._ledgers)
        descriptor = os.open(
            self._ledger(ledger_key).with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def keep(self, seen: Seen) -> None:
        """Keep what was seen; inside `locked`."""
        self._write(self._ledger(seen.ledger_key), msgspec.json.encode(seen))

    def expect(self, ledger_key: str, pending: Pending) -> None:
        """Remember an own entry that is to be verified, before its content is read."""
        with self.locked(ledger_key):
            seen = self.seen(ledger_key)
            kept = (*seen.pending, pending)[-MAX_PENDING:]
            self.keep(msgspec.structs.replace(seen, pending=kept))

    def evidence(self, name: str, content: bytes) -> Path:
        """Keep evidence of a ledger that does not hold; where it is."""
        path = self._folder / "evidence" / name
        self._write(path, content)
        return path

    def proofs(self, ledger_key: str) -> Path:
        """The folder with the proofs of own entries in a ledger."""
        return self._folder / "proofs" / self._ledger(ledger_key).stem

    def keep_proof(self, ledger_key: str, entry: Pending, text: str) -> None:
        """Keep the proof of an own entry; of many, the newest."""
        folder = self.proofs(ledger_key)
        self._write(folder / f"{entry.index:019d}.{entry.entry}.tlog-proof", text.encode())
        for path in sorted(folder.glob("*.tlog-proof"))[:-MAX_PROOFS]:
            path.unlink(missing_ok=True)

    def proven(self, ledger_key: str) -> tuple[Pending, ...]:
        """The own entries of which there is a proof, oldest first."""
        found = []
        for path in sorted(self.proofs(ledger_key).glob("*.tlog-proof")):
            index, _, rest = path.name.partition(".")
            if index.isdigit():
                found.append(Pending(rest.partition(".")[0], int(index)))
        return tuple(found)

    # ---- files -----------------------------------------------------------------------------------------------

    def _place(self, url: str) -> Path:
        return self._instances / f"{sha256(url.encode()).hexdigest()[:32]}.json"

    def _ledger(self, ledger_key: str) -> Path:
        return self._ledgers / f"{sha256(ledger_key.encode()).hexdigest()[:32]}.json"

    def _read_current(self) -> str:
        try:
            return self._current.read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def _read(self, path: Path, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise Corrupt("login-damaged", f"{path} is damaged; remove it and sign in again.", str(error)) from error

    def _write(self, path: Path, content: bytes) -> None:
        self._make(path.parent)
        Files().write(path, content, mode=0o600)

    def _make(self, folder: Path) -> None:
        Files().make_folder(folder, 0o700)


def _names(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    return parts.netloc, parts.hostname or ""
