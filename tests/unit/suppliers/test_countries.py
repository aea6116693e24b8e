"""The list of countries, against the one that the time zone database ships."""

from __future__ import annotations

from importlib import resources

import pytest

from keten.suppliers.countries import COUNTRIES, meant


def test_the_list_is_that_of_iso_3166() -> None:
    table = resources.files("tzdata").joinpath("zoneinfo/iso3166.tab").read_text(encoding="utf-8")
    codes = {line.split("\t")[0] for line in table.splitlines() if line and not line.startswith("#")}
    assert codes == COUNTRIES
    assert len(COUNTRIES) == 249


@pytest.mark.parametrize(
    ("written", "right"), [("nl", "NL"), ("UK", "GB"), ("el", "GR"), ("EU", ""), ("", ""), ("NLD", ""), ("ß", "")]
)
def test_what_was_meant(written: str, right: str) -> None:
    assert meant(written) == right
