"""For verification: every stored charge is what the entry that made it says, and none is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from sqlalchemy import Connection

from keten.budgets.entries import WINDOW_SPENT
from keten.budgets.model import Recorded
from keten.budgets.rules import LONGEST_DAYS, disagreements
from keten.budgets.service import charges
from keten.core.clock import from_rfc3339
from keten.ledger.faults import Fault
from keten.ledger.reading import last_time

OPENED = "exchange.object.opened"
_DAY_US = 86_400 * 1_000_000


class _Refs(msgspec.Struct, frozen=True, gc=False):
    grant: str = ""
    object: str = ""
    client: str = ""


class _Details(msgspec.Struct, frozen=True, gc=False):
    window_us: int = 0
    charged: int = 0


class Opened(msgspec.Struct, frozen=True, gc=False):
    """What an entry says of the charge that it made."""

    time: str
    actor: str
    refs: _Refs = _Refs()
    details: _Details = _Details()


class ChargesCheck:
    """Compares `budget_charges` with the entries of accesses. Someone who deletes charges would refill a budget."""

    name = "budgets"
    kinds = frozenset({OPENED, WINDOW_SPENT.name})
    reads: type[msgspec.Struct] = Opened

    def gather(self, entries: Sequence[tuple[int, Opened]]) -> list[Recorded]:
        """What these entries charged, where there was a budget."""
        return [
            Recorded(
                index,
                said.refs.grant,
                said.refs.client or said.actor,
                said.refs.object,
                said.details.window_us,
                said.details.charged,
                from_rfc3339(said.time),
            )
            for index, said in entries
            if said.details.window_us
        ]

    def faults(self, connection: Connection, gathered: Sequence[list[Recorded]]) -> Iterator[Fault]:
        """Where charges and entries differ. Charges of windows that are long over need not be stored any more."""
        since = last_time(connection) - 2 * LONGEST_DAYS * _DAY_US
        recorded = (one for some in gathered for one in some)
        for what in disagreements(charges(connection), recorded, since):
            yield Fault(self.name, what, table="budget_charges")
