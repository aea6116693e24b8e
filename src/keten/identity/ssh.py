"""SSH public key sign-in (RFC 4252 §7, RFC 8709): the client's signature over its session, verified by the keeper."""

from __future__ import annotations

import struct

import msgspec

from keten.core.errors import Invalid
from keten.identity.errors import invalid
from keten.identity.keys import KEY_TYPE, PublicKey, from_blob
from keten.identity.replays import proof_hash

USERAUTH_REQUEST = 50
SESSION_ID_BYTES = (32, 64)  # exchange hashes of SHA-256 to SHA-512; SHA-1's 20 bytes are not taken
MAX_SIGNED = 1024
SIGNATURE_BYTES = 64
_TYPE = KEY_TYPE.encode()
_SERVICE = b"ssh-connection"
_METHOD = b"publickey"


class SshProof(msgspec.Struct, frozen=True, gc=False):
    """A signature that holds. `hashed`: of the session id, which counts once."""

    user: str
    key: PublicKey
    hashed: bytes


class UserauthRequest(msgspec.Struct, frozen=True, gc=False):
    """The signed fields of SSH_MSG_USERAUTH_REQUEST that differ from one to the next."""

    user: bytes
    key: bytes


def check_signature(user: str, key: bytes, session_id: bytes, signed: bytes, signature: bytes) -> SshProof:
    """Check a signature of RFC 4252 §7.

    1. The session id has the size of a modern exchange hash.
    2. What was signed is exactly one request: byte 50, user, "ssh-connection", "publickey", TRUE, "ssh-ed25519", key.
    3. User and key in it are the ones claimed, byte for byte.
    4. The key is an Ed25519 key, and not a weak one.
    5. The signature is of type ssh-ed25519, 64 bytes, nothing after it.
    6. It holds over string(session id) ‖ what was signed.

    Whether the key belongs to the user is the caller's question, asked afterwards, so that an unknown user takes
    as long as a known one. Raises `Refused` ("proof-invalid").
    """
    if not SESSION_ID_BYTES[0] <= len(session_id) <= SESSION_ID_BYTES[1]:  # 1
        raise invalid("SSH: session id of a wrong size")
    request = parse_request(signed)  # 2
    if request.user != user.encode("utf-8", "surrogatepass") or request.key != key:  # 3
        raise invalid("SSH: signed for another user or key")
    try:  # 4
        public = from_blob(key)
    except Invalid as error:
        raise invalid("SSH: not an Ed25519 key") from error
    fields = _Fields(signature, "SSH signature")  # 5
    kind, raw = fields.string(), fields.string()
    fields.end()
    if kind != _TYPE or len(raw) != SIGNATURE_BYTES:
        raise invalid("SSH: not an Ed25519 signature")
    if not public.verifies(raw, struct.pack(">I", len(session_id)) + session_id + signed):  # 6
        raise invalid("SSH: the signature does not hold")
    return SshProof(user, public, proof_hash("ssh-session", session_id))


def parse_request(signed: bytes) -> UserauthRequest:
    """SSH_MSG_USERAUTH_REQUEST as it is signed, every field in its place and nothing after the last.

    Raises `Refused` ("proof-invalid").
    """
    if len(signed) > MAX_SIGNED:
        raise invalid("SSH: request too long")
    fields = _Fields(signed, "SSH request")
    fields.expect(bytes([USERAUTH_REQUEST]), "message number")
    user = fields.string()
    if fields.string() != _SERVICE:
        raise invalid("SSH request: another service than ssh-connection")
    if fields.string() != _METHOD:
        raise invalid("SSH request: another method than publickey")
    fields.expect(b"\x01", "TRUE")
    if fields.string() != _TYPE:
        raise invalid("SSH request: another algorithm than ssh-ed25519")
    key = fields.string()
    fields.end()
    return UserauthRequest(user, key)


class _Fields:
    """Reads RFC 4251 §5 fields one after another, never beyond the end."""

    def __init__(self, raw: bytes, what: str) -> None:
        self._raw = raw
        self._what = what
        self._at = 0

    def expect(self, exactly: bytes, name: str) -> None:
        end = self._at + len(exactly)
        if self._raw[self._at : end] != exactly:
            raise invalid(f"{self._what}: {name} is not what it must be")
        self._at = end

    def string(self) -> bytes:
        start = self._at + 4
        if start > len(self._raw):
            raise invalid(f"{self._what}: too short")
        end = start + int.from_bytes(self._raw[self._at : start], "big")
        if end > len(self._raw):
            raise invalid(f"{self._what}: a string longer than the rest")
        self._at = end
        return self._raw[start:end]

    def end(self) -> None:
        if self._at != len(self._raw):
            raise invalid(f"{self._what}: something after its end")
