"""Signed notes (c2sp.org/signed-note) and signed heads of a log (c2sp.org/tlog-checkpoint), Ed25519 only."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keten.core.crypto import is_ed25519_key
from keten.core.errors import Corrupt, Invalid
from keten.ledger.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE

ED25519 = b"\x01"  # signature type of signed-note
MAX_NOTE_BYTES = 1 << 20
MAX_SIGNATURES = 100  # a verifier must accept 16; post-quantum ones make long lines
_DASH = "\u2014 "
_FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")  # control characters, halves of pairs
_NO_NAME = re.compile("[\\s\x00-\x1f+\ud800-\udfff]")
_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z")
_VERIFIER_KEY = re.compile(r"([^+]*)\+([0-9a-fA-F]{8})\+([A-Za-z0-9+/]+={0,2})\Z")


class NoteMalformed(Corrupt):
    """The text is not a signed note, or not a checkpoint: code "note-malformed" or "checkpoint-malformed"."""


class NotSigned(Corrupt):
    """No signature by the key that counts: code "note-not-signed"."""


class SignatureWrong(Corrupt):
    """A signature that claims to be by the key does not hold: code "note-signature-wrong"."""


class OriginWrong(Corrupt):
    """A checkpoint of another log: code "checkpoint-origin"."""


class Note(msgspec.Struct, frozen=True):
    """An opened note: its text with the final newline, and the keys, as "name+hash", verified and unknown."""

    text: str
    verified: tuple[str, ...]
    unknown: tuple[str, ...]


class Checkpoint(msgspec.Struct, frozen=True):
    """A head of a log: `size` leaves with `root`. `note` is the whole signed note as read."""

    origin: str
    size: int
    root: bytes
    note: str
    extensions: tuple[str, ...] = ()


def is_key_name(name: str) -> bool:
    """Whether a key may have this name: not empty, UTF-8, no Unicode space, control character or plus."""
    return bool(name) and not _NO_NAME.search(name)


def key_id(name: str, public: bytes, kind: bytes = ED25519) -> bytes:
    """The first four bytes of SHA-256(name ‖ 0x0A ‖ signature type ‖ public key)."""
    return sha256(name.encode() + b"\n" + kind + public).digest()[:4]


class NoteKey(Protocol):
    """What `open_note` needs of a known key: a log's (`Verifier`) or a witness's (`ledger.cosignatures`)."""

    name: str
    id: bytes

    def holds(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature`, without its key id, is this key's over the note's `text`."""


class SignatureLine(msgspec.Struct, frozen=True):
    """One signature line of a note: the key's `name` and `id` (4 bytes), the signature, and the line as it stands."""

    name: str
    id: bytes
    signature: bytes
    line: str


class Signer:
    """Signs notes with an Ed25519 key under a name. Raises `Invalid` ("key-name") for a forbidden name."""

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        if not is_key_name(name):
            raise Invalid("key-name", "A key's name must not be empty or hold spaces or a plus.", repr(name)[:80])
        self.name = name
        self._private = private_key
        self._public = private_key.public_key().public_bytes_raw()
        self._id = key_id(name, self._public)
        self._prefix = f"\n{_DASH}{name} "

    def sign(self, text: str) -> str:
        """The signed note over `text`, which must end in a newline and be free of other control characters.

        Raises `Invalid` ("note-text").
        """
        if not text.endswith("\n") or _FORBIDDEN.search(text):
            raise Invalid("note-text", "A note's text must end in a newline and hold no control characters.")
        signature = self._id + self._private.sign(text.encode())
        return f"{text}{self._prefix}{to_base64(signature)}\n"

    def verifier_key(self) -> str:
        """The verifier key: name+hash in 8 hexadecimal digits+base64(0x01 ‖ public key)."""
        return f"{self.name}+{self._id.hex()}+{to_base64(ED25519 + self._public)}"


