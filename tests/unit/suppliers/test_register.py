"""Reading the register: what is cached and what not, and that a row which is not what its entry says is never used."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text

from keten.core.errors import Corrupt, KetenError
from keten.suppliers.register import Register
from tests.unit.suppliers.instances import ESTATE, Instance, key_line

Reads = list[str]


@pytest.fixture
def reads(instance: Instance) -> Reads:
    """The statements that reach the database through the read-only engine."""
    seen: Reads = []

    def see(statement: str) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            seen.append(statement)

    telling: dict[type[Any], type[Any]] = {}

    @event.listens_for(instance.reader, "checkout")
    def _traced(raw: Any, *_rest: Any) -> None:
        if isinstance(raw, sqlite3.Connection):
            raw.set_trace_callback(see)  # SQLite's own, which nothing goes past
        elif raw.cursor_factory not in telling.values():
            kind = raw.cursor_factory
            raw.cursor_factory = telling.setdefault(kind, _telling(kind, see))

    return seen


def _telling(kind: type[Any], see: Callable[[str], None]) -> type[Any]:
    """Cursors of a server's connection that tell what they execute, but for asking whether it is there."""

    class Telling(kind):  # type: ignore[misc]  # whatever kind the connection makes
        def execute(self, statement: Any, *rest: Any, **options: Any) -> Any:
            if str(statement) != "SELECT 1":
                see(str(statement))
            return super().execute(statement, *rest, **options)

    return Telling


def test_nothing_is_there_before_the_first_estate(instance: Instance) -> None:
    with instance.register() as register:
        assert register.organisation() is None
        assert register.supplier("a" * 26) is None
        assert register.named("client", "drukwerk-batch") is None
        assert register.grants("a" * 26, "a" * 26) == ()


def test_a_row_is_read_once(instance: Instance, reads: Reads) -> None:
    ids = instance.apply(ESTATE).ids
    with instance.register() as register:
        first = register.client(ids["client"]["drukwerk-batch"])
        grants = register.grants(ids["dataset"]["voters"], ids["supplier"]["drukwerk"])
        reads.clear()
        assert register.client(ids["client"]["drukwerk-batch"]) is first
        assert register.grants(ids["dataset"]["voters"], ids["supplier"]["drukwerk"]) is grants
        assert reads == []


def test_what_is_absent_is_not_remembered(instance: Instance, reads: Reads) -> None:
    with instance.register() as register:
        for _ in range(2):
            assert register.client("a" * 26) is None
        assert len(reads) == 2


@pytest.mark.parametrize("guess", ["", "drukwerk", "A" * 26, "a" * 27, "b" * 26, "a\0", "é" * 26, "x" * 100_000])
def test_what_is_no_id_is_not_even_looked_up(instance: Instance, reads: Reads, guess: str) -> None:
    instance.apply(ESTATE)
    reads.clear()
    with instance.register() as register:
        assert register.client(guess) is None
        assert reads == []


