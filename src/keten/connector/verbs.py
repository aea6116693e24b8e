"""The connector's two verbs: rows by their exact keys, and of what form a table is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from keten.connector.drivers.choosing import driver_of
from keten.connector.drivers.driver import Driver, changed
from keten.connector.pool import Pool
from keten.core.errors import Invalid, Unavailable
from keten.core.sources import SystemPlace
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.systems.asking import MOST_KEYS, AskRows, Describe, Described, Rows, Where
from keten.vault.record_ids import normal_key

T = TypeVar("T")


class Connector:
    """What is said on the connector's socket."""

    def __init__(self, systems: Mapping[str, SystemPlace], home: Path) -> None:
        self._places = systems
        self._pools = {name: Pool(name, place, partial(driver_of, place, home)) for name, place in systems.items()}

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {
            "connector.rows": waiting_verb(AskRows, self.rows),
            "connector.describe": waiting_verb(Describe, self.describe),
        }

    async def rows(self, _connection: Connection, body: AskRows) -> Rows:
        """Rows by keys. Raises `Unavailable` (`system-…`, password-file, no-driver), `Invalid` (keys, record-key)."""
        if not 1 <= len(body.keys) <= MOST_KEYS or any(normal_key(key) != key for key in body.keys):
            raise Invalid("keys", f"There are 1 to {MOST_KEYS} keys, each in its normal form.")

        def question(driver: Driver, seconds: float) -> Rows:
            return driver.rows(body.where, body.columns, body.keys, seconds)

        return await self._pool(body.where).ask(question)

    async def describe(self, _connection: Connection, body: Describe) -> Described:
        """The form of a table. Raises as `rows` does."""

        def question(driver: Driver, seconds: float) -> Described:
            return driver.describe(body.where, body.columns, seconds)

        return await self._pool(body.where).ask(question)

    def _pool(self, where: Where) -> Pool:
        place = self._places.get(where.system)
        if place is None:
            name = f"[systems.{where.system:.100}] is not in keten.toml"
            raise Unavailable("system-unavailable", "The system that holds these records is not set up.", name)
        if place.kind != where.kind:
            raise changed(f"{where.system:.100} is {place.kind} by its url, and {where.kind:.20} in the estate")
        return self._pools[where.system]

    def close(self) -> None:
        """Ask nobody any more."""
        for pool in self._pools.values():
            pool.close()
