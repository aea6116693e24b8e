"""The supplier's own key: an OpenSSH Ed25519 private key that stays in its file (PROTOCOL.key of OpenSSH)."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from keten.cli.output import say
from keten.core.errors import Denied, Invalid, Unavailable

MAX_KEY_FILE = 64 * 1024
TRIES = 3


def load_key(path: Path, passphrase_file: Path | None = None) -> Ed25519PrivateKey:
    """The key in a file; an encrypted one is opened with a passphrase from a file, or asked for on a terminal.

    1. The file is a private key of OpenSSH, and of the right kind.
    2. Whoever else may read it is named: the key is the login.
    3. Encrypted: the passphrase file; else a terminal, three times.

    Raises `Invalid` ("key-file", "key-type"), `Denied` ("key-passphrase"), `Unavailable` ("key-passphrase-missing").
    """
    content = _read(path)
    if content.startswith((b"ssh-", b"ecdsa-", b"sk-")):  # 1
        raise Invalid(
            "key-file", f"{path} is the public half of a key; give the private one, most often beside it without .pub."
        )
    _warn_of_others(path)  # 2
    if passphrase_file is not None:  # 3
        return _opened(path, content, _read(passphrase_file).rstrip(b"\r\n"))
    try:
        return _opened(path, content, None)
    except _Encrypted:
        pass
    if not sys.stdin.isatty():
        raise Unavailable(
            "key-passphrase-missing", f"The key {path} is encrypted; give its passphrase with --passphrase-file FILE."
        )
    from getpass import getpass

    for left in range(TRIES - 1, -1, -1):
        try:
            return _opened(path, content, getpass(f"Passphrase of {path}: ").encode())
        except Denied:
            if not left:
                raise
            say("That is not its passphrase.")
    raise AssertionError("the last try returned or raised")


class _Encrypted(Exception):
    """The key needs a passphrase."""


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_KEY_FILE + 1)
    except OSError as error:
        raise Invalid("key-file", f"{path}: {error.strerror or 'it cannot be read'}.") from error
    if len(content) > MAX_KEY_FILE:
        raise Invalid("key-file", f"{path} is too large for a key.")
    return content


def _opened(path: Path, content: bytes, passphrase: bytes | None) -> Ed25519PrivateKey:
    try:
        key = load_ssh_private_key(content, passphrase or None)
    except TypeError as error:  # a passphrase is missing, or given for a key that has none
        if passphrase is None:
            raise _Encrypted from error
        key = _opened(path, content, None)
    except UnsupportedAlgorithm as error:
        raise Unavailable(
            "key-unsupported", f"The key {path} cannot be opened with what is installed.", str(error)
        ) from error
    except ValueError as error:
        if passphrase is not None:
            raise Denied("key-passphrase", f"The passphrase does not open the key {path}.") from error
        raise Invalid(
            "key-file", f"{path} is not a private key of OpenSSH; 'ssh-keygen -t ed25519' makes one.", str(error)
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Invalid("key-type", f"{path} is not an Ed25519 key; 'ssh-keygen -t ed25519' makes one.")
    return key


def _warn_of_others(path: Path) -> None:
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        say(f"Others on this machine may read the key {path}: 'chmod 600 {path}'.")
