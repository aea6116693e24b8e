"""One reading of everything that the overview shows, all of it as of one moment of the database."""

from __future__ import annotations

from sqlalchemy import Connection, Engine

from keten.backup import service as backups
from keten.console.accesses import Names, just_ended, last_accesses
from keten.console.health import UNCONFIRMED_US, Seen, concerns
from keten.console.history import History
from keten.console.model import Overview
from keten.console.proof import Looking, read_proof
from keten.console.rows import Rows
from keten.console.sharing import Sharing
from keten.core.clock import wall_us
from keten.core.db import translated
from keten.core.settings import Settings
from keten.policy.engine import Engine as Policies
from keten.suppliers.model import Contract, Organisation
from keten.suppliers.recertifying import waiting_count

_STRETCH = 20_000  # entries read on before a page is made; a longer ledger is read on in the background


class Reader:
    """Reads overviews; for one thread at a time."""

    def __init__(self, settings: Settings, engine: Engine, history: History, looking: Looking) -> None:
        self._settings = settings
        self._engine = engine
        self._history = history
        self._looking = looking
        self._sharing = Sharing(Policies())

    def read(self) -> Overview:
        """The overview now.

        1. Read the ledger on.
        2. In one transaction: the head, the register, and what connects the two.
        3. The time is the wall clock's, but never before the newest entry, as the keeper has it.

        Raises `Unavailable`, `Corrupt` when the database cannot be read at all.
        """
        history = self._history
        history.advance(_STRETCH)  # 1
        with history.lock, translated(), self._engine.connect() as connection, connection.begin():  # 2
            proof = read_proof(connection, self._settings, history, self._looking.latest)
            wall = wall_us()
            now_us = max(wall, proof.newest_us)  # 3
            rows = Rows(connection)
            organisation = next(rows.all(Organisation), None)
            contracts = {one.id: one for one in rows.all(Contract)}
            shared = self._sharing.read(connection, rows, history, contracts, now_us)
            names = Names(rows)
            accesses = last_accesses(history, names)
            endings = just_ended(history, names, contracts.values(), now_us)
            countries = any(one.countries for one in contracts.values() if one.ended is None and one.ends_us > now_us)
            restored = _unconfirmed_us(connection, proof.origin)
            waiting = waiting_count(connection, now_us + UNCONFIRMED_US)
            seen = Seen(self._settings, proof, history, rows.mismatches, countries, wall, restored, waiting)
            return Overview(
                at_us=wall,
                organisation=organisation.name if organisation else "",
                zone=organisation.timezone if organisation else "UTC",
                shares=shared.shares,
                held=shared.held,
                suppliers=shared.suppliers,
                hidden=shared.hidden,
                cut=shared.cut,
                accesses=accesses,
                endings=endings,
                proof=proof,
                concerns=concerns(seen),
                read=history.read,
                entries=history.entries,
                unread=history.unread,
            )


def _unconfirmed_us(connection: Connection, origin: str) -> int:
    """When this instance was restored, as long as no operator has looked at it; else 0."""
    lives = (life for life in backups.all_lives(connection) if life.origin == origin)
    return max((life.since_us for life in lives if life.state == backups.UNCONFIRMED), default=0)
