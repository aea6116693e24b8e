"""Applying estates: what is written, and that it is all or nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from keten.core.errors import Conflict, Corrupt, Invalid
from keten.datasets.model import Dataset
from keten.identity.model import Client, Person
from keten.suppliers import service
from keten.suppliers.changes import render, summaries
from keten.suppliers.estate import GrantSpec
from keten.suppliers.model import Contract, Grant, Supplier
from keten.suppliers.reading import parse
from keten.vault import service as vault
from keten.vault.model import Object
from keten.vault.personal import Seals
from tests.unit.suppliers.instances import ACTOR, ESTATE, Instance, key_line, line_of, told

LONGER = "UPDATE contracts SET body = CAST(replace(body, '2026-12-31', '2036-12-31') AS BLOB)"
EVERYTHING = {
    ("organisation", "Gemeente Voorbeeld"),
    ("supplier", "drukwerk"),
    ("supplier", "vervoer"),
    ("person", "dpo"),
    ("person", "drukwerk-ops"),
    ("client", "drukwerk-batch"),
    ("client", "vervoer-app"),
    ("contract", "vwo-2026-014"),
    ("dataset", "voters"),
    ("grant", "voters-for-drukwerk"),
}


def refused(instance: Instance, estate: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        instance.apply(estate)
    assert caught.value.code == "estate"
    return caught.value.public.split("\n")


def test_a_first_estate_is_written_as_the_contract_has_it(instance: Instance) -> None:
    applied = instance.apply(ESTATE)
    assert told(applied.changes) == {("declared", kind, name) for kind, name in EVERYTHING}
    assert {(kind, name) for kind, ids in applied.ids.items() for name in ids} == EVERYTHING
    with instance.register() as register:
        organisation = register.organisation()
        assert organisation is not None
        assert (organisation.name, organisation.country, organisation.timezone) == (
            "Gemeente Voorbeeld",
            "NL",
            "Europe/Amsterdam",
        )
        supplier = register.supplier(applied.ids["supplier"]["drukwerk"])
        assert supplier is not None
        assert supplier == Supplier(
            id=supplier.id, name="drukwerk", title="Drukwerk BV", country="NL", tier="high", ended=None
        )
        client = register.client(applied.ids["client"]["drukwerk-batch"])
        assert client == Client(
            id=applied.ids["client"]["drukwerk-batch"],
            name="drukwerk-batch",
            supplier=supplier.id,
            keys=(" ".join(key_line("batch").split()[:2]),),
        )
        contract = register.contract(applied.ids["contract"]["vwo-2026-014"])
        assert contract == Contract(
            id=applied.ids["contract"]["vwo-2026-014"],
            name="vwo-2026-014",
            supplier=supplier.id,
            starts_us=1_767_222_000_000_000,  # 2025-12-31T23:00:00Z
            ends_us=1_798_758_000_000_000,  # 2026-12-31T23:00:00Z
            starts="2026-01-01",
            ends="2026-12-31",
            purposes=("election-cards",),
            countries=("BE", "NL"),
            notify_within_hours=24,
        )
        dataset = register.dataset(applied.ids["dataset"]["voters"])
        assert dataset is not None
        assert (dataset.owner, dataset.classification, dataset.retention_days) == (
            applied.ids["person"]["dpo"],
            "confidential",
            90,
        )
        assert register.grants(dataset.id, supplier.id) == (
            Grant(
                id=applied.ids["grant"]["voters-for-drukwerk"],
                name="voters-for-drukwerk",
                dataset=dataset.id,
                contract=applied.ids["contract"]["vwo-2026-014"],
                supplier=supplier.id,
                purpose="election-cards",
                form="file",
                label="election-cards",
                to=(applied.ids["client"]["drukwerk-batch"],),
                budget_records=250000,
                budget_per="day",
            ),
        )
        person = register.person(applied.ids["person"]["dpo"])
        assert isinstance(person, Person)
        assert (person.supplier, person.roles) == ("", ("privacy-officer",))


def test_every_change_is_an_entry_with_before_and_after(instance: Instance) -> None:
    instance.apply(ESTATE)
    first = instance.size()
    instance.apply(ESTATE.replace("tier: high", "tier: critical"))
    assert instance.kinds(first) == ["suppliers.supplier.changed"]
    payload = json.loads(instance.payloads()[-1])
    assert payload["actor"] == ACTOR
    assert payload["refs"] == {"supplier": payload["details"]["row"]}
    assert payload["details"]["before"]["tier"] == "high"
    assert payload["details"]["after"]["tier"] == "critical"
    assert payload["details"]["table"] == "suppliers"


def test_principals_are_the_subjects_of_their_entries(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    payloads = [json.loads(raw) for raw in instance.payloads()]
    by_subject = {one: payload["kind"] for payload in payloads for one in payload.get("subjects", [])}
    assert by_subject == {
        ids["person"]["dpo"]: "identity.person.declared",
        ids["person"]["drukwerk-ops"]: "identity.person.declared",
        ids["client"]["drukwerk-batch"]: "identity.client.declared",
        ids["client"]["vervoer-app"]: "identity.client.declared",
    }


def test_no_address_is_in_the_clear_anywhere(instance: Instance) -> None:
    instance.apply(ESTATE)
    instance.apply(ESTATE.replace("dpo@gemeente.example", "fg@gemeente.example"))
    instance.engine.dispose()
    instance.reader.dispose()
    stored = b"".join(path.read_bytes() for path in instance.path.parent.iterdir())
    assert b"Drukwerk BV" in stored
    for address in (b"dpo@gemeente", b"fg@gemeente", b"ops@drukwerk"):
        assert address not in stored


def test_applying_twice_changes_nothing_and_records_nothing(instance: Instance) -> None:
    first = instance.apply(ESTATE)
    size = instance.size()
    again = instance.apply(ESTATE)
    assert again.changes == []
    assert again.ids == first.ids
    assert instance.size() == size


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("purposes: [election-cards]", "purposes:\n      - election-cards"),
        ("countries: [NL, BE]", "countries: [BE, NL]"),
        (key_line("batch"), key_line("batch") + " root@printer"),
        ("    notify_within_hours: 24\n", "    notify_within_hours: 24 # as agreed\n"),
    ],
)
def test_another_way_of_writing_is_no_change(instance: Instance, old: str, new: str) -> None:
    instance.apply(ESTATE)
    assert old in ESTATE
    assert instance.apply(ESTATE.replace(old, new)).changes == []


def test_a_plan_writes_nothing_and_has_no_ids_yet(instance: Instance) -> None:
    plan = instance.plan(ESTATE)
    assert told(summaries(plan.changes, plan.names)) == {("declared", kind, name) for kind, name in EVERYTHING}
    assert {row_id for ids in plan.ids.values() for row_id in ids.values()} == {""}
    assert {change.id for change in plan.changes} == {""}
    assert instance.size() == 0
    assert render(summaries(plan.changes, plan.names)).count("    contract: vwo-2026-014") == 1


def test_a_plan_after_applying_shows_ids(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    plan = instance.plan(ESTATE)
    assert plan.changes == []
    assert plan.ids == ids


def test_a_key_that_rotates_is_a_change_of_the_client(instance: Instance) -> None:
    instance.apply(ESTATE)
    both = ESTATE.replace(f'["{key_line("batch")}"]', f'["{key_line("batch")}", "{key_line("next")}"]')
    change = instance.apply(both).changes
    assert told(change) == {("changed", "client", "drukwerk-batch")}
    before, after = change[0]["fields"]["keys"]
    assert len(before) == 1
    assert set(before) < set(after)
    only = ESTATE.replace(key_line("batch"), key_line("next"))
    assert told(instance.apply(only).changes) == {("changed", "client", "drukwerk-batch")}
    assert instance.apply(only).changes == []


def test_a_changed_address_is_sealed_anew_and_not_shown(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    with instance.register() as register:
        before = register.person(ids["person"]["dpo"])
    changed = ESTATE.replace("dpo@gemeente.example", "fg@gemeente.example")
    applied = instance.apply(changed)
    assert applied.changes == [
        {
            "kind": "person",
            "name": "dpo",
            "id": ids["person"]["dpo"],
            "change": "changed",
            "fields": {"email": ["(not shown)", "(not shown)"]},
        }
    ]
    with instance.register() as register:
        after = register.person(ids["person"]["dpo"])
    assert before is not None
    assert after is not None
    assert after.sealed != before.sealed
    assert msgspec.structs.replace(after, sealed=before.sealed) == before
    with instance.reader.connect() as connection:
        assert json.loads(Seals(instance.keys, connection).open_for(after.id, after.sealed)) == {
            "email": "fg@gemeente.example"
        }
    assert instance.apply(changed).changes == []


def test_other_changes_of_a_person_keep_the_seal(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    with instance.register() as register:
        before = register.person(ids["person"]["dpo"])
    applied = instance.apply(ESTATE.replace("[privacy-officer]", "[privacy-officer, auditor]"))
    assert applied.changes[0]["fields"] == {"roles": [["privacy-officer"], ["auditor", "privacy-officer"]]}
    with instance.register() as register:
        after = register.person(ids["person"]["dpo"])
    assert before is not None
    assert after is not None
    assert after.sealed == before.sealed


def test_a_person_whose_key_was_destroyed_is_not_made_anew(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    assert instance.tamper("DELETE FROM subject_keys WHERE subject = :id", id=ids["person"]["dpo"]) == 1
    lines = refused(instance, ESTATE)
    assert len(lines) == 1
    assert lines[0].startswith(f"estate.yaml:{line_of('id: dpo')}: person 'dpo': ")
    assert "erased" in lines[0]


def test_what_makes_a_row_what_it_is_cannot_change(instance: Instance) -> None:
    instance.apply(ESTATE)
    other = ESTATE.replace("supplier: drukwerk", "supplier: vervoer").replace("    to: [drukwerk-batch]\n", "")
    other = other.replace("form: file", "form: intake")
    moved = other.replace("id: drukwerk-batch", "id: drukwerk-new").replace("id: vervoer-app", "id: drukwerk-batch")
    size = instance.size()
    lines = refused(instance, moved)
    assert [line.split(": ")[1] for line in lines] == [
        "client 'drukwerk-batch'",
        "contract 'vwo-2026-014'",
        "grant 'voters-for-drukwerk'",
    ]
    assert lines[1] == (
        f"estate.yaml:{line_of('id: vwo-2026-014')}: contract 'vwo-2026-014': "
        "its supplier can't change (from 'drukwerk' to 'vervoer'); give it a new id"
    )
    assert "its form can't change (from 'file' to 'intake')" in lines[2]
    assert instance.size() == size
    assert instance.apply(ESTATE).changes == []


def test_a_grant_cannot_move_to_another_dataset_or_contract(instance: Instance) -> None:
    more = ESTATE.replace(
        "grants:\n",
        "  - {id: others, owner: dpo, classification: public, retention_days: 0}\ngrants:\n",
    )
    instance.apply(more)
    lines = refused(instance, more.replace("dataset: voters", "dataset: others"))
    assert "its dataset can't change (from 'voters' to 'others')" in lines[0]


def test_a_new_time_zone_moves_the_days_of_contracts(instance: Instance) -> None:
    instance.apply(ESTATE)
    applied = instance.apply(ESTATE.replace("Europe/Amsterdam", "Europe/Lisbon"))
    assert told(applied.changes) == {
        ("changed", "organisation", "Gemeente Voorbeeld"),
        ("changed", "contract", "vwo-2026-014"),
    }
    contract = next(one for one in applied.changes if one["kind"] == "contract")
    assert contract["fields"]["ends"] == [
        "2026-12-31 (2026-12-31T23:00:00.000000Z)",
        "2026-12-31 (2027-01-01T00:00:00.000000Z)",
    ]


def test_a_new_name_of_the_organisation_is_the_same_organisation(instance: Instance) -> None:
    first = instance.apply(ESTATE).ids["organisation"]["Gemeente Voorbeeld"]
    applied = instance.apply(ESTATE.replace("Gemeente Voorbeeld", "Gemeente Anders"))
    assert applied.ids["organisation"] == {"Gemeente Anders": first}
    assert applied.changes[0]["fields"] == {"name": ["Gemeente Voorbeeld", "Gemeente Anders"]}


def test_a_refused_estate_leaves_no_trace(instance: Instance) -> None:
    instance.apply(ESTATE)
    size = instance.size()
    wrong = parse(ESTATE.encode(), "estate.yaml")
    broken = msgspec.structs.replace(
        wrong, grants=(*wrong.grants, msgspec.structs.replace(wrong.grants[0], id="other", purpose="marketing"))
    )
    with pytest.raises(Invalid) as caught:
        instance.apply(broken)
    assert caught.value.public == (
        f"estate.yaml:{line_of('id: voters-for-drukwerk')}: contract 'vwo-2026-014' lacks the purpose 'marketing'"
    )
    assert instance.size() == size


def test_a_failure_half_way_leaves_no_trace(instance: Instance) -> None:
    """The last thing written fails: nothing of what was written before it stays."""

    class Failing(Seals):
        def seal_for(self, subject: str, data: bytes) -> str:
            if b"ops@drukwerk" in data:
                raise Corrupt("key-damaged", "A stored key is damaged.")
            return super().seal_for(subject, data)

    estate = parse(ESTATE.encode(), "estate.yaml")

    def job(writing: Any) -> Any:
        return service.apply(writing, estate, ACTOR, Failing.of(instance.keys, writing))

    with pytest.raises(Corrupt):
        instance.write(job)
    assert instance.size() == 0
    with instance.register() as register:
        assert register.organisation() is None
        assert register.named("supplier", "drukwerk") is None
    assert len(instance.apply(ESTATE).changes) == len(EVERYTHING)


def test_an_estate_has_its_transaction_to_itself(instance: Instance) -> None:
    estate = parse(ESTATE.encode(), "estate.yaml")

    def twice(writing: Any) -> None:
        seals = Seals.of(instance.keys, writing)
        service.apply(writing, estate, ACTOR, seals)
        service.apply(writing, estate, ACTOR, seals)

    with pytest.raises(Conflict) as caught:
        instance.write(twice)
    assert caught.value.code == "transaction-shared"
    assert instance.size() == 0


def test_a_damaged_row_stops_an_estate(instance: Instance) -> None:
    instance.apply(ESTATE)
    size = instance.size()
    assert instance.tamper(LONGER) == 1
    with pytest.raises(Corrupt) as caught:
        instance.apply(ESTATE)
    assert caught.value.code == "register-mismatch"
    assert instance.size() == size


def test_a_damaged_address_stops_an_estate(instance: Instance) -> None:
    instance.apply(ESTATE)
    assert instance.tamper("UPDATE subject_keys SET wrapped = zeroblob(60)") == 4
    with pytest.raises(Corrupt):
        instance.apply(ESTATE)


def test_an_estate_prepared_ahead_is_applied_as_prepared(instance: Instance) -> None:
    instance.apply(ESTATE)
    text = ESTATE.replace("tier: high", "tier: low").replace("id: dpo", "id: fg").replace("owner: dpo", "owner: fg")
    estate = parse(text.encode(), "estate.yaml")
    with instance.reader.connect() as connection:
        prepared = service.prepare(connection, estate, Seals(instance.keys, connection), instance.now_us, ACTOR)
    size = instance.size()
    applied = instance.write(
        lambda writing: service.apply(writing, estate, ACTOR, Seals.of(instance.keys, writing), prepared)
    )
    assert applied.ids == prepared.ids
    assert instance.size() == size + 4
    assert told(applied.changes) == {
        ("changed", "supplier", "drukwerk"),
        ("declared", "person", "fg"),
        ("ended", "person", "dpo"),
        ("changed", "dataset", "voters"),
    }
    assert instance.apply(estate).changes == []


def test_ten_thousand_grants(instance: Instance) -> None:
    estate = parse(ESTATE.encode(), "estate.yaml")
    many = tuple(
        GrantSpec(
            id=f"g-{at}",
            dataset="voters",
            contract="vwo-2026-014",
            purpose="election-cards",
            form="file",
            to=("drukwerk-batch",),
        )
        for at in range(10_000)
    )
    large = msgspec.structs.replace(estate, grants=many)
    applied = instance.apply(large)
    assert len(applied.ids["grant"]) == 10_000
    assert len(applied.changes) == 10_009
    assert {len(one["fields"]) for one in applied.changes if one["kind"] == "grant"} == {0}  # too many to spell out
    size = instance.size()
    fewer = msgspec.structs.replace(estate, grants=many[1:])
    assert told(instance.apply(fewer).changes) == {("ended", "grant", "g-0")}
    assert instance.size() == size + 1
    with instance.register(rows_kept=100) as register:
        found = register.grants_of(applied.ids["supplier"]["drukwerk"])
        assert len(found) == 10_000
        assert sum(grant.ended is None for grant in found) == 9_999


DAY_US = 86_400_000_000
DIGEST = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"


def put(instance: Instance, dataset: Dataset, name: str) -> Object:
    """Content in the vault, as far as the register's side of it goes."""
    ready = instance.write(
        lambda writing: vault.begin_put(
            writing,
            instance.keys,
            dataset,
            name=name,
            media_type="text/csv",
            digest=DIGEST,
            size=0,
            replace=False,
            actor=ACTOR,
        )
    )
    return instance.write(
        lambda writing: vault.commit_put(
            writing, instance.keys, object_id=ready.object, size=0, digest=DIGEST, records=1, actor=ACTOR
        )
    ).object


