"""Cosignatures of checkpoints by witnesses (c2sp.org/tlog-cosignature v1, Ed25519, signature type 0x04)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keten.core.crypto import is_ed25519_key
from keten.core.errors import Invalid
from keten.ledger.notes import (
    SignatureWrong,
    is_key_name,
    key_id,
    signature_lines,
    split_verifier_key,
    to_base64,
)

COSIGNATURE = b"\x04"  # signature type of signed-note
MAX_TIME = (1 << 63) - 1
_TIME_BYTES = 8
_SIGNATURE_BYTES = _TIME_BYTES + 64
_DASH = "\u2014 "


class Cosignature(msgspec.Struct, frozen=True):
    """A cosignature that holds: by which key (`label`: name+hash), when (seconds since 1970 UTC), its whole line."""

    label: str
    time: int
    line: str


class CosignatureKey:
    """A witness's key: `name` and `id` (4 bytes) select its signatures in a note; `label` is both, as name+hash."""

    def __init__(self, name: str, public: bytes) -> None:
        self.name = name
        self.public = public
        self.id = key_id(name, public, COSIGNATURE)
        self.label = f"{name}+{self.id.hex()}"
        self._key = Ed25519PublicKey.from_public_bytes(public)

    @classmethod
    def parse(cls, key: str) -> CosignatureKey:
        """Read a witness's verifier key line.

        Raises `Invalid`: "verifier-key" when malformed or anyone could sign for it, "verifier-key-type" when it is not
        one for cosignatures.
        """
        name, kind, public = split_verifier_key(key)
        if kind != COSIGNATURE or len(public) != 32:
            raise Invalid("verifier-key-type", "This is not a witness's verifier key (type 0x04).", repr(key[:80]))
        if not is_ed25519_key(public):
            raise Invalid("verifier-key", "This witness's key is one that nobody can have made.", repr(key[:80]))
        return cls(name, public)

    def verifier_key(self) -> str:
        """The verifier key line: name+hash+base64(0x04 ‖ public key)."""
        return f"{self.label}+{to_base64(COSIGNATURE + self.public)}"

    def time(self, text: bytes, signature: bytes) -> int | None:
        """The time at which this key cosigned `text`, by a signature of 72 bytes; None when it does not hold."""
        if len(signature) != _SIGNATURE_BYTES:
            return None
        time = int.from_bytes(signature[:_TIME_BYTES], "big")
        try:
            self._key.verify(signature[_TIME_BYTES:], cosigned(text, time))
        except InvalidSignature:
            return None
        return time

    def holds(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `text`, at whatever time."""
        return self.time(text, signature) is not None


class Cosigner:
    """Cosigns checkpoints with an Ed25519 key under a name. Raises `Invalid` ("key-name") for a forbidden name."""

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        if not is_key_name(name):
            raise Invalid("key-name", "A key's name must not be empty or hold spaces or a plus.", repr(name)[:80])
        self.key = CosignatureKey(name, private_key.public_key().public_bytes_raw())
        self._private = private_key

    def line(self, text: str, time: int) -> str:
        """The signature line, with its newline, over a checkpoint's `text` (which ends in one) at `time` in seconds."""
        signature = self._private.sign(cosigned(text.encode(), time))
        raw = self.key.id + time.to_bytes(_TIME_BYTES, "big") + signature
        return f"{_DASH}{self.key.name} {to_base64(raw)}\n"


def cosigned(text: bytes, time: int) -> bytes:
    """The message that a cosignature signs: header line, time line, and the checkpoint's text."""
    return b"cosignature/v1\ntime %d\n%b" % (time, text)


def cosignatures(note: str | bytes, keys: Sequence[CosignatureKey]) -> tuple[Cosignature, ...]:
    """The cosignatures of a note by these keys, the newest of each; those of others are passed over.

    Raises `NoteMalformed`, and `SignatureWrong` for one that names a known key and does not hold.
    """
    text, lines = signature_lines(note)
    known = {(key.name, key.id): key for key in keys}
    message = text.encode()
    found: dict[str, Cosignature] = {}
    for one in lines:
        key = known.get((one.name, one.id))
        if key is None:
            continue
        time = key.time(message, one.signature)
        if time is None or time > MAX_TIME:
            raise SignatureWrong("note-signature-wrong", "A cosignature does not hold.", f"key {key.label[:120]}")
        if key.label not in found or found[key.label].time < time:
            found[key.label] = Cosignature(key.label, time, f"{one.line}\n")
    return tuple(found.values())
