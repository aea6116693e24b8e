"""Datasets as rows of the register."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import inspect

from keten.core.db import metadata
from keten.core.ids import encode_id
from keten.datasets.model import CLASSIFICATIONS, Dataset
from keten.datasets.rows import datasets
from keten.ledger.bound import bound_tables, values
from keten.ledger.kinds import kinds

DATASET = Dataset(id=encode_id(b"\x01" * 16), name="voters", owner="", classification="secret", retention_days=90)


@pytest.mark.parametrize("verb", ["declared", "changed", "ended"])
def test_every_kind_of_entry_is_registered(verb: str) -> None:
    assert set(kinds()[f"datasets.dataset.{verb}"].details) == {"table", "row", "before", "after"}


def test_datasets_are_bound_to_the_ledger() -> None:
    table, kind = bound_tables()["datasets"]
    assert kind is Dataset
    assert metadata.tables["datasets"] is table
    assert {tuple(column.name for column in index.columns) for index in table.indexes} == {("name",)}
    assert inspect(table).primary_key.columns.keys() == ["id"]


def test_the_body_is_the_whole_row() -> None:
    table, _kind = bound_tables()["datasets"]
    stored = values(table, DATASET)
    assert set(stored) == {"id", "name", "body"}
    assert msgspec.json.decode(stored["body"], type=Dataset) == DATASET


def test_its_word_is_that_of_the_estate_file() -> None:
    assert datasets.word == "dataset"


def test_classes_go_from_open_to_closed() -> None:
    assert CLASSIFICATIONS == ("public", "internal", "confidential", "secret")
