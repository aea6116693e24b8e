"""Content at rest: a blob opens to exactly what was put, or it is damaged."""

from __future__ import annotations

from typing import NamedTuple

from keten.core.errors import Corrupt
from keten.vault.frames import FrameReader, encrypt, fixed_header
from tests.fuzz.target import Target

OBJECT, KEY, EXPONENT = "abcdefghijklmnopqrstuvwxya", b"\x51" * 32, 6
PLAIN = bytes(range(150))
HEADER = fixed_header(OBJECT, EXPONENT)
BLOB = b"".join(encrypt([PLAIN], KEY, HEADER + b"\x07" * 7))


class Layout(NamedTuple):
    size: int
    frame_size: int
    header: bytes


class Bytes:
    """A blob in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def close(self) -> None:
        pass


def check(data: bytes) -> bool:
    try:
        reader = FrameReader(Bytes(data), KEY, Layout(len(PLAIN), 1 << EXPONENT, HEADER))
    except Corrupt:
        return False
    whole = True
    for number in range(reader.frames):
        begin = number << EXPONENT
        try:
            assert reader.frame(number) == PLAIN[begin : begin + (1 << EXPONENT)], "each frame alone"
        except Corrupt:
            whole = False
    assert whole == (data == BLOB)
    return whole


TARGET = Target("frames", check, lambda: [BLOB], words=(b"KTN1", b"\x01", b"\x06", BLOB[:29]))
