"""Looking at the tables that stay in systems: whether they can be asked, and are what the register says."""

from __future__ import annotations

import asyncio

from keten.core.db import translated
from keten.core.errors import Unavailable
from keten.datasets.model import Dataset
from keten.datasets.rows import datasets
from keten.exchange.sourced import sourced
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.system_protocol import AskSystems, SystemTables, TableOf
from keten.keeper.trusted import Trusted
from keten.systems.asking import Describe
from keten.systems.rows import systems


class SystemVerbs:
    """Nothing of a row is told here: names, types, and about how many there are."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {"systems.check": waiting_verb(AskSystems, self.check)}

    async def check(self, _connection: Connection, _body: AskSystems) -> SystemTables:
        """Every table that stays in a system. Raises `Corrupt` ("register-mismatch")."""
        trusted = self._trusted
        trusted.door.fresh()
        elsewhere, named = await asyncio.to_thread(self._read)
        tables = await asyncio.gather(*(self._table(dataset) for dataset in elsewhere))
        unused = sorted(set(trusted.settings.systems) - named)
        return SystemTables(tuple(tables), tuple(unused))

    def _read(self) -> tuple[list[Dataset], set[str]]:
        with translated(), self._trusted.reader.connect() as connection:
            elsewhere = [row for row in datasets.each(connection) if row.source is not None and row.ended is None]
            return elsewhere, {row.name for row in systems.each(connection) if row.ended is None}

    async def _table(self, dataset: Dataset) -> TableOf:
        if dataset.source is None:
            raise AssertionError("only datasets of systems are looked at")
        names = tuple(column.name for column in dataset.columns)
        found = sourced(self._trusted.register, dataset, dataset.source, names)
        if found is None:
            return TableOf(dataset.name, "", dataset.source.table, "system-unavailable", "Its system ended.")
        where = found.where
        try:
            seen = await self._trusted.connector.describe(Describe(where, names))
        except Unavailable as error:
            problem = f"{error.public} {error.reason}".strip()
            return TableOf(dataset.name, where.system, where.table, error.code, problem)
        return TableOf(
            dataset.name,
            where.system,
            where.table,
            form=seen.form,
            columns=seen.columns,
            estimate=seen.estimate,
            writes=seen.writes,
            indexed=seen.indexed,
        )
