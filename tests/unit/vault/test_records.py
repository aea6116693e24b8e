"""Records: rows of CSV as Python's own reader sees them, never fewer; Parquet by its footer."""

from __future__ import annotations

import codecs
import csv
import io
import re
import struct
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keten.core.errors import Invalid
from keten.vault import records
from keten.vault.records import Delimited, count_records


def count(content: bytes, name: str = "a.csv", media_type: str = "") -> int:
    return count_records(io.BytesIO(content), name, media_type)


def fed(content: bytes, cuts: list[int]) -> int:
    counter = Delimited()
    at = 0
    for cut in cuts:
        counter.feed(content[at : at + cut])
        at += cut
    counter.feed(content[at:])
    return counter.finish()


def as_python_reads(text: str, delimiter: str) -> int:
    """Rows by Python's csv module that are not empty lines."""
    return sum(1 for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row)


def without_header(rows: int) -> int:
    return rows - 1 if rows > 1 else rows


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", 0),
        (b"\n\r\n\n", 0),
        (b"bsn,naam\n", 1),
        (b"bsn,naam", 1),
        (b"bsn,naam\n1,Jan\n", 1),
        (b"bsn,naam\n1,Jan\n2,Piet", 2),
        (b"bsn,naam\r\n1,Jan\r\n2,Piet\r\n", 2),
        (b"bsn,naam\r1,Jan\r2,Piet\r", 2),
        (b"bsn,naam\n\n1,Jan\n\n\n2,Piet\n\n", 2),
        (b'bsn,naam\n1,"Jan\nJansen"\n', 1),
        (b'bsn,naam\r\n1,"Jan\r\n\r\nJansen"\r\n2,"Piet"\r\n', 2),
        (b'"bsn","na\nam"\n"1","Jan"\n', 1),
        (b'bsn;naam\n1;"Jan\nJansen";\n2;Piet;\n', 2),
        (b'bsn\tnaam\n1\t"Jan\nJansen"\n', 1),
        (b'bsn|naam\n1|"Jan\nJansen"\n', 1),
        (b'a,b\n"x ""y""\nz",1\n"""","\n"\n', 2),
        (b'a,b\n"",""\n"","\n"\n', 2),
        (b"sep=;\nbsn;naam\n1;Jan\n", 1),
        (b'sep=;\r\nbsn;naam\r\n1;"Jan\r\nJansen"\r\n', 1),
        (b"alleen\n1\n2\n3\n", 3),
        (b'a,b\n"x" y,"1\n2"\n3,4\n', 2),
        (b",\n,\n,\n", 2),
    ],
)
def test_rows(content: bytes, expected: int) -> None:
    assert count(content) == expected


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b'maat,soort\n5" buis,staal\n6" buis,"koper\nof zink"\n', 3),  # quotes for inches, and a field of two lines
        (b'a,b\n1,"open\n2,x\n3,y\n', 3),  # never closed
        (b'a,b\n1,"x" y\n2,z\n', 2),
        (b'a,b\n1, "x\ny"\n', 2),
        (b'a,b\n1,"x \\" y\nz"\n', 2),  # another way of writing a quote
    ],
)
def test_an_ill_formed_file_is_counted_by_its_lines(content: bytes, lines: int) -> None:
    assert count(content) == lines


def test_a_quote_that_swallows_the_rest_of_a_file_hides_no_records() -> None:
    rows = b"".join(b"%d,x\n" % number for number in range(1000))
    assert count(b"a,b\n" + rows + b'"1001,x\n' + rows) == 2001


FIELD = st.text(st.sampled_from('ab1 ,;"\n\r\té|'), max_size=6)
ROW = st.lists(FIELD, min_size=1, max_size=4)


