"""Public keys: OpenSSH Ed25519 lines (RFC 4253 §6.6, RFC 8709 §4), fingerprints, JWK thumbprints (RFC 7638)."""

from __future__ import annotations

import base64
import binascii
import functools
import struct
from hashlib import sha256

import msgspec

from keten.core.crypto import ed25519_verifies, is_ed25519_key
from keten.core.errors import Invalid

KEY_TYPE = "ssh-ed25519"
RAW_BYTES = 32
FINGERPRINT_PREFIX = "SHA256:"
MAX_LINE = 1024
_TYPE = KEY_TYPE.encode()
_BLOB_HEAD = struct.pack(">I", len(_TYPE)) + _TYPE + struct.pack(">I", RAW_BYTES)


class PublicKey(msgspec.Struct, frozen=True):
    """One Ed25519 public key. `line` is normalised: type and base64, one space, no comment."""

    line: str
    raw: bytes
    fingerprint: str

    @property
    def blob(self) -> bytes:
        """The key as SSH sends it: string "ssh-ed25519" ‖ string of 32 bytes."""
        return _BLOB_HEAD + self.raw

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """Whether `signature` is this key's over `signed` (RFC 8032)."""
        return ed25519_verifies(self.raw, signature, signed)


def parse_line(line: str) -> PublicKey:
    """An OpenSSH public key line, its comment dropped.

    1. One line of printable text, at most `MAX_LINE` characters; no private key, no options before the type.
    2. The type is ssh-ed25519.
    3. The base64 is canonical and holds that type and 32 bytes, nothing more.
    4. The key is one that only its owner can sign for.

    Raises `Invalid`: "key-private", "key-malformed", "key-type", "key-weak". No message repeats the line.
    """
    if "PRIVATE KEY" in line:  # 1
        raise Invalid("key-private", "This is a private key. Keep it secret; give the line of the .pub file.")
    text = line.strip(" \t\r\n")
    if not text or len(text) > MAX_LINE or not text.isprintable():
        raise _malformed("not one line of printable text")
    kind, _, rest = text.partition(" ")
    if kind != KEY_TYPE:  # 2
        raise Invalid(
            "key-type",
            "Only a line that begins with 'ssh-ed25519' is a key here; 'ssh-keygen -t ed25519' makes one.",
        )
    encoded = rest.strip().partition(" ")[0]
    try:
        blob = base64.b64decode(encoded.encode("ascii"), validate=True)  # 3
    except (binascii.Error, UnicodeEncodeError) as error:
        raise _malformed("its base64 is damaged") from error
    if base64.b64encode(blob).decode() != encoded:
        raise _malformed("its base64 is not canonical")
    return from_blob(blob)


def from_blob(blob: bytes) -> PublicKey:
    """A key as SSH sends it. Raises `Invalid`: "key-malformed" (also for another type), "key-weak"."""
    if len(blob) != len(_BLOB_HEAD) + RAW_BYTES or not blob.startswith(_BLOB_HEAD):
        raise _malformed("it does not hold one Ed25519 key")
    return from_raw(blob[len(_BLOB_HEAD) :])


def from_raw(raw: bytes) -> PublicKey:
    """A key of 32 bytes (RFC 8032 §5.1.5). Raises `Invalid` ("key-weak") for what no private key gives."""
    if not is_ed25519_key(raw):
        public = "This is no key that only its owner can sign for; make another with 'ssh-keygen -t ed25519'."
        raise Invalid("key-weak", public)
    blob = _BLOB_HEAD + raw
    line = f"{KEY_TYPE} {base64.b64encode(blob).decode()}"
    return PublicKey(line, raw, fingerprint(blob))


def normalised(line: str) -> str:
    """A public key line as the register keeps it: type and base64 only. Raises what `parse_line` raises."""
    return parse_line(line).line


@functools.lru_cache(maxsize=4096)
def keyring(lines: tuple[str, ...]) -> tuple[PublicKey, ...]:
    """The parsed keys of a client, remembered. Raises what `parse_line` raises."""
    return tuple(parse_line(line) for line in lines)


def fingerprint(blob: bytes) -> str:
    """The fingerprint that `ssh-keygen -l` shows: "SHA256:" and unpadded base64."""
    return fingerprint_text(sha256(blob).digest())


def fingerprint_text(digest: bytes) -> str:
    """The text of a fingerprint of 32 bytes."""
    return FINGERPRINT_PREFIX + base64.b64encode(digest)[:43].decode()


def fingerprint_bytes(text: str) -> bytes:
    """The 32 bytes of a fingerprint. `ValueError` when it is none."""
    if not text.startswith(FINGERPRINT_PREFIX) or len(text) != len(FINGERPRINT_PREFIX) + 43:
        raise ValueError("not a fingerprint")
    return base64.b64decode(text.removeprefix(FINGERPRINT_PREFIX) + "=", validate=True)


def okp_thumbprint(x: str) -> bytes:
    """RFC 7638 SHA-256 thumbprint of an Ed25519 JWK; `x` as in the JWK, canonical base64url."""
    return sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()


def ec_thumbprint(x: str, y: str) -> bytes:
    """RFC 7638 SHA-256 thumbprint of a P-256 JWK; `x` and `y` as in the JWK, canonical base64url of 32 bytes."""
    return sha256(f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'.encode()).digest()


def _malformed(what: str) -> Invalid:
    return Invalid("key-malformed", f"This is not an OpenSSH public key: {what}.")
