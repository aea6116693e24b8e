"""The tables that lookups read: of each dataset the newest version, opened once and kept while it is the newest."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Sequence

import msgspec
from sqlalchemy import Engine

from keten.core.db import translated
from keten.core.storage import Store
from keten.vault import service as vault
from keten.vault.frames import FrameReader
from keten.vault.keys import Keys
from keten.vault.layouts import frame_size
from keten.vault.model import Object
from keten.vault.paging import newest
from keten.vault.record_ids import record_id, record_tag
from keten.vault.sealed_table import SealedTable, Value

MAX_OPEN = 256


class _Layout(msgspec.Struct, frozen=True):
    size: int
    frame_size: int
    header: bytes


class Version(msgspec.Struct, frozen=True):
    """One version of a table. `found`: its object. Safe to use from several threads."""

    found: Object
    table: SealedTable
    records_key: bytes

    def look(self, keys: Sequence[str]) -> list[tuple[str, list[Value] | None]]:
        """The record of each normalised key: its id, and its values or None. Raises `Corrupt`, `Unavailable`."""
        looked = []
        for key in keys:
            tag = record_tag(self.records_key, key)
            looked.append((record_id(tag), self.table.find(tag)))
        return looked


class SealedTables:
    """Opens tables with the keeper's keys; what is given of them passes the one door (`lookups.py`)."""

    def __init__(self, engine: Engine, store: Store, keys: Keys) -> None:
        self._engine = engine
        self._store = store
        self._keys = keys
        self._open: OrderedDict[str, Version] = OrderedDict()
        self._current: dict[str, Version | None] = {}

    def invalidate(self) -> None:
        """A row changed: there may be newer versions, or none. What is opened stays until it is known which."""
        self._current.clear()

    def newest(self, dataset: str) -> Version | None:
        """A dataset's newest version, None when it has none. Raises `Corrupt` (register-mismatch, content-damaged)."""
        if dataset in self._current:
            return self._current[dataset]
        with translated(), self._engine.connect() as connection:
            found = newest(connection, dataset)
            wrapped = vault.key_of(connection, found) if found is not None else None
        version = None
        if found is not None and wrapped is not None:
            version = self._open.get(dataset)
            if version is None or version.found != found:
                blob = self._store.open(found.storage)
                layout = _Layout(found.size, frame_size(found.media_type), vault.header_of(found))
                table = SealedTable(FrameReader(blob, self._keys.content_key(wrapped), layout))
                weakref.finalize(table, blob.close)  # whoever reads in it now has it for as long as that takes
                version = Version(found, table, self._keys.records_key(wrapped.dataset, wrapped.dataset_key))
                self._open[dataset] = version
                while len(self._open) > MAX_OPEN:
                    self._open.popitem(last=False)
        else:
            self._open.pop(dataset, None)
        self._current[dataset] = version
        return version
