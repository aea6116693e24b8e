"""Objects as the door sees them: checked rows, cached until the register changes."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TypeVar

from sqlalchemy import Engine

from keten.core.db import translated
from keten.core.errors import Invalid
from keten.suppliers.cache import LeastRecent
from keten.vault import paging
from keten.vault import service as vault
from keten.vault.model import Object, WrappedKey
from keten.vault.paging import Some
from keten.vault.rules import normal_name

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_CACHED = 50_000
MAX_LISTED = 20_000
"""Objects kept for listings, about 1 KiB each."""


class Objects:
    """Cached reads of the vault's objects, for the keeper's loop.

    What the database does not give raises `Unavailable`, or `Corrupt` ("database-damaged").
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_id: OrderedDict[str, Object | None] = OrderedDict()
        self._listed: LeastRecent[tuple[str, str, int], Some] = LeastRecent(MAX_LISTED)
        self._keys: OrderedDict[str, WrappedKey] = OrderedDict()

    def invalidate(self) -> None:
        """Forget everything: a row changed."""
        self._keys.clear()
        self._by_id.clear()
        self._listed.clear()

    def get(self, object_id: str) -> Object | None:
        """An object that is present, or None. Raises `Corrupt` ("register-mismatch")."""
        if object_id in self._by_id:
            self._by_id.move_to_end(object_id)
            return self._by_id[object_id]
        with translated(), self._engine.connect() as connection:
            found = vault.object(connection, object_id)
        if found is not None and found.state != "present":
            found = None
        _remember(self._by_id, object_id, found)
        return found

    def key_of(self, found: Object) -> WrappedKey:
        """An object's content key, still wrapped. Raises `NotFound`, `Corrupt`."""
        if found.id not in self._keys:
            with translated(), self._engine.connect() as connection:
                wrapped = vault.key_of(connection, found)
            _remember(self._keys, found.id, wrapped)
        return self._keys[found.id]

    def after(self, dataset_id: str, after: str, limit: int) -> Some:
        """At most `limit` of the objects present in a dataset, by name, beginning after the name `after`."""
        key = (dataset_id, after, limit)
        found = self._listed.get(key)
        if found is None:
            with translated(), self._engine.connect() as connection:
                found = paging.present_after(connection, dataset_id, after, limit)
            if found.damaged:
                log.critical("objects whose rows do not match the ledger are left out: %s", ", ".join(found.damaged))
            self._listed.put(key, found, 1 + found.read)
        return found

    def named(self, dataset_id: str, name: str) -> Object | None:
        """The object present in a dataset under this name, or None. Raises `Corrupt` ("register-mismatch")."""
        try:
            name = normal_name(name)
        except Invalid:
            return None  # nothing can have such a name
        with translated(), self._engine.connect() as connection:
            return paging.named(connection, dataset_id, name)


def _remember(cache: OrderedDict[str, T], key: str, value: T) -> None:
    cache[key] = value
    if len(cache) > MAX_CACHED:
        cache.popitem(last=False)
