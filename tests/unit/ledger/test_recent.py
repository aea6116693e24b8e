"""The newest entries in memory: the same as what the database would give, or nothing."""

from __future__ import annotations

import json

import pytest

from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from keten.ledger.notes import Signer
from keten.ledger.recent import Fresh, Recent
from keten.ledger.sealing import Batch, EntryIds, Head, Sealer

KIND = Kind("suppliers.contract.declared", "Only to be sealed.", {})
NOW = 1_795_334_400_000_000


class Log:
    """Commits one after the other."""

    def __init__(self, signer: Signer) -> None:
        self._sealer = Sealer(signer, signer.name, EntryIds(bytes(32), signer.name))
        self.head: Head = self._sealer.empty()

    def commit(self, count: int, personal: dict[str, str] | None = None) -> Batch:
        drafts = [
            Draft(KIND, f"actor{self.head.size + one}", refs={"dataset": "d"}, personal=personal or {})
            for one in range(count)
        ]
        batch = self._sealer.seal(self.head, drafts, NOW)
        self.head = batch.head
        return batch


@pytest.fixture
def log(signer: Signer) -> Log:
    return Log(signer)


def indexes(found: list[Fresh] | None) -> list[int] | None:
    return None if found is None else [one.sealed.index for one in found]


def test_what_was_committed_is_there_as_it_was_sealed(log: Log) -> None:
    recent = Recent(8)
    first, second = log.commit(3), log.commit(2)
    recent.add(first)
    recent.add(second)
    found = recent.read(1, 5)
    assert found is not None
    assert [one.sealed for one in found] == [*first.sealed[1:], *second.sealed]
    assert [one.text() for one in found] == [row[4] for row in [*first.rows[1:], *second.rows]]
    assert [one.draft.actor for one in found] == ["actor1", "actor2", "actor3", "actor4"]
    assert recent.read(5, 5) == []


def test_what_is_not_all_there_is_not_given_in_part(log: Log) -> None:
    recent = Recent(4)
    assert recent.read(0, 1) is None
    for _ in range(3):
        recent.add(log.commit(2))
    assert indexes(recent.read(2, 6)) == [2, 3, 4, 5]
    assert recent.read(1, 3) is None  # 1 made room for 5
    assert recent.read(5, 7) is None  # 7 is not there yet
    assert recent.read(0, 1) is None


def test_of_a_commit_that_is_larger_than_the_memory_its_end_stays(log: Log) -> None:
    recent = Recent(4)
    recent.add(log.commit(11))
    assert indexes(recent.read(7, 11)) == [7, 8, 9, 10]
    assert recent.read(6, 8) is None


def test_after_an_erasure_nothing_of_before_is_known(log: Log) -> None:
    recent = Recent(8)
    recent.add(log.commit(3))
    recent.forget()
    recent.add(log.commit(1))
    assert recent.read(2, 4) is None
    assert indexes(recent.read(3, 4)) == [3]


def test_what_is_personal_is_not_handed_on(log: Log) -> None:
    recent = Recent(8)
    recent.add(log.commit(1, {"subject": "c2VhbGVk"}))
    (one,) = recent.read(0, 1) or []
    assert "personal" in json.loads(one.payload)
    told = json.loads(one.text())
    assert "personal" not in told
    assert told == {name: value for name, value in json.loads(one.payload).items() if name != "personal"}
