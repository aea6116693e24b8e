"""Counting rows: never fewer than a reader of tables finds, never more than there are lines, however it is cut."""

from __future__ import annotations

import csv
import io

from keten.vault.records import Delimited
from tests.fuzz.target import Target, is_text

MARKS = (b"\xff\xfe", b"\xfe\xff")  # texts of other encodings are not compared line by line


def _count(data: bytes, at_once: int) -> int:
    counter = Delimited()
    for at in range(0, len(data), at_once):
        counter.feed(data[at : at + at_once])
    return counter.finish()


def _rows(data: bytes) -> list[int]:
    """Records as Python's reader finds them, by delimiter: a header is none, unless it is all there is."""
    text = data.decode("utf-8-sig")
    found = []
    for delimiter in ",;\t|":
        rows = sum(1 for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row)
        found.append(rows - 1 if rows > 1 else rows)
    return found


def check(data: bytes) -> bool:
    count = _count(data, max(1, len(data)))
    assert all(_count(data, at_once) == count for at_once in (1, 3, 64) if len(data) < 1000 * at_once), (
        "however it comes"
    )
    if data.startswith(MARKS) or data.startswith(b"\0\0\xfe\xff"):
        return count > 0
    lines = data.replace(b"\r", b"\n").split(b"\n")
    assert count <= sum(1 for line in lines if line)
    if not is_text(data) or b"\0" in data or data[:4].lower() == b"sep=":
        return count > 0
    try:
        least = min(_rows(data))
    except csv.Error:
        return count > 0
    assert count >= least, "a budget that counts too little leaks"
    return count > 0


TARGET = Target(
    "csv-records",
    check,
    lambda: [
        b"bsn,naam\r\n1,Jan\r\n2,Piet\r\n",
        b'a;b\n"x ""y""\nz";1\n"";"\n"\n',
        "\ufeffa|b\n1|é".encode(),
        b"sep=;\na;b\n1;2\n",
        "a\tb\n1\t2\n".encode("utf-16"),
    ],
    words=(
        b'"',
        b'""',
        b'"\n',
        b'\n"',
        b",",
        b";",
        b"\r",
        b"\n",
        b"\t",
        b"|",
        b"sep=;",
        b"\xff\xfe",
        b"\x0b",
        b"\xe2\x80\xa8",
    ),
    longest=600,
    calls=(400, 20_000),
    memory=(200, 8 << 20),
)
