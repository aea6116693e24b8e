"""What a system is. Where it is, and who may sign in there, is in settings: no part of the register."""

from __future__ import annotations

from keten.identity.model import EndableRow

POSTGRES, SQLITE = "postgres", "sqlite"
KINDS = (POSTGRES, SQLITE)


def lacks_schema(kind: str, table: str) -> bool:
    """Whether a table's name needs a schema before it, and has none."""
    schema, _, name = table.partition(".")
    return kind == POSTGRES and not (schema and name)


class System(EndableRow, frozen=True, kw_only=True):
    """A database of the organisation's.

    title: what people call it. kind: one of `KINDS`. owner: random id of one of the organisation's people.
    """

    title: str
    kind: str
    owner: str