class Verifier:
    """A known Ed25519 key: `name` and `id` (4 bytes) select its signatures in a note."""

    def __init__(self, name: str, public: bytes) -> None:
        self.name = name
        self.public = public
        self.id = key_id(name, public)
        self._public = Ed25519PublicKey.from_public_bytes(public)

    @classmethod
    def parse(cls, key: str) -> Verifier:
        """Read a verifier key line; one newline at its end is allowed.

        Raises `Invalid`: "verifier-key" when malformed, its hash does not fit or anyone could sign for it,
        "verifier-key-type" when it is not an Ed25519 key.
        """
        name, kind, public = split_verifier_key(key)
        if kind != ED25519 or len(public) != 32:
            raise Invalid("verifier-key-type", "Only Ed25519 verifier keys are known.", repr(key[:80]))
        if not is_ed25519_key(public):
            raise Invalid("verifier-key", "This verifier key is one that nobody can have made.", repr(key[:80]))
        return cls(name, public)

    def holds(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature` (64 bytes) is this key's over `text`."""
        try:
            self._public.verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


def split_verifier_key(key: str) -> tuple[str, bytes, bytes]:
    """Name, signature type (one byte) and public key of a verifier key line; one newline at its end is allowed.

    Raises `Invalid` ("verifier-key") when it is malformed or its hash does not fit.
    """
    match = _VERIFIER_KEY.match(key.removesuffix("\n")) if len(key) <= 4096 else None
    raw = from_base64(match[3]) if match else None
    if match is None or raw is None or not is_key_name(match[1]):
        raise Invalid("verifier-key", "This is not a verifier key (name+hash+key).", repr(key[:80]))
    kind, public = raw[:1], raw[1:]
    if key_id(match[1], public, kind).hex() != match[2].lower():
        raise Invalid("verifier-key", "The verifier key's hash does not fit.", repr(key[:80]))
    return match[1], kind, public


def signature_lines(note: str | bytes) -> tuple[str, tuple[SignatureLine, ...]]:
    """A note's text with its final newline, and its signature lines, none of them verified. Raises `NoteMalformed`."""
    text, lines = _divide(_decode(note))
    return text, tuple(SignatureLine(*_signature(line), line) for line in lines)


def open_note(note: str | bytes, verifiers: Sequence[NoteKey]) -> Note:
    """Open a signed note, following c2sp.org/signed-note.

    1. It is valid UTF-8 of at most `MAX_NOTE_BYTES`, without control characters but newlines.
    2. The last empty line divides text and signatures; every signature line is well formed.
    3. Signatures by unknown keys are passed over; one that names a known key must hold, also when repeated.
    4. At least one known key signed.

    Raises `NoteMalformed` (1, 2), `SignatureWrong` (3), `NotSigned` (4).
    """
    content = _decode(note)  # 1
    text, lines = _divide(content)  # 2
    known = {(verifier.name, verifier.id): verifier for verifier in verifiers}
    message = text.encode()
    verified: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for line in lines:
        name, identity, signature = _signature(line)
        verifier = known.get((name, identity))
        label = f"{name}+{identity.hex()}"
        if verifier is None:  # 3
            unknown[label] = None
        elif verifier.holds(message, signature):
            verified[label] = None
        else:
            raise SignatureWrong("note-signature-wrong", "A signature does not hold.", f"key {label[:120]}")
    if not verified:  # 4
        raise NotSigned("note-not-signed", "The key that counts did not sign this note.", ", ".join(unknown)[:200])
    return Note(text, tuple(verified), tuple(unknown))


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """The text of a checkpoint, to be signed: origin, size and base64 root, a line each.

    Raises `Invalid` ("checkpoint-text") for what cannot be a checkpoint.
    """
    fits = 0 <= size <= MAX_SIZE and len(root) == HASH_BYTES and (size > 0 or root == EMPTY_ROOT)
    if not fits or not is_key_name(origin):
        raise Invalid("checkpoint-text", "This cannot be a checkpoint.", f"{size}, {origin[:80]!r}")
    return f"{origin}\n{size}\n{to_base64(root)}\n"


def parse_checkpoint(note: str | bytes, verifier: Verifier) -> Checkpoint:
    """Open a signed checkpoint of the log whose key `verifier` is.

    1. The note opens and is signed by `verifier` (`open_note`).
    2. Its text is a checkpoint.
    3. Its origin is the key's name: a key shared with another log would not help that log.

    Raises `NoteMalformed`, `SignatureWrong`, `NotSigned`, `OriginWrong`, all of them `Corrupt`.
    """
    text = open_note(note, (verifier,)).text  # 1
    checkpoint = _read_text(text, _decode(note))  # 2
    if checkpoint.origin != verifier.name:  # 3
        raise OriginWrong("checkpoint-origin", "The checkpoint is of another log.", repr(checkpoint.origin[:80]))
    return checkpoint


def unverified_checkpoint(note: str | bytes) -> Checkpoint:
    """A checkpoint's content without a look at who signed it. Raises `NoteMalformed`.

    Only for finding out which key would be needed, and for what is compared with trusted data anyway.
    """
    content = _decode(note)
    text, lines = _divide(content)
    for line in lines:
        _signature(line)
    return _read_text(text, content)


def parse_number(text: str) -> int | None:
    """A decimal number as the C2SP formats write it (no sign, no leading zeros, at most 63 bits), or None."""
    number = int(text) if _NUMBER.match(text) else -1
    return number if 0 <= number <= MAX_SIZE else None


def parse_hash(text: str) -> bytes | None:
    """A SHA-256 hash in canonical base64, or None."""
    raw = from_base64(text) if len(text) == 44 else None
    return raw if raw is not None and len(raw) == HASH_BYTES else None


def _read_text(text: str, note: str) -> Checkpoint:
    origin, *lines = text.removesuffix("\n").split("\n")
    size = parse_number(lines[0]) if lines else None
    root = parse_hash(lines[1]) if len(lines) > 1 else None
    if size is None or root is None or not origin or not all(lines) or (size == 0 and root != EMPTY_ROOT):
        raise NoteMalformed("checkpoint-malformed", "This is not a checkpoint.", repr(text[:200]))
    return Checkpoint(origin, size, root, note, tuple(lines[2:]))


def _decode(note: str | bytes) -> str:
    """Step 1 of `open_note`."""
    if len(note) > MAX_NOTE_BYTES:
        raise NoteMalformed("note-malformed", "The note is too large.", f"{len(note)} characters")
    try:
        text = note.decode() if isinstance(note, bytes) else note
        size = len(text.encode())
    except UnicodeError as error:
        raise NoteMalformed("note-malformed", "The note is not valid UTF-8.", str(error)[:200]) from error
    if size > MAX_NOTE_BYTES or _FORBIDDEN.search(text):
        raise NoteMalformed("note-malformed", "The note is too large or has control characters.", f"{size} bytes")
    return text


def _divide(content: str) -> tuple[str, list[str]]:
    """Step 2 of `open_note`: the text, and the signature lines without their newlines."""
    text, divider, block = content.rpartition("\n\n")
    if not divider or not block.endswith("\n"):
        raise NoteMalformed("note-malformed", "The note has no signatures.", repr(content[-80:]))
    if block.count("\n") > MAX_SIGNATURES:
        raise NoteMalformed("note-malformed", "The note has too many signatures.", f"{block.count(chr(10))}")
    return text + "\n", block[:-1].split("\n")


def _signature(line: str) -> tuple[str, bytes, bytes]:
    """Key name, key id and signature of a signature line."""
    name, _, encoded = line[len(_DASH) :].partition(" ")
    raw = from_base64(encoded)
    if not line.startswith(_DASH) or not is_key_name(name) or raw is None or len(raw) < 5:
        raise NoteMalformed("note-malformed", "A signature line of the note is malformed.", repr(line[:120]))
    return name, raw[:4], raw[4:]


def to_base64(raw: bytes) -> str:
    """Base64 with padding (RFC 4648 §4)."""
    return base64.b64encode(raw).decode("ascii")


def from_base64(text: str) -> bytes | None:
    """Canonical base64 (RFC 4648 §4, with padding, pad bits zero), or None: one value has one spelling."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeError, binascii.Error):
        return None
    return raw if to_base64(raw) == text else None
