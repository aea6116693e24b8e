"""Sorting a table's records by their tags, however many there are, without a readable byte on the disk.

Records are dealt into 256 parts by the first byte of their tags, which are as good as random. What does not fit into
memory is spilled, sealed by a key that is never written anywhere; each part is then small enough to be sorted.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keten.core.crypto import new_key
from keten.core.errors import Invalid
from keten.core.files import disk_error
from keten.vault.record_ids import ID_BYTES, normal_key, record_tag
from keten.vault.sealed_table import Columns, Value, encode_record, sealed_table

IN_MEMORY = 64 * 1024 * 1024
"""Bytes of records held before they are spilled."""
_PARTS = 256
_MOST_NAMED = 5
_ROW = struct.Struct(f">{ID_BYTES}sQ")  # tag, number of the row


class TableBuilder:
    """Takes the rows of a table one by one; then gives the content of its sealed form, once. Context manager.

    records_key: the dataset's. folder: where to spill. Raises `Invalid` ("record-key", "record-too-large",
    "record-keys": a key that stands twice), naming rows as a spreadsheet counts them; `Unavailable` on a
    full disk.
    """

    def __init__(self, records_key: bytes, columns: Columns, folder: Path, in_memory: int = IN_MEMORY) -> None:
        self._records_key = records_key
        self._columns = columns
        self._parts: list[list[bytes]] = [[] for _part in range(_PARTS)]
        self._spill = _Spill(folder)
        self._in_memory = in_memory
        self._held = 0
        self.records = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._spill.close()

    def add(self, row: int, values: list[Value]) -> None:
        """One row. Its key may stand in no other."""
        try:
            tag = record_tag(self._records_key, normal_key(values[self._columns.key]))
        except Invalid as error:
            column = self._columns.names[self._columns.key]
            raise Invalid(error.code, f"Row {row}, column {column!r}: {error.public}", error.reason) from error
        held = _ROW.pack(tag, row) + encode_record(values, row)
        self._parts[tag[0]].append(held)
        self.records += 1
        self._held += len(held)
        if self._held > self._in_memory:
            self._spill_all()

    def content(self) -> Iterator[bytes]:
        """The sealed form, block by block."""
        return sealed_table(self._sorted(), self._columns)

    def _spill_all(self) -> None:
        for part, rows in enumerate(self._parts):
            if rows:
                self._spill.put(part, rows)
                rows.clear()
        self._held = 0

    def _sorted(self) -> Iterator[tuple[bytes, bytes]]:
        for part in range(_PARTS):
            rows = self._spill.take(part)
            rows += self._parts[part]
            self._parts[part] = []
            rows.sort()
            before, before_row = b"", 0
            for held in rows:
                tag, row = _ROW.unpack_from(held)
                if tag == before:
                    raise _twice(rows, tag, before_row)
                before, before_row = tag, row
                yield tag, held[_ROW.size :]


class _Spill:
    """Sealed chunks of rows in one unnamed file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._aead = AESGCM(new_key())
        self._file: BinaryIO | None = None
        self._chunks: dict[int, list[tuple[int, int, int]]] = {}
        self._number = 0

    def put(self, part: int, rows: list[bytes]) -> None:
        plain = b"".join(struct.pack(">I", len(row)) + row for row in rows)
        sealed = self._aead.encrypt(_nonce(self._number), plain, None)
        try:
            if self._file is None:
                self._file = cast("BinaryIO", tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115  # for `close`
            at = self._file.seek(0, os.SEEK_END)
            self._file.write(sealed)
        except OSError as error:
            raise disk_error(error, self._folder) from error
        self._chunks.setdefault(part, []).append((self._number, at, len(sealed)))
        self._number += 1

    def take(self, part: int) -> list[bytes]:
        rows: list[bytes] = []
        for number, at, length in self._chunks.pop(part, ()):
            assert self._file is not None  # noqa: S101  # there are chunks
            self._file.seek(at)
            plain = self._aead.decrypt(_nonce(number), self._file.read(length), None)
            offset = 0
            while offset < len(plain):
                (size,) = struct.unpack_from(">I", plain, offset)
                rows.append(plain[offset + 4 : offset + 4 + size])
                offset += 4 + size
        return rows

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")  # the key is used for this file alone


def _twice(rows: list[bytes], tag: bytes, first: int) -> Invalid:
    same = sorted(_ROW.unpack_from(row)[1] for row in rows if row.startswith(tag))
    named = ", ".join(str(row) for row in same[:_MOST_NAMED]) + (" and others" if len(same) > _MOST_NAMED else "")
    public = f"Rows {named or first} have the same key; a table has one record for each."
    return Invalid("record-keys", public)
