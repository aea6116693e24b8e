"""Parquet's footer: the number of rows that another reader finds, or a word that they cannot be counted."""

from __future__ import annotations

import io

import polars as pl

from keten.core.errors import Invalid
from keten.vault import parquet
from tests.fuzz.target import Target, refused


def _file(rows: int) -> bytes:
    stream = io.BytesIO()
    frame = pl.DataFrame({"bsn": [str(number) for number in range(rows)], "n": list(range(rows))})
    frame.write_parquet(stream, compression="uncompressed")
    return stream.getvalue()


def check(data: bytes) -> bool:
    stream = io.BytesIO(data)
    try:
        rows = parquet.count_rows(stream)
    except Invalid as error:
        return refused(error, "records-uncountable")
    assert parquet.looks_like(stream)
    assert 0 <= rows < 2**63
    return True


TARGET = Target(
    "parquet-records",
    check,
    lambda: [_file(0), _file(3), b"PAR1" + b"\x15\x02\x19\x0c\x16\x0a\x00" + (7).to_bytes(4, "little") + b"PAR1"],
    words=(b"PAR1", b"PARE", b"\x19\xfc", b"\x1c", b"\x16", b"\x80" * 12, b"\x0c" * 20, b"\xff\xff\xff\x7f", b"\x1b"),
    longest=8192,
)
