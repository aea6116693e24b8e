"""Lines of public keys: what is taken is one Ed25519 key, which another library reads as the same."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from nacl.bindings import crypto_core_ed25519_is_valid_point

from keten.core.errors import Invalid
from keten.identity.keys import fingerprint_bytes, from_blob, parse_line
from tests.fuzz.target import Target, text_of
from tests.fuzz.targets.sign_in import DPOP_KEY, KEY


def check(data: bytes) -> bool:
    text = text_of(data)
    try:
        key = parse_line(text)
    except Invalid:
        return False
    assert parse_line(key.line) == key == from_blob(key.blob)
    assert key.line.split(" ")[1] in text
    assert crypto_core_ed25519_is_valid_point(key.raw)
    assert len(fingerprint_bytes(key.fingerprint)) == 32
    theirs = load_ssh_public_key(key.line.encode())
    assert isinstance(theirs, Ed25519PublicKey)
    assert theirs.public_bytes_raw() == key.raw
    return True


TARGET = Target(
    "ssh-line",
    check,
    lambda: [KEY.public.line.encode(), f"  {DPOP_KEY.public.line} anna@example\r\n".encode()],
    words=(b"ssh-ed25519", b"ssh-rsa", b"AAAAC3NzaC1lZDI1NTE5AAAAI", b" ", b"command=", b"PRIVATE KEY", b"=="),
)
