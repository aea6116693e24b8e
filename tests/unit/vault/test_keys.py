"""Keys open what they wrapped, where they wrapped it, and nothing else."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from keten.core.errors import Corrupt
from keten.core.ids import new_id
from keten.vault import keys as keys_module
from keten.vault.keys import Keys
from keten.vault.model import WrappedKey

DATASET, OTHER_DATASET, OBJECT, OTHER_OBJECT, PERSON = (new_id() for _ in range(5))


@pytest.fixture
def keys() -> Keys:
    return Keys(b"\x01" * 32)


def wrapped(keys: Keys) -> tuple[bytes, WrappedKey]:
    dataset_key = keys.new_dataset_key(DATASET)
    key, content_key = keys.new_content_key(DATASET, dataset_key, OBJECT)
    return key, WrappedKey(DATASET, OBJECT, dataset_key, content_key)


def test_a_content_key_opens_again_also_for_a_keeper_that_starts_anew(keys: Keys) -> None:
    key, stored = wrapped(keys)
    assert keys.content_key(stored) == key
    assert Keys(b"\x01" * 32).content_key(stored) == key
    assert len(key) == 32
    assert key not in stored.content_key


def test_every_key_is_fresh(keys: Keys) -> None:
    dataset_key = keys.new_dataset_key(DATASET)
    assert len({keys.new_content_key(DATASET, dataset_key, OBJECT)[0] for _ in range(50)}) == 50
    assert len({keys.new_dataset_key(DATASET) for _ in range(50)}) == 50


def code_of(keys: Keys, stored: WrappedKey) -> str:
    with pytest.raises(Corrupt) as caught:
        keys.content_key(stored)
    return caught.value.code


def test_a_key_moved_elsewhere_does_not_open(keys: Keys) -> None:
    _key, stored = wrapped(keys)
    other = keys.new_dataset_key(OTHER_DATASET)
    for moved in (
        msgspec.structs.replace(stored, object=OTHER_OBJECT),
        msgspec.structs.replace(stored, dataset=OTHER_DATASET),
        msgspec.structs.replace(stored, dataset_key=other),
        msgspec.structs.replace(stored, dataset=OTHER_DATASET, dataset_key=other),
        msgspec.structs.replace(stored, dataset_key=stored.content_key),
        msgspec.structs.replace(stored, content_key=stored.dataset_key),
    ):
        assert code_of(keys, moved) == "key-damaged"
    assert code_of(Keys(b"\x02" * 32), stored) == "key-damaged"


def test_any_byte_changed_is_noticed(keys: Keys) -> None:
    _key, stored = wrapped(keys)
    for at in range(len(stored.content_key)):
        changed = bytearray(stored.content_key)
        changed[at] ^= 1
        assert code_of(keys, msgspec.structs.replace(stored, content_key=bytes(changed))) == "key-damaged"
    for blob in (b"", b"x", stored.dataset_key[:-1], stored.dataset_key + b"\0"):
        assert code_of(keys, msgspec.structs.replace(stored, dataset_key=blob)) == "key-damaged"


def test_a_damaged_key_is_named_in_full(keys: Keys) -> None:
    _key, stored = wrapped(keys)
    with pytest.raises(Corrupt) as caught:
        keys.content_key(msgspec.structs.replace(stored, object=OTHER_OBJECT))
    assert caught.value.reason == f"content-key/{DATASET}/{OTHER_OBJECT}"


def test_an_opened_key_that_was_remembered_opens_nothing_for_another_stored_one(keys: Keys) -> None:
    _key, stored = wrapped(keys)
    keys.content_key(stored)
    changed = stored.dataset_key[:-1] + bytes([stored.dataset_key[-1] ^ 1])
    assert code_of(keys, msgspec.structs.replace(stored, dataset_key=changed)) == "key-damaged"


def test_what_is_remembered_is_bounded_and_forgotten_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "MAX_CACHED", 3)
    keys = Keys(b"\x01" * 32)
    made = {}
    for _ in range(10):
        dataset = new_id()
        dataset_key = keys.new_dataset_key(dataset)
        made[dataset] = (dataset_key, *keys.new_content_key(dataset, dataset_key, OBJECT))
    assert len(keys._datasets._opened) == 3
    for dataset, (dataset_key, key, content_key) in made.items():
        assert keys.content_key(WrappedKey(dataset, OBJECT, dataset_key, content_key)) == key
    last = next(reversed(made))
    keys.forget(last)
    assert all(owner != last for owner, _wrapped in keys._datasets._opened)


def test_personal_data_opens_under_its_subjects_key_only(keys: Keys) -> None:
    mine, others = keys.new_subject_key(PERSON), keys.new_subject_key(OTHER_OBJECT)
    sealed = keys.seal(PERSON, mine, b'{"email":"jan@gemeente.example"}')
    assert "gemeente.example" not in sealed
    assert b"gemeente.example" not in base64.b64decode(sealed, validate=True)
    assert keys.open(PERSON, mine, sealed) == b'{"email":"jan@gemeente.example"}'
    assert keys.seal(PERSON, mine, b"") != keys.seal(PERSON, mine, b"")
    assert keys.open(PERSON, mine, keys.seal(PERSON, mine, b"")) == b""
    for subject, key, text, code in (
        (OTHER_OBJECT, others, sealed, "personal-damaged"),
        (OTHER_OBJECT, mine, sealed, "key-damaged"),
        (PERSON, others, sealed, "key-damaged"),
        (PERSON, mine, sealed[:-4], "personal-damaged"),
        (PERSON, mine, "", "personal-damaged"),
        (PERSON, mine, "not base64!", "personal-damaged"),
        (PERSON, mine, "é", "personal-damaged"),
    ):
        with pytest.raises(Corrupt) as caught:
            keys.open(subject, key, text)
        assert caught.value.code == code
        assert "gemeente.example" not in str(caught.value)


def test_a_dataset_key_is_no_subject_key(keys: Keys) -> None:
    with pytest.raises(Corrupt):
        keys.seal(DATASET, keys.new_dataset_key(DATASET), b"x")


def test_several_threads_share_keys(keys: Keys) -> None:
    key, stored = wrapped(keys)

    def work(number: int) -> bool:
        if number % 3 == 0:
            keys.forget(DATASET)
        return keys.content_key(stored) == key

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(400)))
