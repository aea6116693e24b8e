"""The number of rows that a Parquet file claims in its footer, read without a Parquet library.

A file ends with its metadata (a Thrift structure in the compact protocol), its length in 4 bytes, little-endian, and
"PAR1" (Apache Parquet format, FileMetaData). Only `num_rows`, field 3, is of interest; what comes before it is skipped.
A library would read columns, statistics and indexes of a file that may be hostile, and use memory for it.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from keten.core.errors import Invalid

MAGIC = b"PAR1"
MAGIC_ENCRYPTED = b"PARE"
MAX_FOOTER = 16 << 20  # bytes read of a footer; `num_rows` comes right after the schema
_TAIL = 8
_NUM_ROWS = 3
_MAX_DEPTH = 16
_MAX_VARINT = 10  # bytes of a 64-bit number

# Types of the compact protocol (Apache Thrift, doc/specs/thrift-compact-protocol.md).
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = range(14)
_FIXED = {_BYTE: 1, _DOUBLE: 8, _UUID: 16}


class _Malformed(ValueError):
    """Not what the compact protocol allows."""


def looks_like(stream: BinaryIO) -> bool:
    """Whether a file begins and ends as Parquet does. Raises `OSError`."""
    size = stream.seek(0, os.SEEK_END)
    if size < len(MAGIC) + _TAIL:
        return False
    stream.seek(0)
    begins = stream.read(len(MAGIC))
    stream.seek(size - len(MAGIC))
    return begins in (MAGIC, MAGIC_ENCRYPTED) and stream.read(len(MAGIC)) == begins


def count_rows(stream: BinaryIO) -> int:
    """`num_rows` of the footer. Raises `Invalid` ("records-uncountable") where there is none to be read, `OSError`."""
    if not looks_like(stream):
        raise _uncountable("it is not a whole Parquet file")
    size = stream.seek(-_TAIL, os.SEEK_END)
    tail = stream.read(_TAIL)
    if len(tail) < _TAIL:  # cut off since it was looked at
        raise _uncountable("it is not a whole Parquet file")
    length, magic = struct.unpack("<I4s", tail)
    if magic == MAGIC_ENCRYPTED:
        raise _uncountable("its footer is encrypted")
    if length > size - len(MAGIC):
        raise _uncountable("its footer is longer than the file")
    stream.seek(size - length)
    try:
        rows = _Compact(stream.read(min(length, MAX_FOOTER))).number(_NUM_ROWS)
    except _Malformed as error:
        raise _uncountable(f"its footer is malformed ({error})") from error
    if rows is None or rows < 0:
        raise _uncountable("its footer names no number of rows")
    return rows


def _uncountable(why: str) -> Invalid:
    return Invalid("records-uncountable", f"The rows of this Parquet file cannot be counted: {why}.")


class _Compact:
    """Reads one structure of the compact protocol. Every step consumes bytes, so hostile counts end with them."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def number(self, wanted: int) -> int | None:
        """The value of the outermost structure's integer field `wanted`; None when it has none."""
        field = 0
        while (kind := self._field(field))[0] != _STOP:
            field = kind[1]
            if field == wanted:
                if kind[0] not in (_I16, _I32, _I64):
                    raise _Malformed("a number of another type")
                return self._zigzag()
            self._skip(kind[0], 1)
        return None

    def _field(self, last: int) -> tuple[int, int]:
        """A field's type and id; ids are written as the distance from the one before where that is short."""
        head = self._byte()
        kind, distance = head & 0x0F, head >> 4
        if kind == _STOP:
            return _STOP, 0
        return kind, last + distance if distance else self._zigzag()

    def _skip(self, kind: int, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise _Malformed("nested too deeply")
        if kind in (_TRUE, _FALSE):
            return  # a field's truth is its type
        if kind in _FIXED:
            self._advance(_FIXED[kind])
        elif kind in (_I16, _I32, _I64):
            self._varint()
        elif kind == _BINARY:
            self._advance(self._varint())
        elif kind in (_LIST, _SET):
            head = self._byte()
            count = head >> 4
            self._elements(self._varint() if count == 15 else count, (head & 0x0F,), depth)
        elif kind == _MAP:
            count = self._varint()
            if count:
                head = self._byte()
                self._elements(count, (head >> 4, head & 0x0F), depth)
        elif kind == _STRUCT:
            field = self._field(0)
            while field[0] != _STOP:
                self._skip(field[0], depth + 1)
                field = self._field(field[1])
        else:
            raise _Malformed(f"type {kind}")

    def _elements(self, count: int, kinds: tuple[int, ...], depth: int) -> None:
        if count > len(self._content) - self._at:
            raise _Malformed("more elements than bytes")
        for _ in range(count):
            for kind in kinds:
                # In a list a truth is a byte of its own.
                self._skip(_BYTE if kind in (_TRUE, _FALSE) else kind, depth + 1)

    def _byte(self) -> int:
        self._advance(1)
        return self._content[self._at - 1]

    def _advance(self, count: int) -> None:
        if count > len(self._content) - self._at:
            raise _Malformed("it ends too soon")
        self._at += count

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 7 * _MAX_VARINT, 7):
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise _Malformed("a number without end")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
