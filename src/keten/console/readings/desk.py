"""What the screens read with: one transaction that only reads, names for ids, and what the ledger was folded into."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, Engine

from keten.console.accesses import Names
from keten.console.history import History
from keten.console.model import Look
from keten.console.rows import Rows
from keten.console.sharing import Sharing
from keten.core.clock import wall_us
from keten.core.db import translated
from keten.core.settings import Settings
from keten.ledger.reading import last_time
from keten.policy.engine import Engine as Policies
from keten.suppliers.model import Organisation
from keten.suppliers.moments import zone

T = TypeVar("T")


class Reading(msgspec.Struct, frozen=True):
    """One moment of the database. at_us: the wall clock's; now_us: as the keeper has it, never before the newest entry.

    history, sharing: only for what reads with `folded`. look: what the console's own verification found at last.
    """

    connection: Connection
    rows: Rows
    names: Names
    history: History
    sharing: Sharing
    settings: Settings
    at_us: int
    now_us: int
    look: Look | None = None


class Desk:
    """Opens readings; any thread may ask. looked: what the console's own verification found at last."""

    def __init__(
        self, settings: Settings, engine: Engine, history: History, looked: Callable[[], Look | None] = lambda: None
    ) -> None:
        self.settings = settings
        self._engine = engine
        self._history = history
        self._looked = looked
        self._sharing = Sharing(Policies())

    def read(self, take: Callable[[Reading], T], *, folded: bool = False) -> T:
        """What `take` makes of one reading. folded: it looks at what the ledger was folded into, one at a time.

        Raises `Unavailable`, `Corrupt` when the database can't be read, and what `take` raises.
        """
        held = self._history.lock if folded else nullcontext()
        with held, translated(), self._engine.connect() as connection, connection.begin():
            rows = Rows(connection)
            wall = wall_us()
            now = max(wall, last_time(connection))
            names = Names(rows)
            look = self._looked()
            return take(Reading(connection, rows, names, self._history, self._sharing, self.settings, wall, now, look))

    def zone(self) -> str:
        """The organisation's time zone, in which all moments are shown; UTC before there is one."""
        found = self.read(lambda reading: next(reading.rows.all(Organisation), None))
        return found.timezone if found is not None and zone(found.timezone) else "UTC"
