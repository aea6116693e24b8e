"""How many records a file holds, counted while it is put, because budgets are in records (law 12).

Rows of CSV and Parquet are counted; any other object counts as one. Where a file does not say clearly how many records
it holds, the count is never too low: a budget that counts too much annoys, one that counts too little leaks.
"""

from __future__ import annotations

import codecs
from pathlib import PurePath
from typing import BinaryIO, Protocol

from keten.vault import parquet

CHUNK = 1 << 20
MAX_LINE = 16 << 20  # bytes held back while a line goes on; past that, lines are counted as they come
DELIMITERS = b",;\t|"

_DELIMITED = frozenset({".csv", ".tsv", ".tab"})
_DELIMITED_TYPES = frozenset({"text/csv", "text/tab-separated-values"})
_PARQUET = frozenset({".parquet", ".parq", ".pqt"})
_PARQUET_TYPES = frozenset({"application/vnd.apache.parquet", "application/x-parquet"})

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, ""),
)
_LONGEST_MARK = 4


class Counter(Protocol):
    """Counts the records of content that comes in chunks of any size."""

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""

    def finish(self) -> int:
        """The count; nothing more comes."""


class Known:
    """Content whose count is known without looking at it."""

    def __init__(self, records: int) -> None:
        self._records = records

    def feed(self, chunk: bytes) -> None:
        """Look at nothing."""

    def finish(self) -> int:
        """The count."""
        return self._records


class Delimited:
    """Counts the rows of delimited text (RFC 4180, with , ; tab or | between fields), without its header.

    1. A mark at the start says UTF-8, UTF-16 or UTF-32; any other encoding has ASCII's line ends and quotes.
    2. Text is taken in regions that end with a line end, which may lie within a quoted field.
    3. In a well-formed file quotes simply alternate: one opens at the start of a field, the next closes, and a doubled
       one does both. One that would open anywhere else, or is never closed, makes the file ill-formed.
    4. An ill-formed file is counted by its lines that are not empty; records are never more than those.
    5. The first row is the header, unless it is the only one: a file of one row counts as one record.
    """

    def __init__(self) -> None:
        self._start: bytearray | None = bytearray()
        self._decoder: codecs.IncrementalDecoder | None = None
        self._held = bytearray()
        self._classes = b""
        self._inside = False  # a quoted field goes on
        self._well_formed = True
        self._line_goes_on = False
        self._records = 0
        self._lines = 0

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        if self._start is not None:
            self._start += chunk
            if len(self._start) < _LONGEST_MARK:
                return
            chunk = self._begin()
        self._take(self._decoded(chunk))

    def finish(self) -> int:
        """Rows without the header."""
        rest = self._begin() if self._start is not None else b""
        self._take(self._decoded(rest, final=True))
        if self._held:
            self._well_formed = self._region(bytes(self._held))
        rows = self._records if self._well_formed and not self._inside else self._lines
        return rows - 1 if rows > 1 else rows  # 5

    def _begin(self) -> bytes:
        """Step 1: find out the encoding; returns what follows the mark."""
        start, self._start = bytes(self._start or b""), None
        for mark, encoding in _MARKS:
            if start.startswith(mark):
                if encoding:
                    self._decoder = codecs.getincrementaldecoder(encoding)("replace")
                return start[len(mark) :]
        return start

    def _decoded(self, chunk: bytes, *, final: bool = False) -> bytes:
        if self._decoder is None:
            return chunk
        return self._decoder.decode(chunk, final).encode("utf-8", "replace")

    def _take(self, chunk: bytes) -> None:
        """Step 2."""
        if self._well_formed:
            self._held += chunk
            well_formed = True
            end = max(self._held.rfind(b"\n"), self._held.rfind(b"\r")) + 1
            if end:
                region = bytes(self._held[:end])
                del self._held[:end]
                well_formed = self._region(region)
            if well_formed and len(self._held) <= MAX_LINE:
                return
            self._well_formed = False
            chunk = bytes(self._held)
            self._held.clear()
        self._count_lines(chunk)  # 4

    def _region(self, region: bytes) -> bool:
        """Steps 3 and 4, for text that begins where a line begins; whether it is well-formed."""
        if not self._classes:
            delimiter, said = _dialect(region)
            self._classes = _classes(delimiter)
            region = region[said:]
        lines = self._count_lines(region)
        if b'"' not in region:
            self._records += 0 if self._inside else lines
            return True
        begun = self._inside
        parts = region.split(b'"')
        outside = b'"'.join(parts[begun::2])  # every quoted stretch has become one quote
        self._inside = begun == (len(parts) % 2 == 1)
        outside = (b'"' if begun else b"") + outside + (b'"' if self._inside else b"")
        self._records += _not_empty(outside) - begun  # the record that went on was counted where it began
        classes = outside.translate(self._classes)
        return b'x"' not in classes

    def _count_lines(self, chunk: bytes) -> int:
        """Lines that begin in a chunk and are not empty."""
        if not chunk:
            return 0
        lines = _not_empty(chunk)
        if self._line_goes_on and chunk[:1] not in b"\r\n":
            lines -= 1
        self._line_goes_on = chunk[-1:] not in b"\r\n"
        self._lines += lines
        return lines


def counter_for(stream: BinaryIO, name: str, media_type: str = "") -> Counter:
    """What counts the records of a file of this name and type; `stream` is sought to its start afterwards.

    A file that is Parquet by its first and last bytes counts as such whatever its name. Raises `Invalid`
    ("records-uncountable") for Parquet that does not say how many rows it has, `OSError`.
    """
    suffix = PurePath(name).suffix.lower()
    counter: Counter = Known(1)
    if suffix in _PARQUET or media_type in _PARQUET_TYPES or parquet.looks_like(stream):
        counter = Known(parquet.count_rows(stream))
    elif suffix in _DELIMITED or media_type in _DELIMITED_TYPES:
        counter = Delimited()
    stream.seek(0)
    return counter


def count_records(stream: BinaryIO, name: str, media_type: str = "") -> int:
    """The records of a file that can be read and sought. Raises as `counter_for` does."""
    counter = counter_for(stream, name, media_type)
    while chunk := stream.read(CHUNK):
        counter.feed(chunk)
    return counter.finish()


def _dialect(region: bytes) -> tuple[bytes, int]:
    """The byte between fields, and how many bytes at the start only say so ("sep=;", as Excel writes)."""
    text = region.lstrip(b"\r\n")
    ends = [at for at in (text.find(b"\n"), text.find(b"\r")) if at >= 0]
    line = text[: min(ends, default=len(text))]
    if len(line) == len(b"sep=;") and line[:4].lower() == b"sep=" and line[4:] in DELIMITERS:
        return line[4:], len(region) - len(text) + len(line)
    outside = b"".join(line.split(b'"')[0::2])
    return max((bytes([one]) for one in DELIMITERS), key=outside.count), 0


def _classes(delimiter: bytes) -> bytes:
    """A translation to three classes: a quote stays, what is at the edge of a field is a line end, all else x."""
    edges = delimiter + b"\r\n"
    return bytes(one if one == ord('"') else ord("\n") if one in edges else ord("x") for one in range(256))


def _not_empty(text: bytes) -> int:
    """Lines that are not empty."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\n\n" in text:
        return len(list(filter(None, text.split(b"\n"))))
    return text.count(b"\n") - text.startswith(b"\n") + (not text.endswith(b"\n") and text != b"")
