"""The present estate as a file: applied again it changes nothing, whatever was applied and ended before."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from sqlalchemy import text

from keten.core.errors import Corrupt, Invalid
from keten.suppliers import service
from keten.suppliers.changes import KEPT_ENDED
from keten.suppliers.estate import Estate
from keten.suppliers.present import text_of
from keten.suppliers.reading import parse
from tests.unit.suppliers.instances import ESTATE, Instance
from tests.unit.suppliers.test_round_trips import STEPS, Key, fresh


def present(instance: Instance) -> str:
    with instance.reader.connect() as connection:
        return text_of(service.present(connection), "The register as it is")


@given(STEPS)
@settings(max_examples=25)
def test_what_is_written_out_changes_nothing_when_applied(steps: list[Estate | Key]) -> None:
    with fresh() as instance:
        ids: dict[Key, str] = {}
        for step in steps:
            if isinstance(step, tuple):
                if step in ids:
                    instance.end(step[0], ids[step])
                continue
            applied = instance.apply(step)
            ids |= {(kind, name): row for kind, named in applied.ids.items() for name, row in named.items()}
        if not ids:
            return
        planned = instance.plan(present(instance))
        assert {one.change for one in planned.changes} <= {KEPT_ENDED}
        size = instance.size()
        instance.apply(present(instance))
        assert instance.size() == size


def test_no_address_is_in_it_and_each_stays_as_it_was(instance: Instance) -> None:
    instance.apply(ESTATE)
    file = present(instance)
    assert "@" not in file
    assert "email: unchanged" in file
    longer = file.replace("retention_days: 90", "retention_days: 91")
    assert longer != file
    (change,) = instance.apply(longer).changes
    assert (change["kind"], change["change"]) == ("dataset", "changed")
    assert instance.apply(ESTATE).changes[0]["fields"] == {"retention_days": [91, 90]}, "the addresses are still there"


def test_somebody_new_has_an_address(instance: Instance) -> None:
    instance.apply(ESTATE)
    more = present(instance).replace("people:\n", "people:\n  - {id: newcomer, email: unchanged}\n", 1)
    with pytest.raises(Invalid) as caught:
        instance.apply(more)
    line = more[: more.index("newcomer")].count("\n") + 1
    assert caught.value.public == (
        f"estate.yaml:{line}: person 'newcomer': an e-mail address that is 'unchanged' needs one in the register; "
        "write it"
    )


def test_what_has_ended_and_is_still_named_says_so(instance: Instance) -> None:
    applied = instance.apply(ESTATE)
    instance.end("contract", applied.ids["contract"]["vwo-2026-014"], "it is over # and: more")
    instance.end("client", applied.ids["client"]["vervoer-app"], "nobody names it")
    file = present(instance)
    assert "  # ended " in file
    assert "it is over # and: more" in file
    assert "vervoer-app" not in file
    assert {one.change for one in instance.plan(file).changes} == {KEPT_ENDED}


def test_of_a_register_that_does_not_hold_no_file_is_made(instance: Instance) -> None:
    """It would leave something out, and so end it."""
    instance.apply(ESTATE)
    with instance.engine.begin() as connection:
        connection.execute(text("UPDATE suppliers SET body = replace(body, 'high', 'low')"))
    with pytest.raises(Corrupt):
        present(instance)


def test_what_changed_since_somebody_looked(instance: Instance) -> None:
    instance.apply(ESTATE)
    with instance.reader.connect() as connection:
        seen = service.base(connection)
        assert service.changed_since(connection, seen, 10) == []
    instance.apply(ESTATE.replace("retention_days: 90", "retention_days: 30"))
    with instance.reader.connect() as connection:
        kinds = [entry.kind for entry in service.changed_since(connection, seen, 10)]
        assert kinds == ["datasets.dataset.changed"]
        assert len(service.changed_since(connection, 0, 3)) == 3


def test_each_item_stands_at_its_line(instance: Instance) -> None:
    instance.apply(ESTATE)
    file = present(instance)
    estate = parse(file.encode(), "estate.yaml")
    lines = file.splitlines()
    for supplier in estate.suppliers:
        assert supplier.id in lines[supplier.line - 1]
    for grant in estate.grants:
        assert grant.id in lines[grant.line - 1]
