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
ANSWERED = "exchange.lookup.answered"
_DAY_US = 86_400 * 1_000_000


class _Refs(msgspec.Struct, frozen=True, gc=False):
    grant: str = ""
    object: str = ""
    client: str = ""


class _Details(msgspec.Struct, frozen=True, gc=False):
    window_us: int = 0
    charged: int = 0
    charges: tuple[tuple[str, str, str, int, int], ...] = ()  # owner, of, object, start of the window, records


class Opened(msgspec.Struct, frozen=True, gc=False):
    """What an entry says of the charge that it made."""

    time: str
    actor: str
    refs: _Refs = _Refs()
    details: _Details = _Details()


class ChargesCheck:
    """Compares `budget_charges` with the entries of accesses. Someone who deletes charges would refill a budget."""

    name = "budgets"
    kinds = frozenset({OPENED, ANSWERED, WINDOW_SPENT.name})
    reads: type[msgspec.Struct] = Opened

    def gather(self, entries: Sequence[tuple[int, Opened]]) -> list[Recorded]:
        """What these entries charged, where there was a budget."""
        return [one for index, said in entries for one in _recorded(index, said)]

    def faults(self, connection: Connection, gathered: Sequence[list[Recorded]]) -> Iterator[Fault]:
        """Where charges and entries differ. Charges of windows that are long over need not be stored any more."""
        since = last_time(connection) - 2 * LONGEST_DAYS * _DAY_US
        recorded = (one for some in gathered for one in some)
        for what in disagreements(charges(connection), recorded, since):
            yield Fault(self.name, what, table="budget_charges")


def _recorded(index: int, said: Opened) -> Iterator[Recorded]:
    refs, details, at_us = said.refs, said.details, from_rfc3339(said.time)
    if details.window_us:
        yield Recorded(
            index, refs.grant, refs.client or said.actor, refs.object, details.window_us, details.charged, at_us
        )
    for owner, of, item, window_us, records in details.charges:
        yield Recorded(index, owner, of, item, window_us, records, at_us)
