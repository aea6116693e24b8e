"""Putting, reading and destroying, in the one writer's transactions."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import select

from keten.core.clock import from_rfc3339
from keten.core.errors import Busy, Conflict, Corrupt, Invalid, KetenError, NotFound, Unavailable
from keten.core.ids import new_id
from keten.vault import service as vault
from keten.vault.frames import encrypt, new_header
from keten.vault.model import Destroyed, Object
from keten.vault.tables import content_keys, dataset_keys, puts
from tests.unit.vault.house import DAY, NOW, House, Set, code_of, digest_of

ONE = b"bsn,naam\n1,Jan\n"
TWO = b"bsn,naam\n1,Jan\n2,Piet\n"


@pytest.fixture
def dataset() -> Set:
    return Set(new_id(), retention_days=90)


def test_what_is_put_can_be_read(house: House, dataset: Set) -> None:
    found = house.put(dataset, "kiezers.csv", ONE)
    assert house.open(found) == ONE
    with house.reading() as connection:
        assert vault.object(connection, found.id) == found
        assert vault.objects_of(connection, dataset.id) == [found]
        assert vault.object(connection, new_id()) is None
        assert vault.objects_of(connection, new_id()) == []
    assert (found.name, found.size, found.digest, found.records) == ("kiezers.csv", len(ONE), digest_of(ONE), 3)
    assert (found.put_us, found.expires_us) == (NOW, NOW + 90 * DAY)


def test_what_is_at_rest_is_ciphertext_under_a_random_name(house: House, dataset: Set) -> None:
    found = house.put(dataset, "kiezers.csv", ONE * 1000)
    [stored] = list(house.store.keys())
    assert stored == found.storage
    assert stored != found.id
    blob = house.store.open(stored)
    assert ONE not in blob.read_at(0, blob.size)
    database = house.path.read_bytes() + house.path.with_name("keten.db-wal").read_bytes()
    with house.reading() as connection:
        assert vault.content_key(connection, house.keys, found) not in database


def test_the_entry_says_what_was_stored_and_nothing_is_visible_before_it(house: House, dataset: Set) -> None:
    ready = house.begin(dataset, "kiezers.csv", ONE)
    house.seal(ready, ONE)
    with house.reading() as connection:
        assert vault.object(connection, ready.object) is None
        assert vault.objects_of(connection, dataset.id) == []
    stored = house.commit(ready, ONE)
    assert house.kinds() == ["vault.key.made", "vault.object.stored"]
    entry = house.recorded()[stored.index]
    assert entry.refs == {"dataset": dataset.id, "object": ready.object}
    assert entry.actor == "operator:test"
    assert msgspec.convert(entry.details["after"], Object) == stored.object
    assert "replaces" not in entry.details
    assert from_rfc3339(entry.time) == stored.object.put_us


def test_one_dataset_has_one_key(house: House, dataset: Set) -> None:
    house.put(dataset, "a.csv", ONE)
    house.put(dataset, "b.csv", TWO)
    assert house.kinds().count("vault.key.made") == 1


# ---- the same name again -------------------------------------------------------------------------------------------


def test_the_same_again_changes_nothing(house: House, dataset: Set) -> None:
    found = house.put(dataset, "kiezers.csv", ONE)
    before = house.kinds()
    for replace in (False, True):
        ready = house.begin(dataset, "kiezers.csv", ONE, replace=replace)
        assert (ready.object, ready.key, ready.unchanged) == (found.id, b"", True)
    assert house.kinds() == before
    with house.reading() as connection:
        assert connection.execute(select(puts)).all() == []


def test_other_content_is_not_put_in_its_place_unasked(house: House, dataset: Set) -> None:
    found = house.put(dataset, "kiezers.csv", ONE)
    assert code_of(Conflict, lambda: house.begin(dataset, "kiezers.csv", TWO)) == "name-taken"
    assert house.open(found) == ONE


def test_replacing_destroys_the_old_in_the_same_transaction(house: House, dataset: Set) -> None:
    old = house.put(dataset, "kiezers.csv", ONE)
    new = house.put(dataset, "kiezers.csv", TWO, replace=True)
    assert house.open(new) == TWO
    assert code_of(NotFound, lambda: house.open(old)) == "absent"
    with house.reading() as connection:
        gone = vault.object(connection, old.id)
        assert gone is not None
        assert (gone.state, gone.reason) == ("destroyed", "replaced")
        assert vault.objects_of(connection, dataset.id) == [new]
    assert list(house.store.keys()) == [new.storage]
    assert house.kinds()[-2:] == ["vault.object.destroyed", "vault.object.stored"]
    assert house.recorded()[-1].details["replaces"] == old.id


def test_the_same_name_in_another_dataset_is_another_object(house: House, dataset: Set) -> None:
    one = house.put(dataset, "kiezers.csv", ONE)
    other = house.put(Set(new_id()), "kiezers.csv", TWO)
    assert (house.open(one), house.open(other)) == (ONE, TWO)


@pytest.mark.parametrize("replace", [False, True])
def test_names_that_a_recipients_disk_takes_for_one_do_not_meet(house: House, dataset: Set, replace: bool) -> None:
    house.put(dataset, "Kiezers.csv", ONE)
    assert code_of(Conflict, lambda: house.begin(dataset, "kiezers.CSV", TWO, replace=replace)) == "name-collides"
    assert code_of(Conflict, lambda: house.begin(dataset, "kiezers.CSV", ONE, replace=replace)) == "name-collides"


def test_a_name_is_free_again_once_its_object_is_destroyed(house: House, dataset: Set) -> None:
    old = house.put(dataset, "kiezers.csv", ONE)
    with house.writing() as writing:
        vault.destroy_object(writing, old.id, "no longer needed", "operator:test")
    house.store.delete(old.storage)
    assert house.open(house.put(dataset, "KIEZERS.csv", ONE)) == ONE


def test_of_two_puts_of_one_name_the_first_to_end_wins(house: House, dataset: Set) -> None:
    first, second = house.begin(dataset, "a.csv", ONE), house.begin(dataset, "a.csv", TWO)
    for ready, content in ((first, ONE), (second, TWO)):
        house.seal(ready, content)
    kept = house.commit(first, ONE).object
    assert code_of(Conflict, lambda: house.commit(second, TWO)) == "name-taken"
    assert house.open(kept) == ONE
    with house.writing() as writing:
        assert vault.abort_put(writing, second.object) == (second.storage,)


def test_the_same_content_put_twice_at_once_is_kept_once(house: House, dataset: Set) -> None:
    first, second = house.begin(dataset, "a.csv", ONE), house.begin(dataset, "a.csv", ONE)
    for ready in (first, second):
        house.seal(ready, ONE)
    kept = house.commit(first, ONE).object
    again = house.commit(second, ONE)
    assert (again.object, again.unchanged, again.removed) == (kept, True, (second.storage,))
    assert house.recorded()[again.index].kind == "vault.put.dropped"
    assert list(house.store.keys()) == [kept.storage]
    assert house.open(kept) == ONE


def test_two_puts_of_one_name_in_one_transaction(house: House, dataset: Set) -> None:
    first, second = house.begin(dataset, "a.csv", ONE), house.begin(dataset, "a.csv", TWO, replace=True)
    for ready, content in ((first, ONE), (second, TWO)):
        house.seal(ready, content)
    with house.writing() as writing:
        for ready, content, fine in ((first, ONE, True), (second, TWO, False)):
            values = {"object_id": ready.object, "size": len(content), "digest": digest_of(content), "records": 1}
            if fine:
                vault.commit_put(writing, house.keys, actor="operator:test", **values)  # type: ignore[arg-type]  # by name
            else:
                with pytest.raises(Busy):
                    vault.commit_put(writing, house.keys, actor="operator:test", **values)  # type: ignore[arg-type]
    assert house.commit(second, TWO).object.size == len(TWO)


# ---- puts that are wrong, repeated, late ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "../a"}, "file-name"),
        ({"media_type": "csv"}, "media-type"),
        ({"digest": "md5=:x:"}, "digest"),
        ({"size": -2}, "size"),
        ({"size": 2**62}, "content-too-large"),
    ],
)
def test_a_put_that_makes_no_sense_leaves_no_trace(
    house: House, dataset: Set, change: dict[str, object], code: str
) -> None:
    values: dict[str, object] = {
        "name": "a.csv",
        "media_type": "text/csv",
        "digest": digest_of(ONE),
        "size": len(ONE),
        "replace": False,
        "actor": "operator:test",
    }
    with house.writing() as writing, pytest.raises(Invalid) as caught:
        vault.begin_put(writing, house.keys, dataset, **(values | change))  # type: ignore[arg-type]  # by name
    assert caught.value.code == code
    assert house.kinds() == []
    with house.reading() as connection:
        for table in (puts, dataset_keys, content_keys):
            assert connection.execute(select(table)).all() == []


@pytest.mark.parametrize(
    ("change", "expected", "code"),
    [
        ({"size": len(ONE) + 1}, Conflict, "content-changed"),
        ({"digest": digest_of(TWO)}, Conflict, "content-changed"),
        ({"digest": ""}, Invalid, "digest"),
        ({"records": -1}, Invalid, "records"),
        ({"size": -1}, Invalid, "size"),
        ({"object_id": "nonsense"}, NotFound, "put-unknown"),
    ],
)
def test_a_commit_that_makes_no_sense_leaves_the_put_as_it_was(
    house: House, dataset: Set, change: dict[str, object], expected: type[KetenError], code: str
) -> None:
    ready = house.begin(dataset, "a.csv", ONE)
    house.seal(ready, ONE)
    values: dict[str, object] = {
        "object_id": ready.object,
        "size": len(ONE),
        "digest": digest_of(ONE),
        "records": 1,
        "actor": "operator:test",
    }
    with house.writing() as writing, pytest.raises(expected) as caught:
        vault.commit_put(writing, house.keys, **(values | change))  # type: ignore[arg-type]  # by name
    assert caught.value.code == code
    assert house.open(house.commit(ready, ONE).object) == ONE


def test_content_whose_digest_is_not_known_beforehand(house: House, dataset: Set) -> None:
    with house.writing() as writing:
        ready = vault.begin_put(
            writing,
            house.keys,
            dataset,
            name="pijp.csv",
            media_type="text/csv",
            digest="",
            size=-1,
            replace=False,
            actor="operator:test",
        )
    house.seal(ready, ONE)
    found = house.commit(ready, ONE).object
    assert (house.open(found), found.size, found.digest) == (ONE, len(ONE), digest_of(ONE))


def test_a_commit_said_twice_is_told_so(house: House, dataset: Set) -> None:
    ready = house.begin(dataset, "a.csv", ONE)
    house.seal(ready, ONE)
    found = house.commit(ready, ONE).object
    assert code_of(Conflict, lambda: house.commit(ready, ONE)) == "put-committed"
    assert house.open(found) == ONE


def test_an_aborted_put_is_gone_with_its_key(house: House, dataset: Set) -> None:
    ready = house.begin(dataset, "a.csv", ONE)
    house.seal(ready, ONE)
    for expected in ((ready.storage,), ()):
        with house.writing() as writing:
            assert vault.abort_put(writing, ready.object) == expected
    assert code_of(NotFound, lambda: house.commit(ready, ONE)) == "put-unknown"
    with house.writing() as writing:
        assert vault.abort_put(writing, "nonsense") == ()


def test_what_is_rolled_back_never_was(house: House, dataset: Set) -> None:
    found = house.put(dataset, "a.csv", ONE)
    ready = house.begin(dataset, "a.csv", TWO, replace=True)
    house.seal(ready, TWO)

    def stopped() -> None:
        with house.writing() as writing:
            values = {"object_id": ready.object, "size": len(TWO), "digest": digest_of(TWO), "records": 1}
            vault.commit_put(writing, house.keys, actor="operator:test", **values)  # type: ignore[arg-type]  # by name
            vault.destroy_dataset_key(writing, house.keys, dataset.id, "test", "operator:test")
            raise Unavailable("disk-full", "The disk is full.")

    assert code_of(Unavailable, stopped) == "disk-full"
    assert house.open(found) == ONE
    assert house.commit(ready, TWO).object.size == len(TWO)


def test_what_the_store_holds_is_looked_at_before_a_commit(house: House, dataset: Set) -> None:
    ready = house.begin(dataset, "a.csv", ONE)
    with house.reading() as connection:
        put = vault.put_of(connection, ready.object)
        assert vault.put_of(connection, new_id()) is None
    assert put is not None
    assert code_of(Corrupt, lambda: vault.check_stored(house.store, put, len(ONE))) == "content-missing"
    house.seal(ready, ONE)
    vault.check_stored(house.store, put, len(ONE))
    assert code_of(Corrupt, lambda: vault.check_stored(house.store, put, len(ONE) + 1)) == "content-damaged"
    house.store.delete(ready.storage)
    house.store.put(ready.storage, encrypt([ONE], ready.key, new_header(new_id())))
    assert code_of(Corrupt, lambda: vault.check_stored(house.store, put, len(ONE))) == "content-damaged"
    house.store.delete(ready.storage)
    house.store.put(ready.storage, [b""])
    assert code_of(Corrupt, lambda: vault.check_stored(house.store, put, len(ONE))) == "content-damaged"


def test_a_store_that_fails_to_read_is_said_to(house: House, dataset: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = house.begin(dataset, "a.csv", ONE)
    house.seal(ready, ONE)
    with house.reading() as connection:
        put = vault.put_of(connection, ready.object)
    assert put is not None
    blob = house.store.open(ready.storage)
    closed = []

    class Broken:
        size = blob.size

        def read_at(self, _offset: int, _length: int) -> bytes:
            raise OSError(5, "Input/output error")

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(house.store, "open", lambda _key: Broken())
    assert code_of(Unavailable, lambda: vault.check_stored(house.store, put, len(ONE))) == "content-unreadable"
    assert closed
    blob.close()


# ---- destroying ----------------------------------------------------------------------------------------------------


def test_destroying_takes_the_key_with_an_entry(house: House, dataset: Set) -> None:
    found = house.put(dataset, "a.csv", ONE)
    with house.writing() as writing:
        done = vault.destroy_object(writing, found.id, " contract over ", "operator:test")
    assert house.changed
    assert done.removed == (found.storage,)
    assert done.index is not None
    entry = house.recorded()[done.index]
    assert (entry.kind, entry.details["reason"]) == ("vault.object.destroyed", "contract over")
    assert entry.details["after"]["state"] == "destroyed"
    assert code_of(NotFound, lambda: house.open(found)) == "absent"
    with house.reading() as connection:
        assert connection.execute(select(content_keys)).all() == []
        gone = vault.object(connection, found.id)
        assert gone is not None
        assert code_of(NotFound, lambda: vault.content_key(connection, house.keys, gone)) == "absent"


def test_destroying_twice_is_no_error_and_no_entry(house: House, dataset: Set) -> None:
    found = house.put(dataset, "a.csv", ONE)
    with house.writing() as writing:
        first = vault.destroy_object(writing, found.id, "test", "operator:test")
        second = vault.destroy_object(writing, found.id, "test", "operator:test")
    with house.writing() as writing:
        third = vault.destroy_object(writing, found.id, "test", "operator:test")
    assert first.index is not None
    assert second == third == Destroyed(None, (found.storage,))
    assert house.kinds().count("vault.object.destroyed") == 1


def test_destroying_what_is_not_there_or_without_a_reason(house: House, dataset: Set) -> None:
    found = house.put(dataset, "a.csv", ONE)
    with house.writing() as writing:
        assert code_of(NotFound, lambda: vault.destroy_object(writing, new_id(), "test", "x")) == "absent"
        assert code_of(Invalid, lambda: vault.destroy_object(writing, found.id, " ", "x")) == "reason"
        assert code_of(Invalid, lambda: vault.destroy_dataset_key(writing, house.keys, dataset.id, "", "x")) == "reason"
    assert house.open(found) == ONE


def test_without_its_datasets_key_content_is_gone_for_ever(house: House, dataset: Set) -> None:
    many = [house.put(dataset, f"{number}.csv", ONE) for number in range(5)]
    other = house.put(Set(new_id()), "a.csv", TWO)
    ready = house.begin(dataset, "late.csv", TWO)
    house.seal(ready, TWO)
    with house.reading() as connection:
        kept = connection.execute(select(dataset_keys).where(dataset_keys.c.dataset == dataset.id)).mappings().one()
    assert any(bytes(kept["wrapped"]) in file.read_bytes() for file in house.path.parent.glob("keten.db*"))
    with house.writing() as writing:
        done = vault.destroy_dataset_key(writing, house.keys, dataset.id, "end of project", "operator:test", limit=3)
        assert writing.changed  # so that whoever keeps wrapped keys in memory lets go of them
    assert len(done.removed) == 3
    assert done.index is not None
    entry = house.recorded()[done.index]
    assert (entry.kind, entry.details) == ("vault.key.destroyed", {"objects": 5, "reason": "end of project"})
    codes = sorted(code_of(NotFound, lambda found=found: house.open(found)) for found in many)  # type: ignore[misc]
    assert codes == ["absent"] * 3 + ["key-destroyed"] * 2
    assert house.open(other) == TWO
    # Nothing new either: not a put that was under way, not another one.
    assert code_of(Conflict, lambda: house.commit(ready, TWO)) == "key-destroyed"
    assert code_of(Conflict, lambda: house.begin(dataset, "new.csv", ONE)) == "key-destroyed"
    with house.writing() as writing:
        assert vault.destroy_dataset_key(writing, house.keys, dataset.id, "again", "operator:test").index is None
        unknown = new_id()
        does = lambda: vault.destroy_dataset_key(writing, house.keys, unknown, "test", "x")  # noqa: E731 - one use
        assert code_of(NotFound, does) == "dataset-key-missing"
    # Once the database is closed, or its log merged, no file holds the wrapped key any more.
    house.reader.dispose()
    house.engine.dispose()
    for file in house.path.parent.glob("keten.db*"):
        assert bytes(kept["wrapped"]) not in file.read_bytes()


def test_destroying_a_key_is_always_a_change_of_the_register(house: House, dataset: Set) -> None:
    house.put(dataset, "a.csv", ONE)
    with house.writing() as writing:
        done = vault.destroy_dataset_key(writing, house.keys, dataset.id, "test", "operator:test", limit=0)
        assert writing.changed
    assert len(done.removed) == 1
