"""Tables at rest: every record is found by its key and by nothing else, however the source looks."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import zipfile
from contextlib import suppress
from datetime import date
from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Corrupt, Invalid
from keten.core.ids import is_id, new_id
from keten.vault import frames
from keten.vault.layouts import TABLE_EXPONENT
from keten.vault.record_ids import MAX_KEY, normal_key, record_id, record_tag
from keten.vault.sealed_table import BLOCK, MAX_RECORD, Columns, SealedTable, Value
from keten.vault.table_building import TableBuilder
from keten.vault.table_rows import TableRows, kind_of

KEY = bytes(range(32))
COLUMNS = Columns(("nir", "name", "age"), 0)


class Memory:
    """A blob in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._content[offset : offset + length]

    def close(self) -> None:
        """Nothing to give back."""


class Layout(msgspec.Struct, frozen=True):
    size: int
    frame_size: int
    header: bytes


def opened(content: bytes) -> SealedTable:
    """The content, encrypted and opened again."""
    object_id, key = new_id(), os.urandom(32)
    blob = Memory(b"".join(frames.encrypt([content], key, frames.new_header(object_id, TABLE_EXPONENT))))
    layout = Layout(len(content), BLOCK, frames.fixed_header(object_id, TABLE_EXPONENT))
    return SealedTable(frames.FrameReader(blob, key, layout))


def sealed(folder: Path, rows: list[list[Value]], in_memory: int = 1 << 26) -> bytes:
    with TableBuilder(KEY, COLUMNS, folder, in_memory) as building:
        for number, row in enumerate(rows, start=2):
            building.add(number, row)
        return b"".join(building.content())


def found(table: SealedTable, key: object) -> list[Value] | None:
    return table.find(record_tag(KEY, normal_key(key)))


def test_every_record_is_found_and_nothing_else(tmp_path: Path) -> None:
    rows: list[list[Value]] = [[f"{n:05d}", f"Naam {n}", n % 90] for n in range(20_000)]
    table = opened(sealed(tmp_path, rows))
    assert (table.records, table.columns) == (20_000, COLUMNS)
    for n in (0, 1, 19_999, *random.Random(1).sample(range(20_000), 200)):
        assert found(table, f"{n:05d}") == [f"{n:05d}", f"Naam {n}", n % 90]
        assert found(table, f"{n:06d}") is None
    for tag in (b"\0" * 16, b"\xff" * 16):
        assert table.find(tag) is None


def test_spilling_changes_nothing(tmp_path: Path) -> None:
    rows: list[list[Value]] = [[n, "é" * (n % 50), None if n % 7 else 1.5] for n in range(3000)]
    chance = random.Random(2)
    chance.shuffle(rows)
    whole = sealed(tmp_path, rows)
    chance.shuffle(rows)
    assert sealed(tmp_path, rows, in_memory=10_000) == whole, "nor does the order of the source"
    assert list(tmp_path.iterdir()) == [], "nothing of it is left"
    assert found(opened(whole), 2999) == [2999, "é" * 49, None if 2999 % 7 else 1.5]


@given(st.dictionaries(st.integers(0, 10**12), st.text(max_size=40) | st.none() | st.booleans() | st.integers(0, 5)))
def test_any_values_come_back(tmp_path_factory: pytest.TempPathFactory, values: dict[int, Value]) -> None:
    try:
        rows: list[list[Value]] = [[key, value, 0] for key, value in values.items()]
        table = opened(sealed(tmp_path_factory.getbasetemp(), rows))
    except UnicodeEncodeError:
        return  # half a surrogate is no text
    assert table.records == len(values)
    for key, value in values.items():
        assert found(table, key) == [key, value, 0]


def test_an_empty_table_holds_nothing(tmp_path: Path) -> None:
    table = opened(sealed(tmp_path, []))
    assert table.records == 0
    assert found(table, "x") is None


def test_nobody_reads_an_order_or_a_key_from_it(tmp_path: Path) -> None:
    rows: list[list[Value]] = [[f"sleutel-{n}", "x", n] for n in range(5000)]
    table = opened(sealed(tmp_path, rows))
    order = sorted(range(5000), key=lambda n: record_tag(KEY, f"sleutel-{n}"))
    assert order[:20] != sorted(order[:20])
    other = record_tag(bytes(32), "sleutel-7")
    assert table.find(other) is None, "another dataset's key makes other ids"
    assert is_id(record_id(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [("AB-1", " ab-1 "), ("ﬁle", "FILE"), ("Å", "A\u030a"), ("12", 12), ("ẞ", "ss")],
)
def test_keys_that_people_take_for_the_same_are(one: object, other: object) -> None:
    assert normal_key(one) == normal_key(other)


@pytest.mark.parametrize(
    "key", ["", "  ", None, 1.5, True, b"x", "a\0b", "a\nb", "x" * (MAX_KEY + 1), "\ud800", "\u202ex"]
)
def test_what_is_no_key(key: object) -> None:
    with pytest.raises(Invalid) as caught:
        normal_key(key)
    assert caught.value.code == "record-key"


def test_rows_that_cannot_be_are_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"Row 3, column 'nir'"):
        sealed(tmp_path, [["1", "a", 1], ["", "b", 2]])
    with pytest.raises(Invalid, match=r"Rows 2, 4 have the same key"):
        sealed(tmp_path, [["x1", "a", 1], ["2", "b", 2], ["X1 ", "c", 3]])
    with pytest.raises(Invalid, match=r"Row 2 has more than"):
        sealed(tmp_path, [["1", "a" * MAX_RECORD, 1]])


