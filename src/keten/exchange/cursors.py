"""Where a listing goes on, sealed: to outsiders a cursor is random text that only the keeper can make or read."""

from __future__ import annotations

import base64
import binascii

import msgspec

from keten.core.crypto import Wrapper
from keten.core.errors import Corrupt, Invalid

MAX_CURSOR = 4096


class Position(msgspec.Struct, frozen=True, array_like=True):
    """After the object named `after` in a grant's dataset ("": before the first); None: after all of the grant."""

    grant: str
    after: str | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Position).decode


class Cursors:
    """Makes and reads cursors under one key. A cursor holds for the client and the question that it was made for."""

    def __init__(self, key: bytes) -> None:
        self._wrapper = Wrapper(key)

    def seal(self, position: Position, client: str, question: bytes) -> str:
        """A position as URL-safe text."""
        blob = self._wrapper.wrap(_encode(position), _context(client, question))
        return base64.urlsafe_b64encode(blob).rstrip(b"=").decode("ascii")

    def open(self, cursor: str, client: str, question: bytes) -> Position:
        """The position in a cursor. Raises `Invalid` ("cursor"), the same whatever is wrong with it (law 8)."""
        padded = cursor[:MAX_CURSOR] + "=" * (-len(cursor[:MAX_CURSOR]) % 4)
        try:
            blob = base64.b64decode(padded, altchars=b"-_", validate=True)
            return _decode(self._wrapper.unwrap(blob, _context(client, question)))
        except (ValueError, binascii.Error, msgspec.DecodeError, Corrupt):
            raise Invalid("cursor", "The cursor is not one of this listing; begin it again.") from None


def _context(client: str, question: bytes) -> bytes:
    return b"cursor\0" + client.encode() + b"\0" + question
