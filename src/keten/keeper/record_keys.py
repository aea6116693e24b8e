"""The key that makes the ids of a dataset's records, of the vault or of a system."""

from __future__ import annotations

import asyncio

from keten.core.db import translated
from keten.keeper.trusted import Trusted
from keten.vault import service as vault


class RecordKeys:
    """Finds records keys. For a dataset of a system, the dataset's key is made when it is first needed."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted
        self._known: dict[str, bytes] = {}
        self._epoch = -1

    async def of(self, dataset: str, actor: str) -> bytes:
        """A dataset's records key, made when it has none.

        Raises `Conflict` ("key-destroyed"), `Corrupt`, `Unavailable`. Remembered until the register changes:
        with a dataset's key its row ends.
        """
        trusted = self._trusted
        if self._epoch != trusted.epoch:
            self._known.clear()
            self._epoch = trusted.epoch
        known = self._known.get(dataset)
        if known is None:
            epoch = trusted.epoch
            wrapped = await asyncio.to_thread(self.stored, dataset)
            if wrapped is None:
                wrapped = await self._made(dataset, actor)
            known = trusted.keys.records_key(dataset, wrapped)
            if epoch == trusted.epoch:
                self._known[dataset] = known
        return known

    async def _made(self, dataset: str, actor: str) -> bytes:
        trusted = self._trusted
        made, _batch = await trusted.writer.run(lambda writing: vault.made_key(writing, trusted.keys, dataset, actor))
        return made

    def stored(self, dataset: str) -> bytes | None:
        """A dataset's key as it is stored; None when it has none."""
        with translated(), self._trusted.reader.connect() as connection:
            return vault.stored_key(connection, dataset)
