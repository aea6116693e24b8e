"""The vault against a model of it: any sequence of verbs, the process killed after any of them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select

from keten.core.errors import Conflict, NotFound
from keten.core.ids import new_id
from keten.vault import service as vault
from keten.vault import sweeping
from keten.vault.model import Object, Ready, Stored
from keten.vault.tables import content_keys
from tests.unit.vault.house import DAY, House, Set, digest_of

NAMES = ["a.csv", "A.csv", "b.csv", "c.csv"]
CONTENTS = [b"", b"bsn\n1\n", b"bsn\n1\n2\n"]
DATASETS = 2
UNSEALED = b"killed before anything was written"


class Vault(RuleBasedStateMachine):
    """`present`: (dataset, name) → the object and its content. `begun`: puts under way."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="keten-vault-"))
        self.house = House(self.folder)
        self.datasets = [Set(new_id(), retention_days=days) for days in (0, 3)]
        self.present: dict[tuple[int, str], tuple[Object, bytes]] = {}
        self.begun: list[tuple[int, str, bool, Ready, bytes]] = []
        self.gone: list[Object] = []
        self.keyless: set[int] = set()
        self.leftovers: set[str] = set()

    def teardown(self) -> None:
        self.house.engine.dispose()
        self.house.reader.dispose()
        shutil.rmtree(self.folder)

    def _meeting(self, at: int, name: str) -> tuple[Object, bytes] | None:
        alike = [key for key in self.present if key[0] == at and key[1].lower() == name.lower()]
        return self.present[alike[0]] if alike else None

    def _refusal(self, at: int, name: str, content: bytes, *, replace: bool) -> str:
        """The code of the refusal that this content under this name must meet, or ""."""
        taken = self._meeting(at, name)
        if at in self.keyless:
            return "key-destroyed"
        if taken is None or (taken[0].name == name and (replace or taken[1] == content)):
            return ""
        return "name-taken" if taken[0].name == name else "name-collides"

    def _commit(self, ready: Ready, content: bytes) -> Stored:
        with self.house.writing() as writing:
            return vault.commit_put(
                writing,
                self.house.keys,
                object_id=ready.object,
                size=len(content),
                digest=digest_of(content),
                records=1,
                actor="operator:test",
            )

    def _lose(self, found: Object, *, deleted: bool) -> None:
        self.gone.append(found)
        self.present = {key: value for key, value in self.present.items() if value[0].id != found.id}
        if deleted:
            self.house.store.delete(found.storage)
        else:
            self.leftovers.add(found.storage)

    @rule(
        at=st.integers(0, DATASETS - 1),
        name=st.sampled_from(NAMES),
        content=st.sampled_from(CONTENTS),
        replace=st.booleans(),
        sealed=st.booleans(),
    )
    def begin(self, at: int, name: str, content: bytes, replace: bool, sealed: bool) -> None:
        taken = self._meeting(at, name)
        expected = self._refusal(at, name, content, replace=replace)
        if expected:
            with pytest.raises(Conflict) as caught:
                self.house.begin(self.datasets[at], name, content, replace=replace)
            assert caught.value.code == expected
            return
        ready = self.house.begin(self.datasets[at], name, content, replace=replace)
        if taken is not None and taken[1] == content:
            assert ready.unchanged
            assert ready.object == taken[0].id
            return
        if sealed:
            self.house.seal(ready, content)
        self.begun.append((at, name, replace, ready, content if sealed else UNSEALED))

    @precondition(lambda self: any(put[4] != UNSEALED for put in self.begun))
    @rule(data=st.data(), killed=st.booleans())
    def commit(self, data: st.DataObject, killed: bool) -> None:
        put = data.draw(st.sampled_from([one for one in self.begun if one[4] != UNSEALED]))
        at, name, replace, ready, content = put
        taken = self._meeting(at, name)
        expected = self._refusal(at, name, content, replace=replace)
        if expected:
            with pytest.raises(Conflict) as caught:
                self._commit(ready, content)
            assert caught.value.code == expected
            return
        stored = self._commit(ready, content)
        self.begun.remove(put)
        if taken is not None and taken[1] == content:
            assert stored.unchanged
            self.leftovers.add(ready.storage)
        else:
            if taken is not None:
                self._lose(taken[0], deleted=False)
            self.present[at, name] = (stored.object, content)
        if not killed:
            for key in stored.removed:
                self.house.store.delete(key)
                self.leftovers.discard(key)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        put = data.draw(st.sampled_from(self.begun))
        with self.house.writing() as writing:
            assert vault.abort_put(writing, put[3].object) == (put[3].storage,)
        self.begun.remove(put)
        self.leftovers.add(put[3].storage)

    @precondition(lambda self: self.present)
    @rule(data=st.data(), killed=st.booleans())
    def destroy(self, data: st.DataObject, killed: bool) -> None:
        found, _content = data.draw(st.sampled_from(sorted(self.present.values(), key=lambda one: one[0].id)))
        with self.house.writing() as writing:
            vault.destroy_object(writing, found.id, "test", "operator:test")
        self._lose(found, deleted=not killed)

    @rule(days=st.integers(1, 4))
    def retention(self, days: int) -> None:
        self.house.now += days * DAY
        with self.house.writing() as writing:
            swept = sweeping.destroy_expired(writing, self.house.now)
        expired = [
            found
            for found, _content in self.present.values()
            if found.expires_us and found.expires_us <= self.house.now
        ]
        assert set(swept.objects) == {found.id for found in expired}
        for found in expired:
            self._lose(found, deleted=False)

    @rule(at=st.integers(0, DATASETS - 1), limit=st.integers(0, 2))
    def destroy_key(self, at: int, limit: int) -> None:
        dataset = self.datasets[at].id
        try:
            with self.house.writing() as writing:
                done = vault.destroy_dataset_key(writing, self.house.keys, dataset, "test", "operator:test", limit)
        except NotFound:
            assert not any(key[0] == at for key in self.present)
            return
        assert (done.index is None) == (at in self.keyless)
        self.keyless.add(at)
        for found, _content in [value for key, value in self.present.items() if key[0] == at]:
            self._lose(found, deleted=False)

    @rule()
    def sweep(self) -> None:
        with self.house.writing() as writing:
            sweeping.destroy_keyless(writing)
        unsealed = {put[3].storage for put in self.begun}
        orphans = set(sweeping.orphans(self.house.reader, self.house.store))
        assert orphans == set(self.house.store.keys()) - unsealed - {one.storage for one, _ in self.present.values()}
        assert orphans <= self.leftovers
        for key in orphans:
            assert self.house.store.delete(key)

    @invariant()
    def what_is_present_can_be_read_and_what_is_gone_can_not(self) -> None:
        for found, content in self.present.values():
            assert self.house.open(found) == content
        for found in self.gone:
            try:
                self.house.open(found)
            except NotFound:
                continue
            raise AssertionError(found.id)

    @invariant()
    def listings_and_keys_agree_with_what_is_present(self) -> None:
        with self.house.reading() as connection:
            held = connection.execute(select(content_keys.c.object)).scalars().all()
            for at, dataset in enumerate(self.datasets):
                if at not in self.keyless:
                    listed = {one.id for one in vault.objects_of(connection, dataset.id)}
                    assert listed == {one.id for key, (one, _) in self.present.items() if key[0] == at}
        assert {one.id for one, _content in self.present.values()} <= set(held)


TestVault = Vault.TestCase
TestVault.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
