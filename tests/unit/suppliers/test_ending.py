"""What ends, by an estate without it or by a revocation, stays ended whatever is applied afterwards (law 6)."""

from __future__ import annotations

import pytest

from keten.core.errors import Invalid, NotFound
from keten.suppliers import service
from tests.unit.suppliers.instances import ACTOR, ESTATE, Instance, told


def test_what_is_left_out_ends_for_good(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    shorter = ESTATE[: ESTATE.index("grants:")]
    applied = instance.apply(shorter)
    assert told(applied.changes) == {("ended", "grant", "voters-for-drukwerk")}
    with instance.register() as register:
        grant = register.grant(ids["grant"]["voters-for-drukwerk"])
        assert grant is not None
        assert grant.ended is not None
        assert (grant.ended.reason, grant.ended.by) == (service.NOT_IN_ESTATE, ACTOR)
        assert grant.ended.at_us == instance.now_us
    assert instance.apply(shorter).changes == []
    # and back in the file, it is said aloud that it stays so
    size = instance.size()
    again = instance.apply(ESTATE)
    assert told(again.changes) == {("kept-ended", "grant", "voters-for-drukwerk")}
    assert instance.size() == size
    anew = instance.apply(ESTATE.replace("id: voters-for-drukwerk", "id: voters-again"))
    assert told(anew.changes) == {("declared", "grant", "voters-again")}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("supplier", "drukwerk"),
        ("contract", "vwo-2026-014"),
        ("client", "drukwerk-batch"),
        ("person", "drukwerk-ops"),
        ("grant", "voters-for-drukwerk"),
        ("dataset", "voters"),
    ],
)
def test_no_estate_revives_what_was_revoked(instance: Instance, kind: str, name: str) -> None:
    ids = instance.apply(ESTATE).ids
    ending = instance.end(kind, ids[kind][name])
    assert not ending.already
    assert ending.index == instance.size() - 1
    for estate in (ESTATE, ESTATE.replace("tier: high", "tier: critical").replace("2026-12-31", "2027-12-31"), ESTATE):
        applied = instance.apply(estate)
        assert ("kept-ended", kind, name) in told(applied.changes)
        assert applied.ids[kind][name] == ids[kind][name]
    with instance.register() as register:
        row = register.named(kind, name)
        assert row == ending.row  # nor did anything else about it change
        assert row is not None
        assert row.ended is not None
        assert row.ended.reason == "stolen key"


def test_ending_twice_is_told_apart_and_recorded_once(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    first = instance.end("client", ids["client"]["drukwerk-batch"], "lost laptop")
    size = instance.size()
    again = instance.end("client", ids["client"]["drukwerk-batch"], "again")
    assert again.already
    assert again.index is None
    assert again.row == first.row
    assert instance.size() == size


def test_two_endings_of_one_row_in_one_transaction_are_told_apart(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    grant = ids["grant"]["voters-for-drukwerk"]
    size = instance.size()
    both = instance.write(
        lambda writing: [service.end(writing, "grant", grant, f"number {at}", ACTOR) for at in (1, 2)]
    )
    assert [one.already for one in both] == [False, True]
    assert instance.size() == size + 1


def test_ending_a_supplier_leaves_its_contracts_as_they_are(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    size = instance.size()
    instance.end("supplier", ids["supplier"]["drukwerk"])
    assert instance.kinds(size) == ["suppliers.supplier.ended"]
    with instance.register() as register:
        contract = register.contract(ids["contract"]["vwo-2026-014"])
        assert contract is not None
        assert contract.ended is None


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "x" * 501, "\x1b[2J"])
def test_an_ending_needs_a_reason(instance: Instance, reason: str) -> None:
    ids = instance.apply(ESTATE).ids
    with pytest.raises(Invalid) as caught:
        instance.end("supplier", ids["supplier"]["drukwerk"], reason)
    assert caught.value.code == "reason"


def test_only_what_is_there_can_end(instance: Instance) -> None:
    instance.apply(ESTATE)
    with pytest.raises(NotFound):
        instance.end("supplier", "a" * 26)
    with pytest.raises(Invalid) as caught:
        instance.end("organisation", "a" * 26)
    assert caught.value.code == "kind"


def test_two_estates_in_sequence_end_with_the_second(instance: Instance) -> None:
    instance.apply(ESTATE)
    second = ESTATE.replace("id: voters-for-drukwerk", "id: voters-second").replace("per: day", "per: hour")
    applied = instance.apply(second)
    assert told(applied.changes) == {("declared", "grant", "voters-second"), ("ended", "grant", "voters-for-drukwerk")}
    with instance.register() as register:
        supplier = applied.ids["supplier"]["drukwerk"]
        held = {grant.name: grant.ended is None for grant in register.grants_of(supplier)}
    assert held == {"voters-second": True, "voters-for-drukwerk": False}
