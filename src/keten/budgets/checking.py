"""For verification: every stored charge is what the entry that made it says, and none is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from keten.budgets.model import Recorded
from keten.budgets.rules import LONGEST_DAYS, disagreements
from keten.budgets.service import charges
from keten.ledger.faults import Fault
from keten.ledger.model import Entry
from keten.ledger.reading import last_time

OPENED = "exchange.object.opened"
_DAY_US = 86_400 * 1_000_000


class ChargesCheck:
    """Compares `budget_charges` with the entries of accesses. Someone who deletes charges would refill a budget."""

    name = "budgets"
    kinds = frozenset({OPENED})

    def gather(self, entries: Sequence[Entry]) -> list[Recorded]:
        """What these entries charged, where there was a budget."""
        return [
            Recorded(
                entry.index,
                entry.payload.refs.get("grant", ""),
                entry.payload.actor,
                entry.payload.refs.get("object", ""),
                int(entry.payload.details.get("window_us", 0)),
                int(entry.payload.details.get("charged", 0)),
                entry.time_us,
            )
            for entry in entries
            if entry.payload is not None and entry.payload.details.get("window_us")
        ]

    def faults(self, connection: Connection, gathered: Sequence[list[Recorded]]) -> Iterator[Fault]:
        """Where charges and entries differ. Charges of windows that are long over need not be stored any more."""
        since = last_time(connection) - 2 * LONGEST_DAYS * _DAY_US
        recorded = (one for some in gathered for one in some)
        for what in disagreements(charges(connection), recorded, since):
            yield Fault(self.name, what, table="budget_charges")
