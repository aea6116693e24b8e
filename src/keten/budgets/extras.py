"""What was allowed beyond a budget, for one client, in one window: read from the rows that say so."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, select

from keten.budgets.row import More
from keten.budgets.tables import budget_requests
from keten.core.errors import Corrupt
from keten.ledger import bound

log = logging.getLogger(__name__)


class Extra(msgspec.Struct, frozen=True, gc=False):
    """So many records more in the window of this kind that begins at `window_us`, until `until_us`."""

    per: str
    window_us: int
    until_us: int
    records: int


def extras(connection: Connection, grant: str, client: str) -> tuple[Extra, ...]:
    """What is allowed to a client under a grant. A row that does not match its entry allows nothing (law 4)."""
    table = budget_requests.c
    statement = select(table.id).where(table.grant == grant, table.client == client, table.state == "allowed")
    found = []
    for row_id in connection.execute(statement).scalars().all():
        try:
            row = bound.get(connection, budget_requests, More, str(row_id))
        except Corrupt as error:
            log.critical("a request for more does not count: %s", error)
            continue
        if row is not None and row.state == "allowed":
            found.append(Extra(row.per, row.window_us, row.until_us, row.extra))
    return tuple(found)


def extra_of(allowed: Sequence[Extra], per: str, window_us: int, at_us: int) -> int:
    """How many records more there are in a window at a moment."""
    return sum(one.records for one in allowed if (one.per, one.window_us) == (per, window_us) and at_us < one.until_us)
