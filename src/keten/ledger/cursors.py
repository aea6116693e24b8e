"""How far each reader of the ledger has come. Only the keeper's writer stores a cursor."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from keten.ledger.tables import cursors


def load_cursor(connection: Connection, name: str) -> int:
    """The index of the first entry that `name` has not yet seen; 0 for a new reader."""
    return int(connection.execute(select(cursors.c.idx).where(cursors.c.name == name)).scalar() or 0)


def store_cursor(connection: Connection, name: str, index: int) -> None:
    """Let `name` go on at `index` next time. The caller commits."""
    moved = connection.execute(update(cursors).where(cursors.c.name == name).values(idx=index))
    if moved.rowcount == 0:
        connection.execute(insert(cursors).values(name=name, idx=index))
