"""The instance's root key: kept bare, sealed by a passphrase, or handed in by the service manager as a credential."""

from __future__ import annotations

from pathlib import Path

import msgspec

from keten.core.crypto import KEY_BYTES, is_sealed, new_key, open_by_passphrase, seal_by_passphrase
from keten.core.errors import Corrupt, Invalid, Unavailable
from keten.core.files import Files
from keten.core.settings import Settings

CREDENTIAL = "keten-root-key"
CREDENTIAL_PASSPHRASE = "keten-passphrase"  # noqa: S105  # a file's name, not a secret


class RootKey(msgspec.Struct, frozen=True):
    """The key and how it is kept: "bare", "passphrase" or "credential"."""

    key: bytes
    kind: str


def create_root_key(path: Path, passphrase: bytes | None) -> RootKey:
    """Make a new root key. `Invalid` when there is one already: it is never overwritten."""
    if path.exists():
        raise Invalid("key-exists", f"{path} exists already; a root key is never overwritten.")
    key = new_key()
    Files().write(path, seal_by_passphrase(key, passphrase) if passphrase else key, mode=0o600)
    return RootKey(key, "passphrase" if passphrase else "bare")


def load_root_key(settings: Settings, credentials: Path | None) -> RootKey:
    """The root key, from the first place that has it.

    1. A credential from the service manager (`keten-root-key` in its credentials folder).
    2. The key file; sealed: opened with the passphrase of `passphrase_file` or the credential `keten-passphrase`.
    3. The key file, bare.

    Raises `Unavailable` ("key-missing", "passphrase-missing"), `Denied` ("wrong-passphrase"), `Corrupt`.
    """
    if credentials is not None and (credentials / CREDENTIAL).exists():  # 1
        return RootKey(_sized((credentials / CREDENTIAL).read_bytes()), "credential")
    path = settings.paths.root_key
    try:
        stored = path.read_bytes()
    except OSError as error:
        public = f"The keeper's key {path} cannot be read. Is this an instance, and are you its user?"
        raise Unavailable("key-missing", public, str(error)) from error
    if not is_sealed(stored):  # 3
        return RootKey(_sized(stored), "bare")
    for place in _passphrase_files(settings, credentials):  # 2
        try:
            passphrase = place.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            public = f"The passphrase file {place} cannot be read."
            raise Unavailable("passphrase-missing", public, str(error)) from error
        return RootKey(_sized(open_by_passphrase(stored, passphrase)), "passphrase")
    raise Unavailable(
        "passphrase-missing",
        "The keeper's key is sealed by a passphrase: set [keeper] passphrase_file, "
        f"or give the credential {CREDENTIAL_PASSPHRASE}.",
    )


def _passphrase_files(settings: Settings, credentials: Path | None) -> list[Path]:
    if settings.keeper.passphrase_file:
        return [Path(settings.keeper.passphrase_file)]
    if credentials is not None and (credentials / CREDENTIAL_PASSPHRASE).exists():
        return [credentials / CREDENTIAL_PASSPHRASE]
    return []


def _sized(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise Corrupt("key-damaged", f"The keeper's key must be {KEY_BYTES} bytes, and is {len(key)}.")
    return key