def test_damage_is_never_a_record(tmp_path: Path) -> None:
    content = sealed(tmp_path, [[str(n), "x", n] for n in range(100)])
    chance = random.Random(3)
    for _ in range(300):
        damaged = bytearray(content)
        place = chance.choice((chance.randrange(4000), chance.randrange(len(content) - 200, len(content))))
        damaged[place] ^= 1 << chance.randrange(8)
        with suppress(Corrupt):
            table = opened(bytes(damaged))
            for n in range(0, 100, 7):
                record = found(table, str(n))
                assert record is None or isinstance(record, list)
    with pytest.raises(Corrupt, match="damaged"):
        opened(b"no table at all")


# ---- sources -------------------------------------------------------------------------------------------------------


def rows_of(path: Path) -> tuple[list[str], list[list[Value]]]:
    with path.open("rb", buffering=0) as stream, TableRows(stream, path.name) as rows:
        return rows.names, list(rows)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"a,b\n1,2\n3,4\n", [["1", "2"], ["3", "4"]]),
        (b'a;b\r\n007;"x;""y"""\r\n', [["007", 'x;"y"']]),
        (b"\xef\xbb\xbfa\tb\n1\t\xc3\xa9", [["1", "é"]]),
        ("a|b\n1|é\n".encode("utf-16"), [["1", "é"]]),
        (b'a,b\n1,"two\nlines"\n\n5,6\n', [["1", "two\nlines"], ["5", "6"]]),
        (b"a,b\n", []),
    ],
)
def test_delimited_text(tmp_path: Path, content: bytes, rows: list[list[str]]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert rows_of(path) == (["a", "b"], rows)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"a,b\n1\n", "row 2 has 1 fields, the first row 2"),
        (b"a,b\n1,2\n1,2,3\n", "row 3 has 3 fields"),
        (b"a,a\n1,2\n", "two columns are named"),
        (b"a,\n1,2\n", "column 2 has no name"),
        (b"a,b\n\xe9,2\n", "not UTF-8"),
        (b'a,b\n1,"2\n', "row 2"),
        (b'a,b\n1,"2"x\n', "row 2"),
        (b"a,b\n1," + b"x" * (2 << 20) + b"\n", "row 2"),
    ],
)
def test_what_is_wrong_is_said_with_its_row(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(Invalid) as caught:
        rows_of(path)
    assert caught.value.code == "table-file"
    assert said in caught.value.public


def test_parquet_and_workbook_give_what_they_hold(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"id": ["01", "02"], "n": [1, None], "x": [1.5, 2.0], "ok": [True, False], "d": [date(2026, 1, 31), None]}
    )
    frame.write_parquet(tmp_path / "t.parquet")
    assert rows_of(tmp_path / "t.parquet") == (
        ["id", "n", "x", "ok", "d"],
        [["01", 1, 1.5, True, "2026-01-31"], ["02", None, 2.0, False, None]],
    )
    nested = pl.DataFrame({"id": ["1"], "some": [[1, 2]]})
    nested.write_parquet(tmp_path / "nested.parquet")
    with pytest.raises(Invalid, match="column 'some'"):
        rows_of(tmp_path / "nested.parquet")


def write_workbook(path: Path, rows: list[list[str | int]]) -> None:
    """The least that is a workbook (ECMA-376): one sheet, texts inline."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"

    def cell(value: str | int) -> str:
        return f"<c><v>{value}</v></c>" if isinstance(value, int) else f'<c t="inlineStr"><is><t>{value}</t></is></c>'

    sheet = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kinds}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="One" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)


def test_a_workbook_gives_texts(tmp_path: Path) -> None:
    write_workbook(tmp_path / "t.xlsx", [["id", "n"], ["007", 1], ["8", 2]])
    assert rows_of(tmp_path / "t.xlsx") == (["id", "n"], [["007", "1"], ["8", "2"]])


@pytest.mark.parametrize("name", ["t.parquet", "t.xlsx"])
@pytest.mark.parametrize("size", [0, 1, 10, 5000])
def test_bytes_that_are_neither(tmp_path: Path, name: str, size: int) -> None:
    path = tmp_path / name
    for seed in range(3):
        content = random.Random(seed).randbytes(size)
        path.write_bytes({0: b"", 1: b"PAR1", 2: b"PK\x03\x04"}[seed] + content)
        with pytest.raises(Invalid) as caught:
            rows_of(path)
        assert caught.value.code == "table-file"


def test_other_files_are_no_tables() -> None:
    with pytest.raises(Invalid, match="CSV, Parquet or XLSX"):
        kind_of("x.pdf")


def test_the_process_that_parses_may_write_no_file(tmp_path: Path) -> None:
    """Law 10, as far as it shows from outside: a parser that is taken over cannot leave anything behind."""
    code = (
        "from keten.vault import table_child as t; t._confine()\n"
        f"try:\n open({str(tmp_path / 'left')!r}, 'w').write('x' * 10_000_000)\n print('written')\n"
        "except OSError as error: print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "written" not in done.stdout
    assert not (tmp_path / "left").exists() or (tmp_path / "left").stat().st_size == 0
