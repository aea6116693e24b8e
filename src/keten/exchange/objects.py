"""Objects as the door sees them: checked rows, cached until the register changes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from sqlalchemy import Engine

from keten.vault import service as vault
from keten.vault.model import Object, WrappedKey

T = TypeVar("T")
MAX_CACHED = 50_000


class Objects:
    """Cached reads of the vault's objects, for the keeper's loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_id: OrderedDict[str, Object | None] = OrderedDict()
        self._by_dataset: OrderedDict[str, tuple[Object, ...]] = OrderedDict()
        self._keys: OrderedDict[str, WrappedKey] = OrderedDict()

    def invalidate(self) -> None:
        """Forget everything: a row changed."""
        self._keys.clear()
        self._by_id.clear()
        self._by_dataset.clear()

    def get(self, object_id: str) -> Object | None:
        """An object that is present, or None. Raises `Corrupt` ("register-mismatch")."""
        if object_id in self._by_id:
            self._by_id.move_to_end(object_id)
            return self._by_id[object_id]
        with self._engine.connect() as connection:
            found = vault.object(connection, object_id)
        if found is not None and found.state != "present":
            found = None
        _remember(self._by_id, object_id, found)
        return found

    def key_of(self, found: Object) -> WrappedKey:
        """An object's content key, still wrapped. Raises `NotFound`, `Corrupt`."""
        if found.id not in self._keys:
            with self._engine.connect() as connection:
                wrapped = vault.key_of(connection, found)
            _remember(self._keys, found.id, wrapped)
        return self._keys[found.id]

    def of(self, dataset_id: str) -> tuple[Object, ...]:
        """The objects present in a dataset, by name."""
        if dataset_id not in self._by_dataset:
            with self._engine.connect() as connection:
                found = vault.objects_of(connection, dataset_id)
            present = tuple(sorted((one for one in found if one.state == "present"), key=lambda one: one.name))
            _remember(self._by_dataset, dataset_id, present)
        return self._by_dataset[dataset_id]


def _remember(cache: OrderedDict[str, T], key: str, value: T) -> None:
    cache[key] = value
    if len(cache) > MAX_CACHED:
        cache.popitem(last=False)
