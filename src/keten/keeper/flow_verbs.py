"""What the worker asks and says about flow logs: where suppliers' systems are, and what went there."""

from __future__ import annotations

import asyncio

from keten.core.db import translated
from keten.core.errors import Corrupt
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.trusted import Trusted
from keten.keeper.watch_protocol import AskPlaces, SupplierPlaces
from keten.ledger.cursors import load_cursor
from keten.suppliers.rows import suppliers
from keten.watch.flows.model import PlacesOf, Recorded, Report
from keten.watch.flows.recording import CURSOR, NEWEST, record

MOST_SUPPLIERS = 1000
"""Looked at for one answer."""


class FlowVerbs:
    """Addresses come in here, and leave as pseudonyms: only the keeper has the key for those."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {
            "watch.places": waiting_verb(AskPlaces, self.places),
            "watch.flows": waiting_verb(Report, self.flows),
        }

    async def places(self, _connection: Connection, body: AskPlaces) -> SupplierPlaces:
        """Where suppliers' systems are, a page of it."""
        return await asyncio.to_thread(self._read, body.after)

    def _read(self, after: str) -> SupplierPlaces:
        found: list[PlacesOf] = []
        damaged = 0
        with translated(), self._trusted.reader.connect() as reading:
            ids = suppliers.ids(reading, after, MOST_SUPPLIERS)
            for row_id in ids:
                try:
                    row = suppliers.get(reading, row_id)
                except Corrupt:
                    damaged += 1
                    continue
                if row is not None and row.ended is None and (row.networks or row.hosts):
                    found.append(PlacesOf(row.id, row.name, row.networks, row.hosts))
            last = ids[-1] if len(ids) == MOST_SUPPLIERS else ""
            number, newest_us = load_cursor(reading, CURSOR), load_cursor(reading, NEWEST)
        return SupplierPlaces(tuple(found), last, damaged, number, newest_us)

    async def flows(self, _connection: Connection, body: Report) -> Recorded:
        """What went to suppliers becomes entries, once. Raises `Invalid` ("flows")."""
        pseudonym = self._trusted.networks.pseudonym
        done, _batch = await self._trusted.writer.run(lambda writing: record(writing, body, pseudonym), alone=True)
        return done