def test_a_change_shows_after_invalidating(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    with instance.register() as register:
        epoch = register.epoch
        before = register.contract(ids["contract"]["vwo-2026-014"])
        instance.apply(ESTATE.replace("2026-12-31", "2027-12-31"))
        assert register.contract(ids["contract"]["vwo-2026-014"]) is before
        register.invalidate()
        assert register.epoch == epoch + 1
        after = register.contract(ids["contract"]["vwo-2026-014"])
        assert after is not None
        assert after.ends == "2027-12-31"


def test_everything_is_read_anew_after_invalidating(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    supplier = ids["supplier"]["drukwerk"]
    with instance.register() as register:
        everything: list[Callable[[], Any]] = [
            register.organisation,
            lambda: register.supplier(supplier),
            lambda: register.person(ids["person"]["dpo"]),
            lambda: register.client(ids["client"]["drukwerk-batch"]),
            lambda: register.contract(ids["contract"]["vwo-2026-014"]),
            lambda: register.dataset(ids["dataset"]["voters"]),
            lambda: register.grant(ids["grant"]["voters-for-drukwerk"]),
            lambda: register.grants(ids["dataset"]["voters"], supplier),
            lambda: register.grants_of(supplier),
            lambda: register.contracts_of(supplier),
        ]
        before = [read() for read in everything]
        register.invalidate()
        after = [read() for read in everything]
        assert before == after
        assert not any(one is other for one, other in zip(before, after, strict=True))


def test_a_cold_read_sees_the_newest_commit(instance: Instance) -> None:
    """No snapshot is held open between two reads."""
    ids = instance.apply(ESTATE).ids
    with instance.register() as register:
        register.organisation()
        instance.apply(ESTATE.replace("tier: high", "tier: low"))
        supplier = register.supplier(ids["supplier"]["drukwerk"])
        assert supplier is not None
        assert supplier.tier == "low"


def test_a_moment_is_one_moment_of_the_database(instance: Instance) -> None:
    """What others commit meanwhile is not seen inside, and is seen by the first read afterwards."""
    ids = instance.apply(ESTATE).ids
    with instance.register() as register:
        with register.moment():
            register.organisation()
            instance.apply(ESTATE.replace("tier: high", "tier: low"))
            inside = register.supplier(ids["supplier"]["drukwerk"])
            with register.moment():  # of the same moment, which its end does not end
                pass
            instance.apply(ESTATE.replace("retention_days: 90", "retention_days: 91"))
            dataset = register.dataset(ids["dataset"]["voters"])
        assert inside is not None
        assert inside.tier == "high"
        assert dataset is not None
        assert dataset.retention_days == 90
        register.invalidate()
        after = register.dataset(ids["dataset"]["voters"])
        assert after is not None
        assert after.retention_days == 91


def test_a_moment_that_read_nothing_or_failed_leaves_no_transaction(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    with instance.register() as register:
        with register.moment():
            pass
        with pytest.raises(ValueError, match="no kind of row"), register.moment():
            (register.organisation(), register.named("nothing", "of the kind"))
        instance.apply(ESTATE.replace("tier: high", "tier: low"))
        supplier = register.supplier(ids["supplier"]["drukwerk"])
        assert supplier is not None
        assert supplier.tier == "low"


def test_the_cache_is_bounded(instance: Instance, reads: Reads) -> None:
    ids = instance.apply(ESTATE).ids
    with instance.register(rows_kept=1) as register:
        register.supplier(ids["supplier"]["drukwerk"])
        register.supplier(ids["supplier"]["vervoer"])
        reads.clear()
        register.supplier(ids["supplier"]["vervoer"])
        assert reads == []
        register.supplier(ids["supplier"]["drukwerk"])
        assert len(reads) == 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("supplier", "drukwerk"),
        ("person", "dpo"),
        ("client", "vervoer-app"),
        ("contract", "vwo-2026-014"),
        ("dataset", "voters"),
        ("grant", "voters-for-drukwerk"),
    ],
)
def test_a_row_is_found_by_name_and_by_id(instance: Instance, kind: str, name: str) -> None:
    ids = instance.apply(ESTATE).ids
    with instance.register() as register:
        row = register.named(kind, name)
        assert row is not None
        assert (row.id, row.name) == (ids[kind][name], name)
        assert register.named(kind, row.id) == row
        assert register.named(kind, name.upper()) is None
        assert register.named(kind, "") is None


def test_only_kinds_that_exist_have_names(instance: Instance) -> None:
    with instance.register() as register, pytest.raises(ValueError, match="no kind"):
        register.named("organisation", "Gemeente Voorbeeld")


def test_grants_are_those_of_dataset_and_supplier(instance: Instance) -> None:
    more = ESTATE.replace(
        "datasets:\n", "datasets:\n  - {id: others, owner: dpo, classification: public, retention_days: 0}\n"
    ).replace(
        "contracts:\n",
        "contracts:\n  - {id: other, supplier: vervoer, starts: 2026-01-01, ends: 2026-06-30, purposes: [rides]}\n",
    ) + (
        "  - {id: others-for-drukwerk, dataset: others, contract: vwo-2026-014, purpose: election-cards, form: file}\n"
        "  - {id: rides-2026, dataset: voters, contract: other, purpose: rides, form: file, label: Rides 2026}\n"
    )
    ids = instance.apply(more).ids
    drukwerk, vervoer = ids["supplier"]["drukwerk"], ids["supplier"]["vervoer"]
    voters, others = ids["dataset"]["voters"], ids["dataset"]["others"]
    with instance.register() as register:

        def names(dataset: str, supplier: str) -> list[str]:
            return [grant.name for grant in register.grants(dataset, supplier)]

        assert names(voters, drukwerk) == ["voters-for-drukwerk"]
        assert names(others, drukwerk) == ["others-for-drukwerk"]
        assert names(voters, vervoer) == ["rides-2026"]
        assert names(others, vervoer) == []
        assert {grant.name for grant in register.grants_of(drukwerk)} == {"voters-for-drukwerk", "others-for-drukwerk"}
        assert [contract.name for contract in register.contracts_of(vervoer)] == ["other"]
        (rides,) = register.grants_of(vervoer)
        assert (rides.label, rides.to, rides.budget_records) == ("Rides 2026", (), 0)


# What someone who can write to the database file might do to a contract that ended, and to the rows around it.
LONGER = "CAST(replace(body, '2026-12-31', '2036-12-31') AS BLOB)"
DAMAGES = {
    "a longer contract": ("contract", f"UPDATE contracts SET body = {LONGER}"),
    "another supplier in the column": ("contract", "UPDATE contracts SET supplier = 'aaaaaaaaaaaaaaaaaaaaaaaaaa'"),
    "another name in the column": ("contract", "UPDATE contracts SET name = 'vwo-2026-015'"),
    "an entry that never was": ("contract", "UPDATE contracts SET entry = 999999"),
    "another row's entry": ("contract", "UPDATE contracts SET entry = (SELECT entry FROM datasets)"),
    "an older entry": ("contract", "UPDATE contracts SET entry = entry - 1"),
    "no body": ("contract", "UPDATE contracts SET body = x''"),
    "a body that is no JSON": ("contract", "UPDATE contracts SET body = x'ff00'"),
    "the entry deleted": ("contract", "DELETE FROM entries WHERE kind LIKE 'suppliers.contract.%'"),
    "the payload erased": ("contract", "UPDATE entries SET payload = NULL WHERE kind LIKE 'suppliers.contract.%'"),
    "the payload changed": (
        "contract",
        f"UPDATE entries SET payload = {LONGER.replace('body', 'payload')} WHERE kind LIKE 'suppliers.contract.%'",
    ),
    "the leaf changed": ("contract", "UPDATE entries SET leaf = x'00' WHERE kind LIKE 'suppliers.contract.%'"),
    "the salt changed": (
        "contract",
        "UPDATE entries SET salt = zeroblob(32) WHERE kind LIKE 'suppliers.contract.%'",
    ),
    "the change forgotten": (
        "contract",
        "DELETE FROM changes WHERE idx IN (SELECT idx FROM entries WHERE kind LIKE 'suppliers.contract.%')",
    ),
    "a client's key": ("client", "UPDATE clients SET body = CAST(replace(body, 'AAAAC3', 'AAAAC4') AS BLOB)"),
    "a person's role": ("person", "UPDATE people SET body = CAST(replace(body, 'privacy-', 'security-') AS BLOB)"),
    "a dataset's class": (
        "dataset",
        "UPDATE datasets SET body = CAST(replace(body, 'confidential', 'public') AS BLOB)",
    ),
    "a grant's budget": ("grant", "UPDATE grants SET body = CAST(replace(body, '250000', '950000') AS BLOB)"),
    "a supplier's tier": ("supplier", "UPDATE suppliers SET body = CAST(replace(body, 'high', 'low') AS BLOB)"),
}
NAMES = {
    "contract": "vwo-2026-014",
    "client": "drukwerk-batch",
    "person": "dpo",
    "dataset": "voters",
    "grant": "voters-for-drukwerk",
    "supplier": "drukwerk",
}


def mismatch(read: Callable[[], Any]) -> Corrupt:
    with pytest.raises(Corrupt) as caught:
        read()
    assert caught.value.code == "register-mismatch"
    return caught.value


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_row_that_is_not_what_its_entry_says_is_never_used(instance: Instance, damage: str) -> None:
    ids = instance.apply(ESTATE).ids
    kind, statement = DAMAGES[damage]
    row_id = ids[kind][NAMES[kind]]
    assert instance.tamper(statement) >= 1
    with instance.register() as register:
        error = mismatch(lambda: register.named(kind, row_id))
        assert row_id in error.reason
        mismatch(lambda: register.named(kind, row_id))  # nor the second time: nothing wrong is remembered


def test_a_row_set_back_to_what_it_was_is_noticed(instance: Instance) -> None:
    instance.apply(ESTATE.replace("2026-12-31", "2036-12-31"))
    with instance.engine.connect() as connection:
        old = connection.exec_driver_sql("SELECT id, body, entry FROM contracts").one()
    ids = instance.apply(ESTATE).ids
    touched = instance.tamper(
        "UPDATE contracts SET body = :body, entry = :entry WHERE id = :id", id=old.id, body=old.body, entry=old.entry
    )
    assert touched == 1
    with instance.register() as register:
        error = mismatch(lambda: register.contract(ids["contract"]["vwo-2026-014"]))
        assert "changed it last" in error.reason


def test_a_revoked_row_set_back_is_noticed(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    client = ids["client"]["drukwerk-batch"]
    with instance.engine.connect() as connection:
        old = connection.execute(text("SELECT body, entry FROM clients WHERE id = :id"), {"id": client}).one()
    instance.end("client", client)
    instance.tamper(
        "UPDATE clients SET body = :body, entry = :entry WHERE id = :id", id=client, body=old.body, entry=old.entry
    )
    with instance.register() as register:
        mismatch(lambda: register.client(client))


def test_a_grant_moved_to_another_supplier_by_its_column_is_noticed(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    vervoer = ids["supplier"]["vervoer"]
    assert instance.tamper("UPDATE grants SET supplier = :id", id=vervoer) == 1
    with instance.register() as register:
        mismatch(lambda: register.grants(ids["dataset"]["voters"], vervoer))
        mismatch(lambda: register.grants_of(vervoer))
        assert register.grants(ids["dataset"]["voters"], ids["supplier"]["drukwerk"]) == ()


def test_a_row_copied_under_another_id_is_noticed(instance: Instance) -> None:
    instance.apply(ESTATE)
    other = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
    assert (
        instance.tamper(
            "INSERT INTO clients (id, name, supplier, body, entry) "
            "SELECT :id, 'copy', supplier, CAST(replace(body, id, :id) AS BLOB), entry FROM clients LIMIT 1",
            id=other,
        )
        == 1
    )
    with instance.register() as register:
        mismatch(lambda: register.client(other))


def test_a_second_organisation_is_noticed(instance: Instance) -> None:
    instance.apply(ESTATE)
    instance.tamper(
        "INSERT INTO organisation (id, name, body, entry) SELECT 'a', 'Gemeente Anders', body, entry FROM organisation"
    )
    with instance.register() as register:
        mismatch(register.organisation)


def test_a_deleted_row_is_absent(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    assert instance.tamper("DELETE FROM grants") == 1
    with instance.register() as register:
        assert register.grants(ids["dataset"]["voters"], ids["supplier"]["drukwerk"]) == ()


def test_a_database_that_is_gone_is_an_error_and_heals(instance: Instance) -> None:
    instance.apply(ESTATE)
    moved = instance.path.with_suffix(".away")
    instance.engine.dispose()
    register = Register(instance.reader)
    instance.path.rename(moved)
    with pytest.raises(KetenError) as caught:
        register.organisation()
    assert caught.value.category == "unavailable"
    moved.rename(instance.path)
    assert register.organisation() is not None
    register.close()
    assert register.named("supplier", "drukwerk") is not None
    register.close()
    register.close()


def test_two_keys_are_one_client(instance: Instance) -> None:
    both = ESTATE.replace(f'["{key_line("batch")}"]', f'["{key_line("z")}", "{key_line("a")}"]')
    ids = instance.apply(both).ids
    with instance.register() as register:
        client = register.client(ids["client"]["drukwerk-batch"])
        assert client is not None
        assert client.keys == tuple(sorted(key_line(seed).strip() for seed in ("z", "a")))
