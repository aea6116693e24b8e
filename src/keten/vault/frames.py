"""The format of content at rest: a header, then frames of AES-256-GCM, each readable without the others.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance, CRYPTO 2015, §7): a frame's nonce holds its number and whether it is the last, so that frames cannot
be changed, left out, added, repeated or reordered without notice. Byte by byte: docs/formats/vault.md.

    blob   = header ‖ frame 0 ‖ … ‖ frame n-1
    header = "KTN1" ‖ version (1) ‖ frame size exponent (1) ‖ object id (16) ‖ nonce prefix (7)      29 bytes
    frame  = ciphertext ‖ tag (16);  nonce = prefix (7) ‖ number (4, big-endian) ‖ last (1);  AAD = header
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keten.core.crypto import KEY_BYTES
from keten.core.errors import Corrupt, Invalid, Unavailable
from keten.core.ids import decode_id, encode_id
from keten.core.storage import Blob

MAGIC = b"KTN1"
VERSION = 1
FRAME_EXPONENT = 20
FRAME_SIZE = 1 << FRAME_EXPONENT
MIN_EXPONENT, MAX_EXPONENT = 6, 24  # a reader holds a frame or two in memory
TAG_BYTES = 16
PREFIX_BYTES = 7
MAX_FRAMES = 2**32

_FIXED = struct.Struct(">4sBB16s")
FIXED_BYTES = _FIXED.size
HEADER_BYTES = FIXED_BYTES + PREFIX_BYTES
_NONCE_TAIL = struct.Struct(">IB")


class Framing(Protocol):
    """What a reader must be told by whoever hands out the key: it is never taken from the blob itself.

    size: content bytes. frame_size: content bytes of a frame. header: what the blob must begin with (`fixed_header`).
    """

    @property
    def size(self) -> int:
        """Content bytes."""

    @property
    def frame_size(self) -> int:
        """Content bytes of every frame but the last."""

    @property
    def header(self) -> bytes:
        """The bytes that the blob must begin with."""


class Piece(NamedTuple):
    """The part of one frame's content, from `begin` to `end`, that belongs to a range."""

    frame: int
    begin: int
    end: int


@lru_cache(4096)
def fixed_header(object_id: str, exponent: int = FRAME_EXPONENT) -> bytes:
    """The part of a header that follows from the object: all but its nonce prefix. `ValueError`: not an id."""
    return _FIXED.pack(MAGIC, VERSION, exponent, decode_id(object_id))


def new_header(object_id: str, exponent: int = FRAME_EXPONENT) -> bytes:
    """A header for new content of an object, with a fresh nonce prefix."""
    return fixed_header(object_id, exponent) + os.urandom(PREFIX_BYTES)


