"""Retention, puts never finished, blobs of nobody."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import select, update

from keten.core.errors import Conflict, NotFound
from keten.core.ids import new_id
from keten.vault import rules, sweeping
from keten.vault import service as vault
from keten.vault.frames import encrypt, new_header
from keten.vault.model import Object, Swept
from keten.vault.tables import objects, puts
from tests.unit.vault.house import DAY, NOW, House, Set

CONTENT = b"bsn\n1\n"


def put_many(house: House, dataset: Set, count: int) -> list[Object]:
    made = []
    for number in range(count):
        house.now += 1
        made.append(house.put(dataset, f"{number}.csv", CONTENT))
    return made


def tampered(house: House, found: Object, **values: object) -> None:
    with house.engine.begin() as connection:
        connection.execute(update(objects).where(objects.c.id == found.id).values(**values))


def test_content_is_kept_to_the_last_microsecond_of_its_retention_and_no_longer(house: House) -> None:
    found = house.put(Set(new_id(), retention_days=90), "a.csv", CONTENT)
    forever = house.put(Set(new_id()), "a.csv", CONTENT)
    with house.reading() as connection:
        assert sweeping.expired_objects(connection, NOW + 90 * DAY - 1) == []
        assert sweeping.expired_objects(connection, NOW + 90 * DAY) == [found.id]
    with house.writing() as writing:
        assert sweeping.destroy_expired(writing, NOW + 90 * DAY - 1) == Swept()
    house.now = NOW + 90 * DAY
    with house.writing() as writing:
        assert sweeping.destroy_expired(writing, house.now) == Swept((found.id,), (found.storage,))
    entry = house.recorded()[-1]
    assert (entry.kind, entry.actor, entry.details["reason"]) == ("vault.object.destroyed", "keeper", "retention-over")
    with pytest.raises(NotFound):
        house.open(found)
    assert house.open(forever) == CONTENT


def test_a_sweep_goes_on_where_its_limit_stopped_it(house: House) -> None:
    made = put_many(house, Set(new_id(), retention_days=1), 7)
    late = NOW + 2 * DAY
    swept: list[str] = []
    for expected in (3, 3, 1, 0):
        with house.writing() as writing:
            some = sweeping.destroy_expired(writing, late, limit=3)
        assert len(some.objects) == len(some.removed) == expected
        swept += some.objects
    assert swept == [found.id for found in made]  # those longest past first


def test_objects_whose_row_does_not_hold_are_named_and_hold_up_nothing(house: House) -> None:
    made = put_many(house, Set(new_id(), retention_days=1), 6)
    for found in made[:3]:
        tampered(house, found, name="other.csv")
    with house.writing() as writing:
        swept = sweeping.destroy_expired(writing, NOW + 2 * DAY, limit=2)
    assert swept.objects == (made[3].id, made[4].id)
    assert swept.damaged == tuple(found.id for found in made[:3])
    with house.writing() as writing:
        swept = sweeping.destroy_expired(writing, NOW + 2 * DAY, limit=2)
    assert swept.objects == (made[5].id,)
    assert len(swept.damaged) == 3


def test_what_a_destroyed_key_leaves_is_destroyed_row_by_row(house: House) -> None:
    dataset = Set(new_id())
    made = put_many(house, dataset, 5)
    other = house.put(Set(new_id()), "a.csv", CONTENT)
    with house.writing() as writing:
        first = vault.destroy_dataset_key(writing, house.keys, dataset.id, "test", "operator:test", limit=1)
    with house.writing() as writing:
        second = sweeping.destroy_keyless(writing, limit=3)
    with house.writing() as writing:
        third = sweeping.destroy_keyless(writing, limit=3)
        assert sweeping.destroy_keyless(writing, limit=3) == Swept()
    assert sorted(first.removed + second.removed + third.removed) == sorted(found.storage for found in made)
    assert house.recorded()[-1].details["reason"] == "dataset-key-destroyed"
    assert house.open(other) == CONTENT


# ---- a retention that changes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "expected"), [(30, NOW + 30 * DAY), (365, NOW + 365 * DAY), (0, 0)])
def test_a_changed_retention_holds_for_what_is_there_already(house: House, days: int, expected: int) -> None:
    dataset = Set(new_id(), retention_days=90)
    found = house.put(dataset, "a.csv", CONTENT)
    other = house.put(Set(new_id(), retention_days=90), "a.csv", CONTENT)
    with house.writing() as writing:
        assert sweeping.reschedule(writing, dataset.id, days, "operator:test").objects == (found.id,)
    with house.reading() as connection:
        assert vault.object(connection, found.id) == msgspec.structs.replace(found, expires_us=expected)
        assert vault.object(connection, other.id) == other
    entry = house.recorded()[-1]
    assert (entry.kind, entry.details["retention_days"]) == ("vault.object.rescheduled", days)
    with house.writing() as writing:
        assert sweeping.reschedule(writing, dataset.id, days, "operator:test") == Swept()
    assert house.open(found) == CONTENT


def test_a_changed_retention_holds_for_puts_under_way_and_names_damage(house: House) -> None:
    dataset = Set(new_id(), retention_days=90)
    damaged = house.put(dataset, "a.csv", CONTENT)
    tampered(house, damaged, expires_us=1)
    ready = house.begin(dataset, "b.csv", CONTENT)
    house.seal(ready, CONTENT)
    with house.writing() as writing:
        assert sweeping.reschedule(writing, dataset.id, 7, "operator:test").damaged == (damaged.id,)
    assert house.commit(ready, CONTENT).object.expires_us == NOW + 7 * DAY


def test_what_is_destroyed_stays_as_it_was(house: House) -> None:
    dataset = Set(new_id(), retention_days=90)
    found = house.put(dataset, "a.csv", CONTENT)
    with house.writing() as writing:
        vault.destroy_object(writing, found.id, "test", "operator:test")
    with house.writing() as writing:
        assert sweeping.reschedule(writing, dataset.id, 7, "operator:test") == Swept()


def test_a_shorter_retention_destroys_nothing_within_a_week(house: House) -> None:
    dataset = Set(new_id(), retention_days=90)
    found = house.put(dataset, "a.csv", CONTENT)
    put = house.now
    house.now += 30 * DAY
    with house.writing() as writing:
        assert sweeping.reschedule(writing, dataset.id, 1, "operator:test").objects == (found.id,)
    with house.reading() as connection:
        (moved,) = [vault.object(connection, found.id)]
    assert moved is not None
    assert put + 37 * DAY <= moved.expires_us <= put + 37 * DAY + 60_000_000
    house.now += 3 * DAY
    with house.writing() as writing:
        assert sweeping.reschedule(writing, dataset.id, 2, "operator:test") == Swept(), "not put off again"
    with house.writing() as writing:
        assert sweeping.reschedule(writing, dataset.id, 90, "operator:test").objects == (found.id,)
    with house.reading() as connection:
        again = vault.object(connection, found.id)
    assert again == found, "it was stopped in time"


@pytest.mark.parametrize(
    ("before", "days", "after"),
    [(0, 1, 17), (90, 1, 17), (12, 1, 12), (12, 11, 12), (90, 30, 30), (90, 0, 0), (12, 90, 90), (5, 1, 5)],
)
def test_the_end_that_a_changed_retention_gives(before: int, days: int, after: int) -> None:
    """In days from when it was put, ten days ago."""
    assert rules.moved_us(before * DAY, 0, days, 10 * DAY) == after * DAY


# ---- leftovers -------------------------------------------------------------------------------------------------------


def test_puts_never_finished_are_forgotten_with_their_keys(house: House) -> None:
    dataset = Set(new_id())
    old = [house.begin(dataset, f"{number}.csv", CONTENT) for number in range(3)]
    house.now += sweeping.ABANDONED_AFTER_US
    young = house.begin(dataset, "young.csv", CONTENT)
    house.seal(young, CONTENT)
    before = house.now - sweeping.ABANDONED_AFTER_US + 1
    with house.writing() as writing:
        assert len(sweeping.abandon_puts(writing, before, limit=2)) == 2
    with house.writing() as writing:
        assert len(sweeping.abandon_puts(writing, before)) == 1
        assert sweeping.abandon_puts(writing, before) == ()
    for ready in old:
        with pytest.raises(NotFound):
            house.commit(ready, CONTENT)
    assert house.open(house.commit(young, CONTENT).object) == CONTENT
    assert "vault.object.destroyed" not in house.kinds()


def test_only_blobs_of_nobody_are_orphans(house: House) -> None:
    dataset = Set(new_id())
    present = house.put(dataset, "a.csv", CONTENT)
    under_way = house.begin(dataset, "b.csv", CONTENT)
    house.seal(under_way, CONTENT)
    destroyed = house.put(dataset, "c.csv", CONTENT)
    aborted = house.begin(dataset, "d.csv", CONTENT)
    house.seal(aborted, CONTENT)
    stray = new_id()
    house.store.put(stray, encrypt([CONTENT], bytes(32), new_header(new_id())))
    with house.writing() as writing:  # and then the process was killed, before the blobs were deleted
        vault.destroy_object(writing, destroyed.id, "test", "operator:test")
        vault.abort_put(writing, aborted.object)
    found = set(sweeping.orphans(house.reader, house.store))
    assert found == {destroyed.storage, aborted.storage, stray}
    for key in found:
        assert house.store.delete(key)
    assert set(house.store.keys()) == {present.storage, under_way.storage}
    assert house.open(present) == CONTENT
    assert house.open(house.commit(under_way, CONTENT).object) == CONTENT


def test_a_row_that_was_changed_costs_no_content(house: House) -> None:
    """Somebody who can write to the database must not have the keeper delete the ciphertext for them."""
    found = house.put(Set(new_id()), "a.csv", CONTENT)
    tampered(house, found, state="destroyed")
    assert list(sweeping.orphans(house.reader, house.store)) == []


def test_orphans_among_more_blobs_than_are_compared_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_KEYS_AT_ONCE", 2)
    dataset = Set(new_id())
    kept = {found.storage for found in put_many(house, dataset, 5)}
    strays = {new_id() for _ in range(5)}
    for stray in strays:
        house.store.put(stray, [b"x"])
    assert set(sweeping.orphans(house.reader, house.store)) == strays
    assert kept | strays == set(house.store.keys())


def test_an_empty_house_has_nothing_to_sweep(house: House) -> None:
    assert list(sweeping.orphans(house.reader, house.store)) == []
    with house.writing() as writing:
        assert sweeping.destroy_expired(writing, NOW) == Swept()
        assert sweeping.destroy_keyless(writing) == Swept()
        assert sweeping.abandon_puts(writing, NOW) == ()
    with house.reading() as connection:
        assert connection.execute(select(puts)).all() == []
        assert sweeping.expired_objects(connection, NOW) == []
    assert house.kinds() == []


def test_a_put_whose_dataset_key_went_is_swept_like_any_other(house: House) -> None:
    dataset = Set(new_id())
    ready = house.begin(dataset, "a.csv", CONTENT)
    house.seal(ready, CONTENT)
    with house.writing() as writing:
        vault.destroy_dataset_key(writing, house.keys, dataset.id, "test", "operator:test")
    with pytest.raises(Conflict):
        house.commit(ready, CONTENT)
    with house.writing() as writing:
        assert sweeping.abandon_puts(writing, NOW + 1) == (ready.storage,)
