"""An estate of somebody who manages suppliers alone: everything of the organisation's own is refused, as it is."""

from __future__ import annotations

import pytest

from keten.core.errors import Denied
from keten.identity.roles import STAFF, only_outside, only_own
from keten.suppliers import service
from keten.suppliers.reading import parse
from keten.vault.personal import Seals
from tests.unit.suppliers.instances import ACTOR, ESTATE, Instance


def apply(instance: Instance, text: str) -> None:
    estate = parse(text.encode(), "estate")
    with instance.reader.connect() as connection:
        service.plan(connection, estate, Seals(instance.keys, connection), instance.now_us, outside_only=True)
    instance.write(
        lambda writing: service.apply(writing, estate, ACTOR, Seals.of(instance.keys, writing), outside_only=True)
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: Gemeente Voorbeeld", "name: Other", "organisation Other"),
        ("roles: [privacy-officer]", "roles: [administrator]", "person dpo"),
        ("dpo@gemeente.example", "new@gemeente.example", "person dpo"),
        ("people:\n", "people:\n  - {id: more, email: m@x.example, roles: [administrator]}\n", "person more"),
        ("classification: confidential", "classification: public", "dataset voters"),
        ("datasets:\n", "datasets:\n  - {id: d, owner: dpo, classification: public, retention_days: 0}\n", "dataset d"),
    ],
)
def test_what_is_the_organisations_own_is_refused(instance: Instance, old: str, new: str, told: str) -> None:
    instance.apply(ESTATE)
    changed = ESTATE.replace(old, new, 1)
    assert changed != ESTATE
    size = instance.size()
    with pytest.raises(Denied) as caught:
        apply(instance, changed)
    assert (caught.value.code, caught.value.public) == ("estate-inside", told)
    assert instance.size() == size


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ends: 2026-12-31", "ends: 2027-12-31"),
        ("ops@drukwerk.example", "other@drukwerk.example"),
        ("tier: high", "tier: low"),
    ],
)
def test_what_suppliers_have_is_changed(instance: Instance, old: str, new: str) -> None:
    instance.apply(ESTATE)
    changed = ESTATE.replace(old, new)
    assert changed != ESTATE
    size = instance.size()
    apply(instance, changed)
    assert instance.size() > size


def test_whoever_has_another_role_as_well_is_not_confined() -> None:
    assert only_outside(("supplier-manager",))
    assert only_outside(("auditor", "supplier-manager"))
    assert not only_outside(("administrator", "supplier-manager"))
    assert not only_outside(STAFF)
    for act in ("see-alerts", "handle-alerts", "answer-requests", "lift-restraint"):
        assert only_own(("data-owner",), act)
        assert only_own(("data-owner", "helpdesk"), act)
        assert not only_own(("auditor",), act)
    assert not only_own(("data-owner", "security-officer"), "handle-alerts")
    assert only_own(("data-owner", "auditor"), "handle-alerts"), "an auditor only sees"
    assert not only_own(("data-owner", "auditor"), "see-alerts")
    assert not only_own(("data-owner",), "see-datasets")
