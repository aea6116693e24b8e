"""What a dataset is."""

from __future__ import annotations

import msgspec

from keten.budgets.model import Limit
from keten.identity.model import EndableRow

CLASSIFICATIONS = ("public", "internal", "confidential", "secret")
CATEGORIES = ("identifier", "name", "contact", "address", "birth", "health", "financial", "location", "other")


class Column(msgspec.Struct, frozen=True, gc=False):
    """A column of a table: its name in the source, one of `CATEGORIES`, and what it means to people."""

    name: str
    category: str
    meaning: str = ""


class Source(msgspec.Struct, frozen=True, gc=False):
    """Where the records of a dataset are: a system (random id), and the table or view there, by its name."""

    system: str
    table: str


class Dataset(EndableRow, frozen=True, kw_only=True):
    """Data with an owner (random id of one of the organisation's people) and one of `CLASSIFICATIONS`.

    retention_days: days that content is kept from the moment it was put in; 0: no end is set.
    columns: of a table, whose records are found by the column `key`; none: its content is files.
    breaker: the most of its records that all principals together may receive.
    source: of a table that stays in a system of the organisation's; none: what is put is in the vault.
    confirm_days: how often its owner has to confirm its grants; 0: as often as the organisation says.
    """

    owner: str
    classification: str
    retention_days: int
    key: str = ""
    columns: tuple[Column, ...] = ()
    breaker: Limit | None = None
    source: Source | None = None
    confirm_days: int = 0

    @property
    def is_table(self) -> bool:
        """Whether its content is a table, of which records are looked up."""
        return bool(self.columns)
