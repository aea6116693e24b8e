"""A supplier's key file: an Ed25519 key, or a plain word about what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keten.cli.supplier import keys
from keten.core.errors import KetenError
from tests.fuzz.target import Target
from tests.fuzz.targets.sign_in import KEY

FILE = KEY.private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def check(data: bytes) -> bool:
    try:
        key = keys._opened(Path("key"), data, None)
    except (KetenError, keys._Encrypted):
        return False
    again = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    assert keys._opened(Path("key"), again, None).private_bytes_raw() == key.private_bytes_raw()
    return True


TARGET = Target(
    "private-key",
    check,
    lambda: [FILE],
    words=(b"-----BEGIN OPENSSH PRIVATE KEY-----", b"b3BlbnNzaC1rZXktdjEA", b"bcrypt", b"AAAA", b"-----END"),
)
