"""What a file would change, in sentences: every kind of row and of change, in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keten.console.difference import ENDS_SHOWN, SHOWN, Difference, difference
from keten.pages.words import LANGUAGES, Words
from keten.suppliers.changes import CHANGED, DECLARED, ENDED, KEPT_ENDED, MAX_WITH_FIELDS, summaries
from keten.suppliers.estate import Estate
from tests.unit.suppliers.estates import estates
from tests.unit.suppliers.instances import ESTATE, Instance
from tests.unit.suppliers.test_round_trips import fresh

KINDS = ("organisation", "supplier", "person", "client", "contract", "system", "dataset", "grant")


def words(language: str = "en") -> Words:
    return Words(language, room="console")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    made = Instance(tmp_path)
    yield made
    made.engine.dispose()
    made.reader.dispose()


def told(instance: Instance, estate: Estate | str, language: str = "en") -> Difference:
    planned = instance.plan(estate)
    return difference(words(language), summaries(planned.changes, planned.names))


def sentences(found: Difference) -> list[str]:
    groups = (found.ends, found.changes, found.comes, found.kept)
    return [text for group in groups for line in group.lines for text in (line.text, *line.details)]


def test_a_first_estate(instance: Instance) -> None:
    found = told(instance, ESTATE)
    assert not found.nothing
    said = sentences(found)
    for there in (
        "Gemeente Voorbeeld",
        "becomes a supplier, by the name drukwerk.",
        "drukwerk-batch becomes a system account of drukwerk.",
        "The contract vwo-2026-014 with drukwerk runs from 2026-01-01 to 2026-12-31.",
        "voters becomes a dataset of dpo: confidential.",
        "kept for: 90 days",
        "dpo becomes one of the organisation's people, as privacy officer.",
        "drukwerk-ops becomes a person of drukwerk, as member.",
    ):
        assert any(there in one for one in said), (there, said)
    assert "@" not in " ".join(said)


def test_what_changes(instance: Instance) -> None:
    instance.apply(ESTATE)
    changed = ESTATE.replace("retention_days: 90", "retention_days: 0").replace("ends: 2026-12-31", "ends: 2027-12-31")
    changed = changed.replace("dpo@", "other@")
    (dataset,) = (line for line in told(instance, changed).changes.lines if "dataset" in line.text)
    assert dataset.details == ("kept for: was 90 days, becomes no end is set",)
    said = sentences(told(instance, changed))
    assert "end: was 2026-12-31, becomes 2027-12-31" in said
    assert "another e-mail address, which is not shown" in said
    assert told(instance, ESTATE).nothing


def test_where_a_suppliers_systems_are(instance: Instance) -> None:
    instance.apply(ESTATE)
    with_places = ESTATE.replace(
        "    tier: high\n", "    tier: high\n    networks: [192.0.2.0/24]\n    hosts: [f.example.org]\n"
    )
    (line,) = told(instance, with_places).changes.lines
    assert line.details == (
        "networks: was not known, becomes 192.0.2.0/24",
        "hosts: was not known, becomes f.example.org",
    )


def test_lists_say_what_comes_and_goes() -> None:
    one = {"kind": "contract", "name": "c", "id": "", "change": CHANGED}
    found = difference(words(), [one | {"fields": {"countries": [["BE", "NL"], ["DE", "NL"]]}}])
    assert found.changes.lines[0].details == ("countries: no longer BE; now also DE",)
    found = difference(words(), [one | {"fields": {"countries": [None, ["NL"]]}}])
    assert found.changes.lines[0].details == ("countries: was from anywhere, becomes NL",)
    found = difference(words("nl"), [one | {"fields": {"countries": [["NL"], None]}}])
    assert found.changes.lines[0].details == ("landen: was NL, wordt overal vandaan",)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_sentences(kind: str, language: str) -> None:
    changes: list[dict[str, Any]] = [
        {"kind": kind, "name": "the-name", "id": "", "change": change, "fields": {}}
        for change in (DECLARED, CHANGED, ENDED, KEPT_ENDED)
        if kind != "organisation" or change == CHANGED
    ]
    found = sentences(difference(words(language), changes))
    assert len(found) == len(changes)
    assert all("the-name" in one or kind == "organisation" for one in found)
    assert not any("%(" in one for one in found)


@given(estates(), estates(), st.sampled_from(sorted(LANGUAGES)))
@settings(max_examples=30, deadline=None)
def test_whatever_changes_it_is_said(first: Estate, second: Estate, language: str) -> None:
    with fresh() as instance:
        instance.apply(first)
        found = told(instance, second, language)
        counted = sum(group.count for group in (found.ends, found.changes, found.comes, found.kept))
        planned = instance.plan(second)
        assert counted == len(planned.changes)
        for one in sentences(found):
            assert not re.search(r"%\(|\{|\bNone\b|Struct", one), one
        assert all(line.details for line in found.changes.lines), "each change says what changes"


def test_of_very_much_the_first_are_shown_and_all_are_counted() -> None:
    many = [
        {"kind": "grant", "name": f"g{at}", "id": "", "change": change, "fields": {}}
        for change in (DECLARED, ENDED)
        for at in range(MAX_WITH_FIELDS + 1)
    ]
    found = difference(words(), many)
    assert (found.ends.count, len(found.ends.lines)) == (MAX_WITH_FIELDS + 1, ENDS_SHOWN)
    assert (found.comes.count, len(found.comes.lines)) == (MAX_WITH_FIELDS + 1, SHOWN)
