"""Keys and rows in the database: what somebody changed there opens nothing, and is named."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, insert, select, update

from keten.core.errors import Corrupt, NotFound
from keten.core.ids import new_id
from keten.vault import personal
from keten.vault import service as vault
from keten.vault.tables import content_keys, dataset_keys, objects, puts, subject_keys
from tests.unit.vault.house import House, Set, code_of, tamper

ONE = b"bsn,naam\n1,Jan\n"
TWO = b"bsn,naam\n1,Jan\n2,Piet\n"


@pytest.fixture
def dataset() -> Set:
    return Set(new_id(), retention_days=90)


def test_keys_changed_moved_or_gone_are_corrupt_and_named(house: House, dataset: Set) -> None:
    one, other = house.put(dataset, "a.csv", ONE), house.put(dataset, "b.csv", TWO)
    with house.reading() as connection:
        rows = {row.object: row for row in connection.execute(select(content_keys))}

    def opened() -> str:
        with pytest.raises(Corrupt) as caught:
            house.open(one)
        assert one.id in caught.value.reason or dataset.id in caught.value.reason
        return caught.value.code

    where = content_keys.c.object == one.id
    tamper(house, update(content_keys).where(where).values(wrapped=rows[other.id].wrapped))
    assert opened() == "key-damaged"
    tamper(house, update(content_keys).where(where).values(wrapped=rows[one.id].wrapped, dataset=new_id()))
    assert opened() == "key-damaged"
    tamper(house, delete(content_keys).where(where))
    assert opened() == "key-missing"
    tamper(house, insert(content_keys).values(rows[one.id]._mapping))
    assert house.open(one) == ONE
    tamper(house, delete(dataset_keys))
    assert opened() == "key-missing"


def test_a_put_whose_key_was_damaged_meanwhile_is_not_committed(house: House, dataset: Set) -> None:
    ready, other = house.begin(dataset, "a.csv", ONE), house.begin(dataset, "b.csv", ONE)
    house.seal(ready, ONE)
    with house.reading() as connection:
        foreign = vault.put_of(connection, other.object)
    assert foreign is not None
    tamper(house, update(puts).where(puts.c.object == ready.object).values(wrapped=foreign.wrapped))
    assert code_of(Corrupt, lambda: house.commit(ready, ONE)) == "key-damaged"
    tamper(house, delete(dataset_keys))
    assert code_of(Corrupt, lambda: house.commit(ready, ONE)) == "key-missing"
    with house.reading() as connection:
        assert vault.objects_of(connection, dataset.id) == []


def test_a_row_set_back_to_present_opens_nothing(house: House, dataset: Set) -> None:
    found = house.put(dataset, "a.csv", ONE)
    with house.reading() as connection:
        row = connection.execute(select(objects)).mappings().one()
        key = connection.execute(select(content_keys)).mappings().one()
    with house.writing() as writing:
        vault.destroy_object(writing, found.id, "test", "operator:test")
    tamper(house, update(objects).values(dict(row)), insert(content_keys).values(dict(key)))
    with house.reading() as connection, pytest.raises(Corrupt) as caught:
        vault.object(connection, found.id)
    assert caught.value.code == "register-mismatch"
    with house.reading() as connection, pytest.raises(Corrupt):
        vault.objects_of(connection, dataset.id)


@pytest.mark.parametrize(
    "change",
    [{"name": "b.csv"}, {"dataset": new_id()}, {"expires_us": 0}, {"storage": new_id()}, {"state": "destroyed"}],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_column_is_noticed(house: House, dataset: Set, change: dict[str, object]) -> None:
    found = house.put(dataset, "a.csv", ONE)
    tamper(house, update(objects).values(change))
    with house.reading() as connection, pytest.raises(Corrupt) as caught:
        vault.object(connection, found.id)
    assert caught.value.code == "register-mismatch"


# ---- what is personal ----------------------------------------------------------------------------------------------


def test_personal_data_is_sealed_under_a_key_made_once(house: House) -> None:
    person, other = new_id(), new_id()
    with house.writing() as writing:
        sealed = personal.seal_for(writing, house.keys, person, b"jan@gemeente.example")
        again = personal.seal_for(writing, house.keys, person, b"jan@gemeente.example")
        personal.seal_for(writing, house.keys, other, b"piet@gemeente.example")
    assert sealed != again
    with house.reading() as connection:
        assert personal.open_for(connection, house.keys, person, sealed) == b"jan@gemeente.example"
        assert personal.open_for(connection, house.keys, person, again) == b"jan@gemeente.example"
        assert code_of(Corrupt, lambda: personal.open_for(connection, house.keys, other, sealed)) == "personal-damaged"
        assert len(connection.execute(select(subject_keys)).all()) == 2
    tamper(house, delete(subject_keys).where(subject_keys.c.subject == person))
    with house.reading() as connection:
        does = lambda: personal.open_for(connection, house.keys, person, sealed)  # noqa: E731 - one use
        assert code_of(NotFound, does) == "subject-key-missing"
