"""A table's source as its own process parses it: rows as wide as the header, or a sentence about what is wrong."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import polars as pl

from keten.vault.table_child import SOURCES, Malformed
from tests.fuzz.target import Target

MOST_ROWS = 20_000
LONGEST_SENTENCE = 400


def _checking(kind: str) -> Callable[[bytes], bool]:
    def check(data: bytes) -> bool:
        source = os.memfd_create("source")
        try:
            os.write(source, data)
            os.lseek(source, 0, os.SEEK_SET)
            names, rows = SOURCES[kind](source)
            for _number, row in zip(range(MOST_ROWS), rows, strict=False):
                assert len(row) == len(names)
        except Malformed as error:
            return _said(str(error))
        except BaseException as error:
            # What panics in native code ends the child, which the parent says; it is no finding of ours.
            if type(error).__name__ != "PanicException":
                raise
            return False
        finally:
            os.close(source)
        return True

    return check


def _said(sentence: str) -> bool:
    assert 0 < len(sentence) <= LONGEST_SENTENCE
    return False


def _parquet() -> list[bytes]:
    found = []
    for rows in (0, 3):
        stream = io.BytesIO()
        frame = pl.DataFrame({"bsn": [str(number) for number in range(rows)], "n": list(range(rows))})
        frame.write_parquet(stream, compression="uncompressed")
        found.append(stream.getvalue())
    return found


TABLE_TEXT = Target(
    "table-text",
    _checking("csv"),
    lambda: [
        b"bsn,naam\r\n1,Jan\r\n2,Piet\r\n",
        b'a;b\n"x ""y""";"z\n"\n',
        "\ufeffa|b\n1|é\n".encode(),
        "a\tb\n1\t2\n".encode("utf-16"),
    ],
    words=(
        b'"',
        b'""',
        b'"\n',
        b",",
        b";",
        b"\r",
        b"\n",
        b"\t",
        b"|",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\0",
        b"\xe2\x80\xa8",
    ),
    longest=600,
    memory=(200, 8 << 20),
)
TABLE_PARQUET = Target(
    "table-parquet",
    _checking("parquet"),
    _parquet,
    words=(b"PAR1", b"\x19\xfc", b"\x1c", b"\x16", b"\x80" * 12, b"\x0c" * 20, b"\xff\xff\xff\x7f"),
    longest=8192,
    calls=(60, 200_000),
)
