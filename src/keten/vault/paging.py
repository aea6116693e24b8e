"""A dataset's objects by name: one, or some at a time. What that costs does not grow with the dataset."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from keten.core.errors import Corrupt
from keten.ledger import bound
from keten.vault.model import Object
from keten.vault.tables import objects


class Some(msgspec.Struct, frozen=True):
    """Objects that follow each other by name.

    last: the name of the last row that was read, also when it is among the damaged. read: how many rows were.
    more: whether others follow. damaged: ids of rows that do not match the ledger; they are not used.
    """

    objects: tuple[Object, ...] = ()
    last: str = ""
    read: int = 0
    more: bool = False
    damaged: tuple[str, ...] = ()


def present_after(connection: Connection, dataset: str, after: str, limit: int) -> Some:
    """The first `limit` objects present in a dataset whose names come after `after` ("": from the beginning).

    Ordered by name, in the database's own order, and found by an index of it. Since names in a dataset are unique and
    an object's name never changes, whatever is put or destroyed meanwhile makes no other object come twice or not at
    all for whoever goes on after `last`.
    """
    statement = (
        bound.checked_select(objects)
        .where(objects.c.dataset == dataset, objects.c.state == "present", objects.c.name > after)
        .order_by(objects.c.name)
        .limit(limit + 1)
    )
    rows = list(connection.execute(statement))
    found: list[Object] = []
    damaged: list[str] = []
    for row in rows[:limit]:
        try:
            found.append(bound.checked(objects, Object, row))
        except Corrupt:
            damaged.append(str(row.id))
    last = rows[:limit][-1].name if rows else after
    if not isinstance(last, str):  # what a database that does not look at what it is given has come last
        return Some(tuple(found), after, len(rows[:limit]), damaged=tuple(damaged))
    return Some(tuple(found), last, len(rows[:limit]), len(rows) > limit, tuple(damaged))


def named(connection: Connection, dataset: str, name: str) -> Object | None:
    """The object present in a dataset under exactly this name (in NFC); None when there is none.

    Raises `Corrupt` ("register-mismatch").
    """
    found = bound.find(connection, objects, Object, dataset=dataset, state="present", name=name)
    return found[0] if found else None


def newest(connection: Connection, dataset: str) -> Object | None:
    """The object put last of those present in a dataset; None when it has none.

    Raises `Corrupt` ("register-mismatch").
    """
    statement = (
        bound.checked_select(objects)
        .where(objects.c.dataset == dataset, objects.c.state == "present")
        .order_by(objects.c.entry.desc())
        .limit(1)
    )
    row = connection.execute(statement).first()
    return None if row is None else bound.checked(objects, Object, row)
