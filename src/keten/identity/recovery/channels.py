"""Ways to reach a person, as the register's addresses have it: each address that a person has or had is one.

Whoever has one address has no rows until a second is entered, or the first is changed: with one there is no recovery.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sqlalchemy import Connection

from keten.identity.model import Addresses
from keten.identity.recovery import service, tables
from keten.identity.recovery.rows import ChannelRow
from keten.ledger import bound
from keten.ledger.writing import Writing


class Seals(Protocol):
    """What is personal, under each subject's own key."""

    def seal_for(self, subject: str, data: bytes) -> str:
        """`data` under the subject's key, as base64."""

    def open_for(self, subject: str, sealed: str) -> bytes:
        """What `seal_for` sealed."""


def follow(writing: Writing, person: str, before: Addresses | None, after: Addresses, actor: str, seals: Seals) -> None:
    """Make a person's channels what its addresses are, in the transaction that changes these.

    1. Those that are not among the new addresses end; they are told of what happens all the same.
    2. What is new begins now.

    before: None for a new person. An address that was there before any channel was, is told like any other.
    """
    rows = service.channel_rows(writing.connection, person)
    held = {address_of(row, seals).lower(): row for row in rows if not row.ended_us and row.sealed}
    wanted = {address.lower(): address for address in after.all}
    if not rows and before is None and len(wanted) == 1:
        return
    for key, row in held.items():  # 1
        if key not in wanted:
            service.end_channel(writing, row, actor)
    if not rows and before is not None:
        for address in before.all:
            if address.lower() not in wanted:
                sealed = seals.seal_for(person, address.encode())
                service.add_channel(writing, person, sealed, actor, ended_us=writing.time_us)
    for key, address in wanted.items():  # 2
        if key not in held:
            service.add_channel(writing, person, seals.seal_for(person, address.encode()), actor)


def address_of(row: ChannelRow, seals: Seals) -> str:
    """Where a channel leads. Raises `NotFound` when the person's key was destroyed."""
    return seals.open_for(row.person, row.sealed).decode()


def to_be_told(connection: Connection, person: str) -> tuple[ChannelRow, ...]:
    """The channels of a person that were not told yet of the last change of its addresses.

    One that came with the change is told of those that come later.
    """
    return _of_one(row for row in service.channel_rows(connection, person) if row.sealed)


def all_to_be_told(connection: Connection) -> list[ChannelRow]:
    """The same of everybody."""
    of: dict[str, list[ChannelRow]] = {}
    for row in bound.find(connection, tables.channels, ChannelRow):
        if row.sealed:
            of.setdefault(row.person, []).append(row)
    return [row for rows in of.values() for row in _of_one(rows)]


def _of_one(found: Iterable[ChannelRow]) -> tuple[ChannelRow, ...]:
    rows = tuple(found)
    changed = max((moment for row in rows for moment in (row.since_us, row.ended_us)), default=0)
    return tuple(row for row in rows if max(row.since_us, row.told_us) < changed)
