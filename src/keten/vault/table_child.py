"""The process that parses a table's source: it has the file, a pipe, limits, and nothing else (law 10).

`python -m keten.vault.table_child KIND` reads the file on its stdin and writes frames to stdout: a 4-byte big-endian
length, then MessagePack: ["columns", names], any number of ["rows", [values, …]], then ["end", count] or
["error", sentence].
"""

from __future__ import annotations

import codecs
import csv
import ctypes
import io
import os
import resource
import struct
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import msgspec

AT_ONCE = 2000
_MEMORY = 8 << 30
_SLICE = 100_000
_FIELD = 1 << 20  # characters, also of the whole first row
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # unshare(2)
_DELIMITERS = ",;\t|"
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class Malformed(Exception):
    """What is said to whoever put the file; never more than a few words of its content."""


def main(kind: str) -> int:
    """Parse; exit code 0 also when the file is malformed, which is said in a frame."""
    _confine()
    try:
        names, rows = SOURCES[kind](0)
        _columns(names)
        count = 0
        while some := list(islice(rows, AT_ONCE)):
            count += len(some)
            _say("rows", some)
        _say("end", count)
    except Malformed as error:
        _say("error", str(error))
    except MemoryError:
        _say("error", "reading it takes too much memory")
    return 0


def _confine() -> None:
    """No network where the system lets an ordinary user give it up, no file that grows, a bound on memory."""
    ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _say(word: str, what: Any) -> None:
    frame = msgspec.msgpack.encode([word, what])
    sys.stdout.buffer.write(struct.pack(">I", len(frame)) + frame)
    sys.stdout.buffer.flush()


def _columns(names: Sequence[str]) -> None:
    for at, name in enumerate(names):
        if not name.strip():
            raise Malformed(f"column {at + 1} has no name in the first row")
        if name in names[:at]:
            raise Malformed(f"two columns are named {name[:60]!r}")
    _say("columns", list(names))


# ---- delimited text ------------------------------------------------------------------------------------------------


def _delimited(source: int) -> tuple[list[str], Iterator[list[Any]]]:
    """RFC 4180 with , ; tab or | between fields: the one that the first row has most of. UTF-8; UTF-16 with a mark."""
    start = os.pread(source, 4, 0)
    encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")
    stream = open(source, "rb", closefd=False)  # noqa: SIM115  # it is whoever's who opened it
    text = io.TextIOWrapper(stream, encoding=encoding, newline="")
    csv.field_size_limit(_FIELD)
    try:
        first = text.readline(_FIELD)
        if not first.strip():
            raise Malformed("it is empty, or its first row, which names the columns, is")
        if len(first) == _FIELD:
            raise Malformed("its first row, which names the columns, is too long")
        reader = csv.reader(chain([first], text), delimiter=max(_DELIMITERS, key=first.count), strict=True)
        header = next(reader, [])
    except csv.Error as error:
        raise Malformed(f"row 1: {error}") from error
    except UnicodeDecodeError as error:
        raise _not_utf8() from error
    return [name.strip() for name in header], _rows(reader, len(header))


def _rows(reader: Iterator[list[str]], width: int) -> Iterator[list[Any]]:
    row = 1
    try:
        for values in reader:
            row += 1
            if not values:
                continue
            if len(values) != width:
                raise Malformed(f"row {row} has {len(values)} fields, the first row {width}")
            yield values
    except csv.Error as error:
        raise Malformed(f"row {row + 1}: {error}") from error
    except UnicodeDecodeError as error:
        raise _not_utf8() from error


def _not_utf8() -> Malformed:
    return Malformed("it is not UTF-8; save it in that encoding")


# ---- what polars reads -----------------------------------------------------------------------------------------------


def _parquet(source: int) -> tuple[list[str], Iterator[list[Any]]]:
    import polars as pl  # noqa: PLC0415  # a hundred milliseconds that a CSV need not wait for

    try:
        scan = pl.scan_parquet(f"/dev/fd/{source}")
        schema = scan.collect_schema()
        total = scan.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise Malformed(f"it is no Parquet that can be read: {_short(error)}") from error
    for name, kind in schema.items():
        if kind.is_nested() or kind in (pl.Binary, pl.Object):
            raise Malformed(f"column {name[:60]!r} holds {kind}: a table has texts, numbers, dates and yes or no")
    texts = [pl.col(name).cast(pl.String) for name, kind in schema.items() if not _plain(kind, pl)]

    def rows() -> Iterator[list[Any]]:
        for at in range(0, total, _SLICE):
            try:
                some = scan.slice(at, _SLICE).with_columns(texts).collect()
            except (pl.exceptions.PolarsError, OSError) as error:
                raise Malformed(f"rows from {at + 2} on: {_short(error)}") from error
            yield from map(list, some.iter_rows())

    return list(schema.names()), rows()


def _plain(kind: Any, pl: Any) -> bool:
    return bool(kind.is_integer() or kind.is_float() or kind in (pl.Boolean, pl.String))


def _workbook(source: int) -> tuple[list[str], Iterator[list[Any]]]:
    """The first sheet of a workbook, every value as text."""
    import fastexcel  # noqa: PLC0415  # as above

    try:
        sheet = fastexcel.read_excel(f"/dev/fd/{source}").load_sheet(0, dtypes="string")
        frame = sheet.to_polars()
    except fastexcel.FastExcelError as error:
        raise Malformed(f"it is no workbook that can be read: {_short(error)}") from error
    return list(frame.columns), map(list, frame.iter_rows())


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


# What a file descriptor holds: the names of the columns, and the rows as they are read. Raise `Malformed`.
SOURCES = {"csv": _delimited, "parquet": _parquet, "xlsx": _workbook}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