@given(
    rows=st.lists(ROW, max_size=12),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    cuts=st.lists(st.integers(0, 9), max_size=12),
)
def test_well_formed_files_are_counted_exactly(
    rows: list[list[str]], delimiter: str, quoting: Literal[0, 1], end: str, cuts: list[int]
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerow(["kop"] * 5)  # says which delimiter there is
    writer.writerows(rows)
    text = out.getvalue()
    expected = as_python_reads(text, delimiter)
    counted = fed(text.encode(), cuts)
    assert counted == without_header(expected)


def delimiter_of(text: str) -> str:
    """What stands most often in the first line that is not empty, outside quotes; else a comma."""
    line = next(filter(None, re.split(r"[\r\n]", text)), "")
    return max(",;", key="".join(line.split('"')[0::2]).count)


@example(';\r;"\r"', [])
@given(st.text(st.sampled_from('a1 ,;"\n\r'), max_size=60), st.lists(st.integers(0, 9), max_size=12))
@example(';"\r1\r"', [])  # a field of three lines between semicolons; with commas it would be three rows
def test_no_file_counts_fewer_records_than_python_reads(text: str, cuts: list[int]) -> None:
    """By the delimiter that its first line shows: by another one, a quote may open a field that this one closes."""
    counted = fed(text.encode(), cuts)
    assert counted >= without_header(as_python_reads(text, delimiter_of(text)))


@given(st.binary(max_size=80), st.lists(st.integers(0, 9), max_size=12))
def test_any_bytes_are_counted_alike_however_they_come(content: bytes, cuts: list[int]) -> None:
    assert fed(content, cuts) == fed(content, [])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "cp1252", "latin-1", "cp850", "shift-jis"])
def test_encodings(encoding: str) -> None:
    name = "名前" if encoding == "shift-jis" else "Zoë Müller"
    text = f'bsn;naam\r\n1;{name}\r\n2;"{name}\r\n{name}"\r\n'
    for cuts in ([], [1], [1, 1, 1, 1, 1], [3, 2, 5, 7]):
        assert fed(text.encode(encoding), cuts) == 2


def test_utf_16_and_32_of_either_order() -> None:
    text = "bsn;naam\n1;ਊĊ\n2;x\n"  # characters of which one byte looks like a line end
    for mark, encoding in (
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ):
        assert fed(mark + text.encode(encoding), [1, 2, 3]) == 2
        assert fed(mark + text.encode(encoding)[:-1], []) == 2  # cut off within a character


def test_utf_16_without_a_mark_is_not_counted_too_low() -> None:
    assert count('bsn;naam\n1;"x\ny"\n2;z\n'.encode("utf-16-le")) >= 2


def test_a_line_without_end_needs_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_LINE", 100)
    counter = Delimited()
    counter.feed(b"a,b\n1,2\n")
    for _ in range(50):
        counter.feed(b"x" * 60)
        assert len(counter._held) <= 160
    counter.feed(b"\n3,4\r\n\r\n5,")
    counter.feed(b"6")
    assert counter.finish() == 4


def test_a_long_quoted_field_is_still_one_record() -> None:
    content = b'a,b\n1,"' + b"regel\n" * 400_000 + b'"\n2,x\n'
    assert count(content) == 2


def test_what_is_no_table_counts_as_one() -> None:
    for name in ("a.pdf", "a", "a.csv.gz", "a.txt", "a.json", "a.xlsx", ""):
        assert count(b"1\n2\n3\n", name) == 1
        assert count(b"", name) == 1
    assert count(b"a\n1\n2\n", "a.txt", "text/csv") == 2
    for name in ("a.CSV", "a.tsv", "a.tab"):
        assert count(b"a\n1\n2\n", name) == 2


# ---- Parquet ---------------------------------------------------------------------------------------------------------


def parquet(rows: int, **options: object) -> bytes:
    out = io.BytesIO()
    frame = pl.DataFrame({"bsn": range(rows), "naam": ["Jan"] * rows, "lijst": [[1, 2]] * rows})
    frame.write_parquet(out, **options)  # type: ignore[arg-type]  # options by name
    return out.getvalue()


@pytest.mark.parametrize("rows", [0, 1, 1000, 100_000])
def test_parquet_says_how_many_rows_it_has(rows: int) -> None:
    content = parquet(rows, row_group_size=30_000)
    assert count(content, "a.parquet") == rows
    assert count(content, "a.bin") == rows
    assert count(content, "a.csv") == rows


