"""SSH signatures over a session: no other bytes than the signature that the client made."""

from __future__ import annotations

from keten.identity.errors import Refused
from keten.identity.ssh import check_signature
from tests.fuzz.target import Target
from tests.fuzz.targets.sign_in import CLIENT_ID, KEY
from tests.fuzz.targets.ssh_request import REQUEST
from tests.unit.identity.signing import string

SESSION_ID = b"\x17" * 32
SIGNATURE = string(b"ssh-ed25519") + string(KEY.sign(string(SESSION_ID) + REQUEST))


def check(data: bytes) -> bool:
    try:
        proof = check_signature(CLIENT_ID, KEY.public.blob, SESSION_ID, REQUEST, data)
    except Refused:
        return False
    assert data == SIGNATURE, "one spelling of one signature"
    assert proof.key == KEY.public
    return True


TARGET = Target("ssh-signature", check, lambda: [SIGNATURE], words=(b"ssh-ed25519", b"\0\0\0\x40", b"\0\0\0\x0b"))
