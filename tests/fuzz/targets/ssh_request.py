"""What an SSH client signs to sign in: every field in its place, so that it is written back byte for byte."""

from __future__ import annotations

from keten.identity.errors import Refused
from keten.identity.ssh import parse_request
from tests.fuzz.target import Target
from tests.fuzz.targets.sign_in import CLIENT_ID, KEY
from tests.unit.identity.signing import userauth

REQUEST = userauth(CLIENT_ID.encode(), KEY.public.blob)


def check(data: bytes) -> bool:
    try:
        request = parse_request(data)
    except Refused:
        return False
    assert userauth(request.user, request.key) == data
    return True


TARGET = Target(
    "ssh-request",
    check,
    lambda: [REQUEST, userauth(b"", b"")],
    words=(b"\x32", b"ssh-connection", b"publickey", b"ssh-ed25519", b"\0\0\0\x0b", b"\0\0\0\0"),
)