def test_parquet_of_many_columns(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    pl.DataFrame({f"kolom {number}": [number] for number in range(2000)}).write_parquet(path)
    with path.open("rb") as stream:
        assert count_records(stream, path.name) == 1
        assert stream.tell() == path.stat().st_size  # read to its end, as any other file


def uncountable(content: bytes, name: str = "a.parquet") -> str:
    with pytest.raises(Invalid) as caught:
        count(content, name)
    assert caught.value.code == "records-uncountable"
    return caught.value.public


def test_parquet_that_cannot_be_counted_is_refused_and_says_why() -> None:
    content = parquet(10)
    assert "whole" in uncountable(b"")
    assert "whole" in uncountable(b"PAR1")
    assert "whole" in uncountable(content[:-1])
    assert "whole" in uncountable(b"bsn,naam\n1,Jan\n")
    assert "longer" in uncountable(content[:-8] + struct.pack("<I", len(content)) + b"PAR1")
    assert "encrypted" in uncountable(b"PARE" + content[4:-4] + b"PARE")
    assert "number" in uncountable(b"PAR1" + b"\0" + struct.pack("<I", 1) + b"PAR1")
    assert "malformed" in uncountable(b"PAR1" + b"\xff" * 40 + struct.pack("<I", 40) + b"PAR1")
    assert uncountable(b"PAR1" + struct.pack("<I", 0) + b"PAR1")
    negative = b"\x36\x01\x00"  # field 3, a 64-bit number, -1
    assert "number" in uncountable(b"PAR1" + negative + struct.pack("<I", 3) + b"PAR1")


def footer(body: bytes) -> bytes:
    return b"PAR1" + body + struct.pack("<I", len(body)) + b"PAR1"


def test_every_type_before_the_number_is_skipped() -> None:
    skipped = (
        b"\x11\x12"  # fields 1, 2: true, false
        b"\x03\x08\x7f"  # field 4 by its own number: a byte
    )
    body = (
        b"\x15\x02"  # field 1: 32-bit
        b"\x1b\x02\x85\x01a\x02\x01b\x04"  # field 2: a map of two, text to 32-bit
        b"\x16\x54"  # field 3: 64-bit, 42
        b"\x00"
    )
    assert count(footer(body), "a.parquet") == 42
    lists = b"\x19\x2c\x11\x00\x17" + bytes(8) + b"\x00"  # field 1: a list of two structures: a truth; a double
    assert count(footer(lists + b"\x26\x54\x00"), "a.parquet") == 42
    truths = b"\x19\x31\x01\x02\x01"  # a list of three truths, a byte each
    assert count(footer(truths + b"\x26\x54\x00"), "a.parquet") == 42
    identifier = b"\x1d" + bytes(16)
    assert count(footer(identifier + b"\x26\x54\x00"), "a.parquet") == 42
    long_list = b"\x19\xf3\x10" + bytes(16)  # a list of 16 bytes, its length on its own
    assert count(footer(long_list + b"\x26\x54\x00"), "a.parquet") == 42
    assert "number" in uncountable(footer(skipped + b"\x00"))


def counted_or_refused(content: bytes) -> bool:
    try:
        return count(content, "a.parquet") >= 0
    except Invalid as error:
        return error.code == "records-uncountable"


@given(st.binary(max_size=120))
def test_no_footer_at_all_does_more_than_refuse(body: bytes) -> None:
    assert counted_or_refused(footer(body))


@given(st.data())
def test_a_damaged_parquet_file_is_counted_or_refused(data: st.DataObject) -> None:
    content = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert counted_or_refused(bytes(content))


SMALL = parquet(3)


def test_nesting_and_lengths_without_end_are_refused() -> None:
    assert "malformed" in uncountable(footer(b"\x1c" * 5000))  # structures in structures
    assert "malformed" in uncountable(footer(b"\x19\xfc\xff\xff\xff\xff\x0f"))  # a list longer than the file
    assert "malformed" in uncountable(footer(b"\x18\xff\xff\xff\xff\x0f"))  # text longer than the file
    assert "malformed" in uncountable(footer(b"\x16" + b"\xff" * 30))  # a number without end
