"""The demo's made-up people: nobody's numbers, and files of the form and size that is said."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.cli.demo import content
from keten.vault.records import counter_for


@pytest.mark.parametrize(("number", "valid"), [("111222333", True), ("123456782", True), ("123456789", False)])
def test_the_eleven_test(number: str, valid: bool) -> None:
    assert content.passes(number) is valid


@given(st.integers(0, 2**32), st.integers(1, 300))
def test_no_number_could_be_anybodys(seed: int, count: int) -> None:
    numbers = content.numbers(random.Random(seed), count)
    assert len(set(numbers)) == len(numbers) == count
    assert all(len(one) == 9 and one.isdigit() and not content.passes(one) for one in numbers)


def test_the_whole_register_is_nobodys() -> None:
    people = content.population(content.PEOPLE)
    assert people.height == content.PEOPLE
    assert people["bsn"].n_unique() == content.PEOPLE
    assert not any(content.passes(number) for number in people["bsn"])
    assert people.null_count().transpose().sum().item() == 0
    assert content.population(50).equals(content.population(50))


def test_files_hold_what_is_counted(tmp_path: Path) -> None:
    made = content.make(tmp_path, None, people=3000, export_bytes=3_000_000)
    for path, records in ((made.voters, 3000), (made.people, 3000), (made.rides, content.RIDES)):
        with path.open("rb") as stream:
            counter = counter_for(stream, path.name, "")
            counter.feed(stream.read())
        assert counter.finish() == records, path.name
    assert 3_000_000 <= made.export.stat().st_size < 12_000_000
    assert "bsn" not in pl.read_csv(made.voters).columns  # a card needs none
    assert pl.read_csv(made.export)["bsn"].is_in(pl.read_parquet(made.people)["bsn"].cast(pl.Int64).implode()).all()
    assert made.documents == ()


def test_documents_are_taken_where_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    (folder / "sub").mkdir(parents=True)
    for name in ("b.doc", "a.pst", "README.md"):
        (folder / name).write_text(name)
    made = content.make(tmp_path, folder, people=10, export_bytes=1)
    assert [path.name for path in made.documents] == ["a.pst", "b.doc"]
