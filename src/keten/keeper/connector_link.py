"""The keeper's way to the connector: asked with a deadline, never waited for by anybody else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from keten.core.sources import SystemPlace
from keten.keeper.process_link import ProcessLink
from keten.systems.asking import MAX_FRAME, AskRows, Describe, Described, Rows, Where

T = TypeVar("T")
GRACE_SECONDS = 1.5  # over what the connector itself gives a system: then it is the connector that hangs
_PUBLIC = "The system that holds these records cannot be asked now."


class ConnectorLink(ProcessLink):
    """Questions to the organisation's own databases. For the keeper's loop alone.

    users: who may be the connector, by user id.
    """

    def __init__(self, path: Path, users: frozenset[int], systems: Mapping[str, SystemPlace]) -> None:
        super().__init__(path, "the connector", users, MAX_FRAME, "system-unavailable", _PUBLIC)
        self._systems = systems

    async def rows(self, asked: AskRows) -> Rows:
        """Rows by keys. Raises `Unavailable`: "system-unavailable", and what the connector says."""
        answer = await self._ask("connector.rows", asked.where, asked, Rows)
        widths = {len(row) for row in answer.rows if row is not None}
        if len(answer.rows) != len(asked.keys) or widths - {len(asked.columns)}:
            raise self.absent("the connector answered something else")
        return answer

    async def describe(self, asked: Describe) -> Described:
        """The form of a table. Raises as `rows`."""
        return await self._ask("connector.describe", asked.where, asked, Described)

    async def _ask(self, verb: str, where: Where, body: msgspec.Struct, answer: type[T]) -> T:
        place = self._systems.get(where.system)
        if place is None:
            raise self.absent(f"[systems.{where.system}] is not in keten.toml")
        return await self.ask(verb, body, answer, place.seconds + GRACE_SECONDS)
