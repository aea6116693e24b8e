"""Media types by name."""

from __future__ import annotations

import mimetypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.vault.media import UNKNOWN, media_type_of
from keten.vault.rules import check_media_type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kiezers.csv", "text/csv"),
        ("KIEZERS.CSV", "text/csv"),
        ("a.b.parquet", "application/vnd.apache.parquet"),
        ("a.pdf", "application/pdf"),
        ("a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.csv.gz", "application/gzip"),
        ("a.tar.gz", "application/gzip"),
        ("a", UNKNOWN),
        (".csv", "text/csv"),
        ("csv", UNKNOWN),
        ("a.unheard-of", UNKNOWN),
        ("a.", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_types(name: str, expected: str) -> None:
    assert media_type_of(name) == expected


def test_the_machine_has_no_say() -> None:
    mimetypes.add_type("application/x-elsewhere", ".unheard-of")
    try:
        assert media_type_of("a.unheard-of") == UNKNOWN
    finally:
        mimetypes.init()


@given(st.text(max_size=30))
def test_any_name_has_a_type_that_can_be_stored(name: str) -> None:
    assert check_media_type(media_type_of(name)) == media_type_of(name)
