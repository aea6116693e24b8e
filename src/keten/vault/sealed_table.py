"""A table as content at rest, in which one record is found by its key without opening the others.

Records lie in the order of their tags (`record_ids`), packed into blocks of the size of the vault's frames, so that one
lookup opens one frame. Nothing tells how the source was ordered, and without the records key nobody can tell which
record is whose. Byte by byte: docs/formats/table.md.

    content   = block 0 ‖ … ‖ block n-1 ‖ directory ‖ trailer
    block     = count (4) ‖ end (4) ‖ count × (tag (16) ‖ where (4)) ‖ records ‖ zeros, to BLOCK; the last one too
    record    = MessagePack array of the columns' values
    directory = n × the first tag of a block (16) ‖ MessagePack of the columns' names and the key's place
    trailer   = "KTT1" ‖ blocks (4) ‖ records (8) ‖ bytes of the columns (4)                                20 bytes
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from keten.core.errors import Corrupt, Invalid
from keten.vault.frames import FrameReader
from keten.vault.layouts import TABLE_EXPONENT
from keten.vault.record_ids import ID_BYTES

MAGIC = b"KTT1"
BLOCK = 1 << TABLE_EXPONENT
MAX_RECORD = BLOCK // 2
MAX_COLUMNS = 1000
_HEAD = struct.Struct(">II")
_PLACE = struct.Struct(f">{ID_BYTES}sI")
_TRAILER = struct.Struct(">4sIQI")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode

Value = str | int | float | bool | None


class Columns(msgspec.Struct, frozen=True):
    """Names in the order of a record's values; `key`: the place of the one that records are found by."""

    names: tuple[str, ...]
    key: int


def encode_record(values: list[Value], row: int) -> bytes:
    """A record's bytes. `row`: to name it by. Raises `Invalid` ("record-too-large")."""
    encoded = _encode(values)
    if len(encoded) > MAX_RECORD:
        raise Invalid("record-too-large", f"Row {row} has more than {MAX_RECORD // 1024} KiB.")
    return encoded


def sealed_table(records: Iterable[tuple[bytes, bytes]], columns: Columns) -> Iterator[bytes]:
    """Content from records (tag, bytes) in the order of their tags, no tag twice; one block at a time."""
    packing = _Packing()
    firsts = bytearray()
    total = 0
    for tag, record in records:
        if not packing.fits(record):
            firsts += packing.first
            yield packing.block()
            packing = _Packing()
        packing.add(tag, record)
        total += 1
    if total:
        firsts += packing.first
        yield packing.block()
    named = _encode(columns)
    yield bytes(firsts) + named + _TRAILER.pack(MAGIC, len(firsts) // ID_BYTES, total, len(named))


class _Packing:
    """One block while it is filled."""

    def __init__(self) -> None:
        self._places: list[tuple[bytes, int]] = []
        self._records = bytearray()

    @property
    def first(self) -> bytes:
        return self._places[0][0]

    def fits(self, record: bytes) -> bool:
        return _HEAD.size + (len(self._places) + 1) * _PLACE.size + len(self._records) + len(record) <= BLOCK

    def add(self, tag: bytes, record: bytes) -> None:
        self._places.append((tag, len(self._records)))
        self._records += record

    def block(self) -> bytes:
        start = _HEAD.size + len(self._places) * _PLACE.size
        places = b"".join(_PLACE.pack(tag, start + at) for tag, at in self._places)
        head = _HEAD.pack(len(self._places), start + len(self._records))
        return bytes((head + places + self._records).ljust(BLOCK, b"\0"))


class SealedTable:
    """Reads one version of a table. Safe to use from several threads at once.

    Raises `Corrupt` ("content-damaged", "key-damaged"), `Unavailable` ("content-unreadable").
    """

    def __init__(self, reader: FrameReader) -> None:
        self._reader = reader
        trailer = b"".join(reader.read(max(0, reader.size - _TRAILER.size)))
        try:
            magic, self._blocks, self.records, named = _TRAILER.unpack(trailer)
        except struct.error as error:
            raise _damaged("the trailer is cut off") from error
        end = self._blocks * BLOCK
        directory = b"".join(reader.read(end)) if end <= reader.size else b""
        if magic != MAGIC or len(directory) != self._blocks * ID_BYTES + named + _TRAILER.size:
            raise _damaged("it is no table")
        self._firsts = [directory[at : at + ID_BYTES] for at in range(0, self._blocks * ID_BYTES, ID_BYTES)]
        try:
            self.columns = msgspec.msgpack.decode(directory[self._blocks * ID_BYTES : -_TRAILER.size], type=Columns)
        except msgspec.MsgspecError as error:
            raise _damaged("its columns are malformed") from error

    def find(self, tag: bytes) -> list[Value] | None:
        """The values of the record with this tag, None when there is none; either way one block is opened."""
        number = max(0, bisect_right(self._firsts, tag) - 1)
        if number >= self._blocks:
            return None
        return _find(self._reader.frame(number), tag)


def _find(block: bytes, tag: bytes) -> list[Value] | None:
    try:
        count, end = _HEAD.unpack_from(block)
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            found, _where = _PLACE.unpack_from(block, _HEAD.size + middle * _PLACE.size)
            if found < tag:
                low = middle + 1
            else:
                high = middle
        if low == count:
            return None
        found, begin = _PLACE.unpack_from(block, _HEAD.size + low * _PLACE.size)
        if found != tag:
            return None
        if low + 1 < count:
            _tag, end = _PLACE.unpack_from(block, _HEAD.size + (low + 1) * _PLACE.size)
        return _decode(block[begin:end])
    except (struct.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _damaged("a block is malformed") from error


def _damaged(what: str) -> Corrupt:
    return Corrupt("content-damaged", "The content of a table is damaged.", what)
