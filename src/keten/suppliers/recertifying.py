"""Rights that somebody has to confirm again and again, or they lapse: grants and people's roles.

The field calls it recertification, or access review (NIST SP 800-53 rev. 5, AC-2 j; ISO/IEC 27002:2022, 5.18). A
grant is confirmed by the owner of its dataset, roles by whoever manages people. What was not confirmed does not count
from its moment on (law 5): no job has to run for it. For `LATE_US` it can still be confirmed; after that the keeper
ends a grant for good, and roles stay without effect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from keten.core.clock import DAY
from keten.core.errors import Conflict, Corrupt, NotFound
from keten.datasets.rows import datasets
from keten.identity.entries import PERSON_CONFIRMED
from keten.identity.model import Confirmation, Person
from keten.identity.rows import EndableRows, people
from keten.ledger.kinds import Kind
from keten.ledger.query import Filter, find
from keten.ledger.writing import Writing
from keten.suppliers.entries import GRANT_CONFIRMED
from keten.suppliers.model import Grant
from keten.suppliers.rows import grants

MOST = 5000
_AT_ONCE = 500
"""Of datasets in one question."""
LATE_US = 30 * DAY
NOT_CONFIRMED = "nobody confirmed it"
ENDED_AT_ONCE = 500
_COLUMN = "confirm_until_us"
R = TypeVar("R", Grant, Person)


def waiting_grants(
    connection: Connection, until_us: int, wrong: Callable[[Corrupt], None], owner: str = ""
) -> list[Grant]:
    """Grants that lapse before a moment or have, the nearest first, `MOST` at most.

    wrong: is told of rows that do not hold. owner: only those of datasets of this person (random id); "": all.
    """
    if not owner:
        return grants.due(connection, _COLUMN, until_us, MOST, wrong)
    own = [row.id for row in datasets.each(connection, wrong) if row.owner == owner]
    found: list[Grant] = []
    for at in range(0, len(own), _AT_ONCE):
        found += grants.due(connection, _COLUMN, until_us, MOST, wrong, dataset=own[at : at + _AT_ONCE])
    return sorted(found, key=lambda row: (row.confirm_until_us, row.id))[:MOST]


def waiting_people(connection: Connection, until_us: int, wrong: Callable[[Corrupt], None]) -> list[Person]:
    """People whose roles lapse before a moment or have; as `waiting_grants`."""
    return people.due(connection, _COLUMN, until_us, MOST, wrong)


def waiting_count(connection: Connection, until_us: int) -> int:
    """How many grants and people's roles lapse before a moment, or have. Counted, not checked against the ledger."""
    return grants.due_count(connection, _COLUMN, until_us) + people.due_count(connection, _COLUMN, until_us)


def confirm_grant(writing: Writing, grant_id: str, actor: str) -> int:
    """A grant is still needed: it counts for as many days more, from now. The entry's index.

    Raises `NotFound` ("absent"), `Conflict` ("ended", "nothing-to-confirm"), `Corrupt`.
    """
    return _confirm(writing, grants, grant_id, actor, GRANT_CONFIRMED)


def confirm_roles(writing: Writing, person_id: str, actor: str) -> int:
    """A person's roles are still needed; as `confirm_grant`. Nobody confirms its own ("own-self")."""
    if actor == f"person:{person_id}":
        raise Conflict("own-self", "You cannot confirm your own roles; somebody else who manages people can.")
    return _confirm(writing, people, person_id, actor, PERSON_CONFIRMED)


def overdue(connection: Connection, now_us: int) -> bool:
    """Whether there is a grant for `end_unconfirmed`."""
    return bool(_late(connection, now_us))


def end_unconfirmed(writing: Writing, actor: str) -> list[str]:
    """End for good the grants that lapsed `LATE_US` ago or longer, `ENDED_AT_ONCE` at most; their ids.

    A row that is not what the ledger says stays: it gives nothing either, and `keten ledger verify` names it. So does a
    grant in whose month nothing was recorded at all: nobody could have confirmed it, for nothing ran then, or there was
    no such month, and the machine came up with a clock that is far ahead. What has ended does not come back.
    """
    late = _late(writing.connection, writing.time_us)
    for row in late:
        grants.end(writing, row, NOT_CONFIRMED, actor)
    return [row.id for row in late]


def _late(connection: Connection, now_us: int) -> list[Grant]:
    due = grants.due(connection, _COLUMN, now_us - LATE_US + 1, ENDED_AT_ONCE, lambda _error: None)
    lived = {since: _lived(connection, since) for since in {row.confirm_until_us for row in due}}
    return [row for row in due if lived[row.confirm_until_us]]


def _lived(connection: Connection, since_us: int) -> bool:
    """Whether anything was recorded in the month after a moment."""
    within = Filter(since_us=since_us, until_us=since_us + LATE_US, limit=1)
    return any(True for _entry in find(connection, within))


def _confirm(writing: Writing, rows: EndableRows[R], row_id: str, actor: str, kind: Kind) -> int:
    """It counts for as many days as it is confirmed for, from now."""
    row = rows.current(writing, row_id)
    if row is None:
        raise NotFound("absent", f"There is no such {rows.word}.", row_id[:60])
    if row.ended is not None:
        raise Conflict("ended", "It has ended. What has ended stays ended.", row_id)
    before = row.confirm
    if before is None or not before.every_days:
        raise Conflict("nothing-to-confirm", "Nobody has to confirm this.", row_id)
    until_us = max(before.until_us, writing.time_us + before.every_days * DAY)  # time never goes back for it
    after = msgspec.structs.replace(row, confirm=Confirmation(before.every_days, until_us))
    return rows.change(writing, row, after, actor, kind)
