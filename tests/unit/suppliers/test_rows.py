"""The register's tables and kinds of entry."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import inspect

from keten.ledger.kinds import kinds
from keten.suppliers.rows import BY_WORD
from tests.unit.suppliers.instances import ESTATE, Instance

VERBS: dict[str, tuple[str, ...]] = {
    "organisation": ("declared", "changed"),
    "supplier": ("declared", "changed", "ended", "frozen", "released"),
    "contract": ("declared", "changed", "ended"),
    "grant": ("declared", "changed", "confirmed", "ended"),
}


@pytest.mark.parametrize("noun", list(VERBS))
def test_every_kind_of_entry_is_registered(noun: str) -> None:
    names = {name for name in kinds() if name.startswith(f"suppliers.{noun}.")}
    assert names == {f"suppliers.{noun}.{verb}" for verb in VERBS[noun]}


def test_an_organisation_does_not_end() -> None:
    assert set(BY_WORD) == {"supplier", "person", "client", "contract", "system", "dataset", "grant"}


def test_what_an_access_asks_is_found_by_an_index(instance: Instance) -> None:
    found = {tuple(index["column_names"]) for index in inspect(instance.engine).get_indexes("grants")}
    assert {("dataset", "supplier"), ("supplier",), ("contract",), ("name",)} <= found
    with instance.reader.connect() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT id FROM grants WHERE dataset = 'a' AND supplier = 'b'"
        ).all()
    assert any("ix_grants_dataset_supplier" in str(step) for step in plan)


def test_entries_name_all_that_they_concern(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    refs = {}
    for raw in instance.payloads():
        payload = json.loads(raw)
        refs[payload["kind"].removesuffix(".declared")] = payload["refs"]
    supplier, contract = ids["supplier"]["drukwerk"], ids["contract"]["vwo-2026-014"]
    assert refs["suppliers.contract"] == {"contract": contract, "supplier": supplier}
    assert refs["suppliers.grant"] == {
        "grant": ids["grant"]["voters-for-drukwerk"],
        "dataset": ids["dataset"]["voters"],
        "contract": contract,
        "supplier": supplier,
    }
    assert refs["datasets.dataset"] == {"dataset": ids["dataset"]["voters"]}
