"""What the keeper asks the connector, and what it is told: the one thing that passes between them.

Nothing can be listed, counted or searched in these words: rows are had by their exact key alone.
"""

from __future__ import annotations

import msgspec

from keten.vault.sealed_table import Value

MAX_FRAME = 16 * 1024 * 1024
MOST_KEYS = 50


class Where(msgspec.Struct, frozen=True):
    """A table or view. system, kind: as the estate names it, and of what kind it is there. key: its column of keys."""

    system: str
    kind: str
    table: str
    key: str


class AskRows(msgspec.Struct, frozen=True):
    """These columns of the rows with exactly these keys, each normalised (`keten.vault.record_ids`)."""

    where: Where
    columns: tuple[str, ...]
    keys: tuple[str, ...]


class Rows(msgspec.Struct, frozen=True):
    """One for each key, None where there is none. estimate: rows of the whole table, about; 0 where not known."""

    rows: tuple[list[Value] | None, ...]
    estimate: int = 0


class Describe(msgspec.Struct, frozen=True):
    """Of what form is it? columns: those that must be there."""

    where: Where
    columns: tuple[str, ...]


class Described(msgspec.Struct, frozen=True):
    """What a table is. columns: of all that there are, name → type. estimate: as of `Rows`.

    writes: why it can be changed with the rights that Keten has there; "" when it can't. indexed: whether a key is
    found without reading the whole table.
    """

    form: str
    columns: dict[str, str]
    estimate: int
    writes: str = ""
    indexed: bool = True


VERBS: dict[str, tuple[type, type]] = {"connector.rows": (AskRows, Rows), "connector.describe": (Describe, Described)}
