"""The id of a record, for whoever has its key: by it the ledger knows what happened to it."""

from __future__ import annotations

import asyncio

from keten.core.errors import Invalid
from keten.datasets.model import Dataset
from keten.keeper.record_keys import RecordKeys
from keten.keeper.record_protocol import AskRecord, RecordId
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.trusted import Trusted
from keten.vault.record_ids import normal_key, record_id, record_tag


class RecordVerbs:
    """Says what a record is called. Whether there is one is not told: that would be a lookup."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted
        self._keys = RecordKeys(trusted)

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {"subjects.record": waiting_verb(AskRecord, self.record)}

    async def record(self, connection: Connection, body: AskRecord) -> RecordId:
        """The id. Raises `Invalid` (unknown-name, no-table, record-key), `Corrupt` ("key-damaged")."""
        trusted = self._trusted
        trusted.door.fresh()
        dataset = trusted.register.named("dataset", body.dataset)
        if not isinstance(dataset, Dataset):
            raise Invalid("unknown-name", f"There is no dataset {body.dataset!r} in the register.")
        elsewhere = dataset.source is not None  # there is nothing to put: its key is made by who needs it first
        wrapped = None if elsewhere else await asyncio.to_thread(self._keys.stored, dataset.id)
        if not dataset.is_table or (wrapped is None and not elsewhere):
            raise Invalid("no-table", f"Dataset {dataset.name!r} is no table, or nothing was put into it.")
        records_key = await self._keys.of(dataset.id, connection.actor)
        return RecordId(record_id(record_tag(records_key, normal_key(body.key))))