def test_a_changed_retention_moves_the_end_of_what_is_held(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    with instance.register() as register:
        dataset = register.dataset(ids["dataset"]["voters"])
    assert dataset is not None
    held, broken = put(instance, dataset, "voters.csv"), put(instance, dataset, "broken.csv")
    assert held.expires_us == held.put_us + 90 * DAY_US
    instance.tamper("UPDATE objects SET body = CAST(replace(body, 'csv', 'tsv') AS BLOB) WHERE id = :id", id=broken.id)
    applied = instance.apply(ESTATE.replace("retention_days: 90", "retention_days: 30"))
    assert applied.changes == [
        {
            "kind": "dataset",
            "name": "voters",
            "id": ids["dataset"]["voters"],
            "change": "changed",
            "fields": {"retention_days": [90, 30]},
        }
    ]
    assert applied.damaged == (broken.id,)
    with instance.reader.connect() as connection:
        after = vault.object(connection, held.id)
    assert after is not None
    assert after.expires_us == held.put_us + 30 * DAY_US


def test_a_grant_may_be_for_a_person_of_the_supplier(instance: Instance) -> None:
    applied = instance.apply(ESTATE.replace("to: [drukwerk-batch]", "to: [drukwerk-ops, drukwerk-batch]"))
    with instance.register() as register:
        grant = register.grant(applied.ids["grant"]["voters-for-drukwerk"])
    assert grant is not None
    assert set(grant.to) == {applied.ids["person"]["drukwerk-ops"], applied.ids["client"]["drukwerk-batch"]}
