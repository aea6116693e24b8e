"""Whatever estate is applied after whatever others: the register is what it says, and what ended stays ended."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from keten.core.clock import SECOND
from keten.suppliers.changes import KEPT_ENDED
from keten.suppliers.estate import Estate, decode, encode
from keten.suppliers.mistakes import Mistakes
from keten.suppliers.model import Grant
from keten.suppliers.moments import end_us, zone
from keten.suppliers.reading import parse
from keten.suppliers.rules import check
from tests.unit.suppliers.estates import (
    CLIENTS,
    CONTRACTS,
    DATASETS,
    GRANTS,
    PEOPLE,
    SUPPLIERS,
    estates,
    without_lines,
    written,
)
from tests.unit.suppliers.instances import Instance

Key = tuple[str, str]
REVOCABLE = (
    [("supplier", name) for name in SUPPLIERS]
    + [("contract", name) for name in CONTRACTS]
    + [("client", name) for name in CLIENTS]
    + [("person", name) for name in PEOPLE]
    + [("grant", name) for name in GRANTS]
    + [("dataset", name) for name in DATASETS]
)


@contextmanager
def fresh() -> Iterator[Instance]:
    """A register of its own for each example."""
    with tempfile.TemporaryDirectory(prefix="keten-") as folder:
        instance = Instance(Path(folder))
        try:
            yield instance
        finally:
            instance.engine.dispose()
            instance.reader.dispose()


def rows_of(estate: Estate) -> set[Key]:
    people = [*estate.people, *(one for supplier in estate.suppliers for one in supplier.people)]
    clients = [one for supplier in estate.suppliers for one in supplier.clients]
    return (
        {("supplier", one.id) for one in estate.suppliers}
        | {("person", one.id) for one in people}
        | {("client", one.id) for one in clients}
        | {("contract", one.id) for one in estate.contracts}
        | {("dataset", one.id) for one in estate.datasets}
        | {("grant", one.id) for one in estate.grants}
    )


@given(estates())
@settings(max_examples=60)
def test_an_estate_is_read_as_it_was_written(estate: Estate) -> None:
    mistakes = Mistakes()
    check(estate, mistakes)
    assert mistakes.found == []
    assert without_lines(parse(written(estate).encode(), "estate.yaml")) == without_lines(estate)
    assert decode(encode(estate)) == estate


@given(estates())
@settings(max_examples=20)
def test_what_was_applied_is_the_plan_no_more(estate: Estate) -> None:
    with fresh() as instance:
        planned = instance.plan(estate)
        applied = instance.apply(estate)
        assert [(one.change, one.kind, one.name) for one in planned.changes] == [
            (one["change"], one["kind"], one["name"]) for one in applied.changes
        ]
        assert instance.plan(estate).changes == []
        size = instance.size()
        assert instance.apply(written(estate)).changes == []
        assert instance.size() == size == len(applied.changes)


STEPS = st.lists(estates() | st.sampled_from(REVOCABLE), min_size=2, max_size=7)


@given(STEPS)
@settings(max_examples=25)
def test_any_sequence_of_estates_and_revocations(steps: list[Estate | Key]) -> None:
    """Against a model of sets: what lives, and what is over."""
    live: set[Key] = set()
    over: set[Key] = set()
    ids: dict[Key, str] = {}
    with fresh() as instance:
        for step in steps:
            if isinstance(step, tuple):
                if step in ids:
                    assert instance.end(step[0], ids[step]).already == (step in over)
                    live.discard(step)
                    over.add(step)
                continue
            applied = instance.apply(step)
            wanted = rows_of(step)
            told = {(one["kind"], one["name"]): one["change"] for one in applied.changes}
            assert {key for key, change in told.items() if change == KEPT_ENDED} == wanted & over
            assert {key for key, change in told.items() if change == "ended"} == live - wanted
            assert {key for key, change in told.items() if change == "declared" and key[0] != "organisation"} == (
                wanted - live - over
            )
            over |= live - wanted
            live = wanted - over
            for kind, named in applied.ids.items():
                for name, row_id in named.items():
                    if kind != "organisation":
                        assert ids.setdefault((kind, name), row_id) == row_id
            agrees(instance, step, live, over)


def agrees(instance: Instance, estate: Estate, live: set[Key], over: set[Key]) -> None:
    """The register says what the estate says, as far as it lives."""
    where = zone(estate.organisation.timezone)
    assert where is not None
    with instance.register() as register:
        for kind, name in live | over:
            row = register.named(kind, name)
            assert row is not None
            assert (row.ended is None) == ((kind, name) in live)
        for contract in estate.contracts:
            if ("contract", contract.id) in live:
                row = register.named("contract", contract.id)
                assert row is not None
                found = register.contract(row.id)
                assert found is not None
                assert found.ends_us == end_us(contract.ends, where)
                assert set(found.purposes) == set(contract.purposes)
        for spec in estate.grants:
            if ("grant", spec.id) in live:
                grant = register.named("grant", spec.id)
                assert isinstance(grant, Grant)
                assert grant in register.grants(grant.dataset, grant.supplier)
                limits = [one for one in (spec.budget, *spec.budgets) if one is not None]
                assert [(one.records, one.per) for one in grant.limits] == [(one.records, one.per) for one in limits]
                goes_on = [(one.then, one.most) if one.then not in ("", "stop") else None for one in limits]
                assert [(one.beyond.then, one.beyond.most) if one.beyond else None for one in grant.limits] == goes_on
                pauses = [one.beyond.every_us for one in grant.limits if one.beyond and one.beyond.then == "delay"]
                assert pauses == [(300 if one.every else 60) * SECOND for one in limits if one.then == "delay"]
                addressed = {client.name for client in map(register.client, grant.to) if client}
                assert addressed == set(spec.to or ())
                assert grant.label == (spec.label or spec.purpose)
