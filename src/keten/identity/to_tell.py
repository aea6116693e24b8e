"""What a person is still to be told about the own account: kept until a letter was taken by the mail server.

A row is a random id, the person's, what it was, and when; nothing in it is secret or personal. It is written in the
transaction of what it is about, so nothing is forgotten, and removed once everybody was told.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import msgspec
from sqlalchemy import Connection, delete, insert, select

from keten.core.clock import SECOND
from keten.core.ids import new_id
from keten.identity.people_tables import to_tell
from keten.ledger.writing import Writing

What = Literal["key-added", "key-ended", "unusual", "rights"]
UNUSUAL = frozenset({"passkey-copied", "passkey-ended", "session-elsewhere", "network-listed"})
"""Causes of refusals, and of what was no refusal, that somebody else may be behind: its person hears of them."""
AT_ONCE = 1000
_DAY_US = 24 * 3600 * SECOND
_MOST_REMEMBERED = 100_000


class Row(msgspec.Struct, frozen=True):
    """One thing to tell. why: of `UNUSUAL`, for "unusual". moment_us: when it was (microseconds UTC)."""

    id: str
    person: str
    what: What
    why: str
    moment_us: int


def owe(writing: Writing, person: str, what: What, why: str = "") -> None:
    """A person is to be told of this."""
    values = {"id": new_id(), "person": person, "what": what, "why": why, "moment_us": writing.time_us}
    writing.connection.execute(insert(to_tell).values(values))


def rows(connection: Connection) -> tuple[Row, ...]:
    """What is to be told, the oldest first, `AT_ONCE` at most."""
    chosen = select(to_tell).order_by(to_tell.c.moment_us, to_tell.c.id).limit(AT_ONCE)
    found = connection.execute(chosen).mappings()
    return tuple(msgspec.convert({str(key): value for key, value in row.items()}, Row) for row in found)


def told(writing: Writing, *ids: str) -> None:
    """These are done with."""
    writing.connection.execute(delete(to_tell).where(to_tell.c.id.in_(ids)))


def forget(writing: Writing, person: str) -> None:
    """A person who is erased is told nothing more."""
    writing.connection.execute(delete(to_tell).where(to_tell.c.person == person))


class OnceADay:
    """Of one person and cause one letter a day: nobody's mailbox is filled by whoever shows a stolen thing again."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, str], int] = OrderedDict()

    def is_first(self, person: str, why: str, now_us: int) -> bool:
        """Whether it is the first one in a day; then it counts."""
        last = self._last.get((person, why))
        if last is not None and now_us - last < _DAY_US:
            return False
        self._last.pop((person, why), None)
        self._last[person, why] = now_us
        while len(self._last) > _MOST_REMEMBERED:
            self._last.popitem(last=False)
        return True