def frame_count(size: int, frame_size: int = FRAME_SIZE) -> int:
    """Frames of `size` content bytes; empty content has one, empty."""
    return max(1, -(-size // frame_size))


def stored_size(size: int, frame_size: int = FRAME_SIZE) -> int:
    """Bytes of the blob that holds `size` content bytes."""
    return HEADER_BYTES + size + TAG_BYTES * frame_count(size, frame_size)


def encrypt(chunks: Iterable[bytes | bytearray | memoryview], key: bytes, header: bytes) -> Iterator[bytes]:
    """The blob of some content, part by part: the header, then each frame whole, whatever sizes the chunks have.

    A key must never be used with the same header twice for different content. Raises `Invalid`
    ("content-too-large") past 2^32 frames; what `chunks` raises passes through.
    """
    exponent = _exponent(header)
    if len(header) != HEADER_BYTES or exponent is None:
        raise ValueError("not a header")
    aead = AESGCM(key)
    yield header
    for number, (frame, last) in enumerate(_framed(chunks, 1 << exponent)):
        if number >= MAX_FRAMES:
            raise Invalid("content-too-large", f"One object holds at most {MAX_FRAMES << exponent} bytes.")
        yield aead.encrypt(_nonce(header, number, last=last), frame, header)


class FrameReader:
    """Reads the content of one blob under the key of one access. Safe to use from several threads at once.

    1. What the keeper says the blob must be is itself sound.
    2. The blob has exactly the size that this content takes: nothing cut off, nothing added.
    3. It begins with the header of this object.
    4. Each frame, when read, opens under this key, header, number and last flag.

    Raises `Corrupt` ("content-damaged") naming the object, and for 4 the frame; `Corrupt` ("key-damaged");
    `Unavailable` ("content-unreadable") when the disk does not give what it has.
    """

    def __init__(self, blob: Blob, key: bytes, layout: Framing) -> None:
        self._blob = blob
        self.size = layout.size
        self.frame_size = layout.frame_size
        self.frames = frame_count(layout.size, layout.frame_size) if layout.frame_size > 0 else 0
        self._object = "?"
        exponent = _exponent(layout.header)  # 1
        if exponent is None or 1 << exponent != layout.frame_size or layout.size < 0:
            raise self._damaged("the layout is malformed")
        self._object = encode_id(layout.header[FIXED_BYTES - 16 : FIXED_BYTES])
        if len(key) != KEY_BYTES:
            raise Corrupt("key-damaged", "A stored key is damaged.", f"object {self._object}")
        if self.frames > MAX_FRAMES:
            raise self._damaged("the layout has more frames than can be numbered")
        expected = stored_size(self.size, self.frame_size)  # 2
        if blob.size != expected:
            raise self._damaged(f"the blob has {blob.size} bytes instead of {expected}")
        self._header = self._read(0, HEADER_BYTES, "the header")  # 3
        if not self._header.startswith(layout.header):
            raise self._damaged("the header is not this object's")
        self._aead = AESGCM(key)

    def frame_length(self, number: int) -> int:
        """Content bytes of a frame. `IndexError` when there is no such frame."""
        if not 0 <= number < self.frames:
            raise IndexError(number)
        return min(self.frame_size, self.size - number * self.frame_size)

    def frame(self, number: int) -> bytes:
        """The content of one frame."""
        sealed = self._sealed(number)
        try:
            return self._aead.decrypt(self._nonce(number), sealed, self._header)  # 4
        except InvalidTag as error:
            raise self._damaged(f"frame {number} does not open") from error

    def frame_into(self, number: int, buffer: bytearray | memoryview) -> int:
        """Put the content of one frame at the start of `buffer` (of `frame_size` bytes, to be used again); its length.

        When the frame is damaged the buffer is wiped: what a failed decryption leaves in it proves nothing.
        """
        target = memoryview(buffer)[: self.frame_length(number)]
        sealed = self._sealed(number)
        try:
            return self._aead.decrypt_into(self._nonce(number), sealed, self._header, target)  # 4
        except InvalidTag as error:
            target[:] = bytes(len(target))
            raise self._damaged(f"frame {number} does not open") from error

    def span(self, start: int = 0, length: int = -1) -> Iterator[Piece]:
        """Which parts of which frames hold `length` bytes (-1: to the end) from `start`.

        What lies past the end is left out. Raises `Invalid` ("range") when `start` or `length` makes no range.
        """
        if start < 0 or length < -1:
            raise Invalid("range", "A range starts at 0 or later.", f"{start}, {length}")
        end = self.size if length < 0 else min(self.size, start + length)
        while start < end:
            number, begin = divmod(start, self.frame_size)
            stop = min(self.frame_size, begin + end - start)
            yield Piece(number, begin, stop)
            start += stop - begin

    def read(self, start: int = 0, length: int = -1) -> Iterator[memoryview]:
        """The content of a range, frame by frame; only the frames that it touches are read."""
        for number, begin, end in self.span(start, length):
            yield memoryview(self.frame(number))[begin:end]

    def _sealed(self, number: int) -> bytes:
        length = self.frame_length(number) + TAG_BYTES
        offset = HEADER_BYTES + number * (self.frame_size + TAG_BYTES)
        return self._read(offset, length, f"frame {number}")

    def _read(self, offset: int, length: int, what: str) -> bytes:
        try:
            found = self._blob.read_at(offset, length)
        except OSError as error:
            reason = f"object {self._object}: {what}: {error}"
            raise Unavailable("content-unreadable", "The content cannot be read at this moment.", reason) from error
        if len(found) != length:
            raise self._damaged(f"{what} is cut off")
        return found

    def _nonce(self, number: int) -> bytes:
        return _nonce(self._header, number, last=number == self.frames - 1)

    def _damaged(self, what: str) -> Corrupt:
        return Corrupt("content-damaged", "The content of an object is damaged.", f"object {self._object}: {what}")


def _nonce(header: bytes, number: int, *, last: bool) -> bytes:
    return header[FIXED_BYTES:HEADER_BYTES] + _NONCE_TAIL.pack(number, last)


def _exponent(header: bytes) -> int | None:
    """The frame size exponent of a header (or of its fixed part); None when it is not a header of this version."""
    if not FIXED_BYTES <= len(header) <= HEADER_BYTES:
        return None
    magic, version, exponent, _object = _FIXED.unpack_from(header)
    if magic != MAGIC or version != VERSION or not MIN_EXPONENT <= exponent <= MAX_EXPONENT:
        return None
    return int(exponent)


def _framed(
    chunks: Iterable[bytes | bytearray | memoryview], size: int
) -> Iterator[tuple[bytes | bytearray | memoryview, bool]]:
    """Content in whole frames, each with whether it is the last. A frame holds until it is asked for the next.

    A full frame waits until more content comes, because the last frame is the one that ends the content, full or not.
    """
    held = bytearray(size)
    filled = 0
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        at = 0
        while at < len(view):
            if filled == size:
                yield held, False
                filled = 0
            taken = min(size - filled, len(view) - at)
            held[filled : filled + taken] = view[at : at + taken]
            filled += taken
            at += taken
    yield memoryview(held)[:filled], True
