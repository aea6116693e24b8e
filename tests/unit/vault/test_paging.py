"""Objects of a dataset by name, some at a time: in order, each once, whatever changes meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from keten.core.errors import Corrupt
from keten.core.ids import new_id
from keten.vault import paging, rules
from keten.vault import service as vault
from keten.vault.tables import objects
from tests.unit.vault.house import House, Set, code_of, tamper

NAMES = [f"{n:03}.csv" for n in range(10)]


@pytest.fixture
def dataset(house: House) -> Set:
    """Ten files, put out of order, beside another dataset with the same names."""
    found, other = Set(new_id()), Set(new_id())
    for name in [*NAMES[5:], *NAMES[:5]]:
        house.put(found, name, name.encode())
        house.put(other, name, name.encode())
    return found


def names_after(house: House, dataset: Set, after: str, limit: int) -> tuple[list[str], paging.Some]:
    with house.reading() as connection:
        some = paging.present_after(connection, dataset.id, after, limit)
    return [one.name for one in some.objects], some


def test_in_order_and_to_the_end(house: House, dataset: Set) -> None:
    names, some = names_after(house, dataset, "", 4)
    assert (names, some.last, some.read, some.more, some.damaged) == (NAMES[:4], NAMES[3], 4, True, ())
    names, some = names_after(house, dataset, NAMES[3], 6)
    assert (names, some.more) == (NAMES[4:], False)
    assert names_after(house, dataset, NAMES[-1], 4) == ([], paging.Some(last=NAMES[-1]))
    assert names_after(house, Set(new_id()), "", 4) == ([], paging.Some())


LETTERS = st.characters(codec="utf-8", categories=["L", "N", "So"])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(LETTERS, min_size=1, max_size=3), max_size=8, unique_by=rules.name_key))
def test_every_name_comes_once_in_the_order_of_all(house: House, names: list[str]) -> None:
    dataset = Set(new_id())
    for name in names:
        house.put(dataset, name, name.encode())
    with house.reading() as connection:
        everything = sorted(one.name for one in vault.objects_of(connection, dataset.id))
    seen: list[str] = []
    while True:
        some = names_after(house, dataset, seen[-1] if seen else "", 2)[1]
        seen += [one.name for one in some.objects]
        if not some.more:
            break
    assert seen == everything


def test_changes_between_pages_touch_no_other_object(house: House, dataset: Set) -> None:
    first, some = names_after(house, dataset, "", 4)
    house.put(dataset, "000a.csv", b"before the place")
    house.put(dataset, "005a.csv", b"after it")
    house.put(dataset, NAMES[6], b"other content", replace=True)
    with house.reading() as connection:
        last, gone = (paging.named(connection, dataset.id, name) for name in (some.last, NAMES[7]))
    assert last is not None
    assert gone is not None
    with house.writing() as writing:
        for one in (last, gone):  # also the very object at which the page ended
            vault.destroy_object(writing, one.id, "old", "operator:test")
    rest, _some = names_after(house, dataset, some.last, 100)
    assert first + rest == [*NAMES[:6], "005a.csv", NAMES[6], *NAMES[8:]]


def test_a_damaged_row_is_left_out_and_named(house: House, dataset: Set) -> None:
    with house.reading() as connection:
        found = paging.named(connection, dataset.id, NAMES[3])
    assert found is not None
    tamper(house, update(objects).where(objects.c.id == found.id).values(body=b"{}"))
    names, some = names_after(house, dataset, "", 4)
    assert (names, some.last, some.more, some.damaged) == (NAMES[:3], NAMES[3], True, (found.id,))
    tamper(house, update(objects).where(objects.c.id == found.id).values(name="zzz"))
    assert names_after(house, dataset, NAMES[8], 4)[1].damaged == (found.id,)


def test_one_by_name(house: House, dataset: Set) -> None:
    with house.reading() as connection:
        found = paging.named(connection, dataset.id, NAMES[2])
        assert found is not None
        assert (found.name, found.dataset) == (NAMES[2], dataset.id)
        for other, name in ((dataset.id, "002.CSV"), (dataset.id, ""), (dataset.id, "%"), (new_id(), NAMES[2])):
            assert paging.named(connection, other, name) is None
    tamper(house, update(objects).where(objects.c.id == found.id).values(body=b"{}"))
    with house.reading() as connection:
        assert code_of(Corrupt, lambda: paging.named(connection, dataset.id, NAMES[2])) == "register-mismatch"


def test_both_are_found_by_an_index_and_nothing_is_sorted(house: House, dataset: Set) -> None:
    """So a page costs what the page costs."""
    said: list[str] = []
    with house.reading() as connection:
        raw: Any = connection.connection.dbapi_connection
        raw.set_trace_callback(said.append)
        paging.present_after(connection, dataset.id, NAMES[3], 2)
        paging.named(connection, dataset.id, NAMES[3])
        raw.set_trace_callback(None)
        queries = [one for one in said if one.startswith("SELECT")]
        plans = [[str(row[3]) for row in raw.execute(f"EXPLAIN QUERY PLAN {one}")] for one in queries]
    assert len(plans) == 2
    for plan in plans:
        assert plan[0].startswith(
            "SEARCH objects USING INDEX ix_objects_dataset_state_name (dataset=? AND state=? AND name"
        )
        assert not [step for step in plan[:-1] if "SCAN" in step], plan
    assert not [step for step in plans[0] if "TEMP B-TREE" in step]
