"""Systems, and datasets that stay in one: what the estate says of them, and what becomes of it in the register."""

from __future__ import annotations

import pytest

from keten.core.errors import Invalid
from keten.suppliers.changes import render
from keten.suppliers.reading import parse
from tests.unit.suppliers.instances import ESTATE, Instance

SYSTEMS = """
systems:
  - {id: burgerzaken, name: Burgerzaken, kind: postgres, owner: dpo}
  - {id: archive, name: The archive, kind: sqlite, owner: dpo}
"""
DATASET = """
  - id: citizens
    owner: dpo
    classification: confidential
    retention_days: 0
    source: {system: burgerzaken, table: public.citizens, key: bsn, columns: [{name: bsn, category: identifier}]}
"""


def estate(systems: str = SYSTEMS, dataset: str = DATASET) -> str:
    head, _, rest = ESTATE.partition("datasets:\n")
    return f"{head}{systems.lstrip()}datasets:\n{dataset.lstrip(chr(10))}{rest}"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("kind: postgres", "kind: oracle", "unknown kind 'oracle'"),
        ("kind: postgres, owner: dpo", "kind: postgres, owner: nobody", "unknown person 'nobody'"),
        ("kind: postgres, owner: dpo", "kind: postgres, owner: drukwerk-ops", "one of the organisation's own people"),
        ("id: archive", "id: burgerzaken", "the system id 'burgerzaken' is used already"),
        ("system: burgerzaken", "system: burgerzaak", "unknown system 'burgerzaak'"),
        ("table: public.citizens", "table: citizens", "named with its schema"),
        ("table: public.citizens", "table: public.", "named with its schema"),
        ("table: public.citizens, key: bsn", "table: public.citizens, key: name", "unknown column 'name'"),
        ("columns: [{name: bsn, category: identifier}]", "columns: []", "at least one column"),
        (", key: bsn", ", url: x, key: bsn", "unknown key 'url'"),
        ("table: public.citizens, ", "", "the key 'table' is missing"),
        ("retention_days: 0\n    source", "retention_days: 30\n    source", "keeps its own content"),
        ("    source:", "    table: {key: a, columns: [{name: a, category: other}]}\n    source:", "not both"),
    ],
)
def test_mistakes_are_told(before: str, after: str, said: str) -> None:
    text = estate()
    assert before in text
    with pytest.raises(Invalid) as refused:
        parse(text.replace(before, after, 1).encode(), "estate.yaml")
    assert said in refused.value.public, refused.value.public


def test_a_system_comes_and_goes(instance: Instance) -> None:
    first = instance.apply(estate())
    assert {"system", "dataset"} <= {one["kind"] for one in first.changes}
    shown = "\n".join(render(first.changes))
    assert "source: {system: burgerzaken, table: public.citizens}" in shown
    assert "kind: postgres" in shown
    assert instance.apply(estate()).changes == []
    moved = instance.apply(estate(dataset=DATASET.replace("public.citizens", "app.citizens")))
    assert [(one["kind"], one["change"]) for one in moved.changes] == [("dataset", "changed")]
    register = instance.register()
    dataset = register.dataset(first.ids["dataset"]["citizens"])
    assert dataset is not None
    assert dataset.is_table
    assert dataset.source is not None
    assert (dataset.source.system, dataset.source.table) == (first.ids["system"]["burgerzaken"], "app.citizens")
    register.close()
    gone = instance.apply(estate(systems="", dataset=""))
    assert {(one["kind"], one["name"], one["change"]) for one in gone.changes} == {
        ("system", "burgerzaken", "ended"),
        ("system", "archive", "ended"),
        ("dataset", "citizens", "ended"),
    }
    back = instance.apply(estate())
    assert {one["change"] for one in back.changes} == {"kept-ended"}, "what ended stays ended (law 6)"


def test_what_keeps_its_own_content_needs_no_retention(instance: Instance) -> None:
    without = DATASET.replace("    retention_days: 0\n", "")
    assert "retention_days" not in without
    first = instance.apply(estate(dataset=without))
    assert instance.apply(estate()).changes == [], "0 is the same"
    assert "citizens" in first.ids["dataset"]
    put = without.replace("source: {system: burgerzaken, table: public.citizens,", "table: {")
    with pytest.raises(Invalid, match="the key 'retention_days' is missing"):
        parse(estate(dataset=put).encode(), "estate.yaml")
