"""SSH signatures: over this session, by this key, for this user, and nothing else."""

from __future__ import annotations

import struct
from typing import Any

import asyncssh
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.ids import new_id
from keten.identity.errors import Refused
from keten.identity.ssh import SshProof, check_signature, parse_request
from keten.keeper.protocol import SshSignIn
from tests.unit.identity.signing import ClientKey, ssh_sign_in, string, userauth

KEY = ClientKey()
USER = new_id()
SESSION = b"s" * 32


def check(made: SshSignIn) -> SshProof:
    return check_signature(made.user, made.key, made.session_id, made.signed, made.signature)


def signed_over(**fields: bytes) -> SshSignIn:
    """A signature that holds, over a request with these fields replaced."""
    signed = userauth(USER.encode(), KEY.public.blob, **fields)
    signature = string(b"ssh-ed25519") + string(KEY.sign(string(SESSION) + signed))
    return SshSignIn(USER, KEY.public.blob, SESSION, signed, signature, "192.0.2.7")


@pytest.mark.parametrize("size", [32, 48, 64])
def test_a_good_signature_holds(size: int) -> None:
    made = check(ssh_sign_in(KEY, USER, b"h" * size))
    assert (made.user, made.key) == (USER, KEY.public)


def test_a_session_has_one_hash() -> None:
    assert check(ssh_sign_in(KEY, USER, SESSION)).hashed == check(ssh_sign_in(ClientKey(), new_id(), SESSION)).hashed
    assert check(ssh_sign_in(KEY, USER)).hashed != check(ssh_sign_in(KEY, USER)).hashed


def test_a_signature_by_asyncssh_holds() -> None:
    private = asyncssh.generate_private_key("ssh-ed25519")
    signed = userauth(USER.encode(), private.public_data)
    signature = private.sign(string(SESSION) + signed, b"ssh-ed25519")
    made = check(SshSignIn(USER, private.public_data, SESSION, signed, signature, "192.0.2.7"))
    assert made.key.fingerprint == private.get_fingerprint()


REQUESTS: dict[str, dict[str, bytes]] = {
    "another message": {"number": b"\x33"},
    "no message number": {"number": b""},
    "another user": {"user": string(new_id().encode())},
    "empty user": {"user": string(b"")},
    "user with a NUL": {"user": string(USER.encode() + b"\0")},
    "another service": {"service": string(b"ssh-userauth")},
    "another method": {"method": string(b"hostbased")},
    "bound to a host key": {"method": string(b"publickey-hostbound-v00@openssh.com")},
    "no signature promised": {"has_signature": b"\x00"},
    "TRUE as two": {"has_signature": b"\x02"},
    "RSA": {"algorithm": string(b"rsa-sha2-512")},
    "a certificate": {"algorithm": string(b"ssh-ed25519-cert-v01@openssh.com")},
    "another key": {"key": string(ClientKey().public.blob)},
    "something after": {"after": b"\0"},
    "length beyond the end": {"key": b"\xff\xff\xff\xff" + KEY.public.blob},
    "length one too long": {"key": struct.pack(">I", 52) + KEY.public.blob},
    "length one too short": {"key": struct.pack(">I", 50) + KEY.public.blob},
    "cut off": {"key": b"\0\0"},
    "huge": {"after": b"\0" * 5000},
}


@pytest.mark.parametrize("fields", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_request_that_is_not_the_one_claimed_is_refused(fields: dict[str, bytes]) -> None:
    check(signed_over())
    with pytest.raises(Refused) as caught:
        check(signed_over(**fields))
    assert caught.value.code == "proof-invalid"


GOOD = ssh_sign_in(KEY, USER, SESSION)
RAW = GOOD.signature[-64:]

CLAIMS: dict[str, dict[str, Any]] = {
    "another user": {"user": new_id()},
    "user not UTF-8": {"user": "\ud800"},
    "another key": {"key": ClientKey().public.blob},
    "no key": {"key": b""},
    "another session": {"session_id": b"t" * 32},
    "no session": {"session_id": b""},
    "session of SHA-1": {"session_id": b"s" * 20},
    "session too long": {"session_id": b"s" * 65},
    "nothing signed": {"signed": b""},
    "no signature": {"signature": b""},
    "signature of zeros": {"signature": string(b"ssh-ed25519") + string(bytes(64))},
    "signature without its type": {"signature": RAW},
    "signature of another type": {"signature": string(b"rsa-sha2-512") + string(RAW)},
    "signature too short": {"signature": string(b"ssh-ed25519") + string(RAW[:63])},
    "signature too long": {"signature": string(b"ssh-ed25519") + string(RAW + b"\0")},
    "something after the signature": {"signature": GOOD.signature + b"\0"},
    "signature twice": {"signature": GOOD.signature + GOOD.signature},
    "changed signature": {"signature": GOOD.signature[:-1] + bytes([GOOD.signature[-1] ^ 1])},
}


@pytest.mark.parametrize("changed", CLAIMS.values(), ids=CLAIMS.keys())
def test_a_claim_that_is_not_what_was_signed_is_refused(changed: dict[str, Any]) -> None:
    check(GOOD)
    with pytest.raises(Refused) as caught:
        check(msgspec.structs.replace(GOOD, **changed))
    assert caught.value.code == "proof-invalid"


def test_a_session_id_cannot_lend_bytes_to_the_request() -> None:
    """The length in front of the session id keeps the border between both where the client saw it."""
    made = ssh_sign_in(KEY, USER, SESSION)
    moved = msgspec.structs.replace(made, session_id=SESSION + made.signed[:1], signed=made.signed[1:])
    with pytest.raises(Refused):
        check(moved)


def test_a_weak_key_signs_for_nobody() -> None:
    """Under the identity point, R = identity and S = 0 is a signature over everything."""
    blob = string(b"ssh-ed25519") + string((1).to_bytes(32, "little"))
    forged = string(b"ssh-ed25519") + string((1).to_bytes(32, "little") + bytes(32))
    with pytest.raises(Refused):
        check(SshSignIn(USER, blob, SESSION, userauth(USER.encode(), blob), forged, "192.0.2.7"))


def test_a_password_request_is_no_public_key_request() -> None:
    signed = b"\x32" + string(b"user") + string(b"ssh-connection") + string(b"password") + b"\0" + string(b"secret")
    with pytest.raises(Refused):
        parse_request(signed)


@given(st.binary(max_size=200), st.binary(max_size=120), st.binary(max_size=70), st.text(max_size=30))
def test_random_bytes_are_refused(signed: bytes, signature: bytes, session: bytes, user: str) -> None:
    with pytest.raises(Refused):
        check_signature(user, signed, session, signed, signature)
    with pytest.raises(Refused):
        check_signature(user, KEY.public.blob, b"s" * 32, signed, signature)


@given(st.integers(0, 130), st.integers(0, 255))
def test_any_changed_byte_is_noticed(place: int, value: int) -> None:
    changed = bytearray(GOOD.signed)
    place %= len(changed)
    if changed[place] == value:
        return
    changed[place] = value
    with pytest.raises(Refused):
        check(msgspec.structs.replace(GOOD, signed=bytes(changed)))
