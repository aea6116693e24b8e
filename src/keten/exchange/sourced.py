"""Records that stay in a system of the organisation's: where they are, and what comes back as a lookup has it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from keten.datasets.model import Dataset, Source
from keten.suppliers.register import Register
from keten.systems.asking import AskRows, Rows, Where
from keten.vault.record_ids import record_id, record_tag
from keten.vault.sealed_table import Value

UNAVAILABLE = "system-unavailable"


class Sourced(msgspec.Struct, frozen=True):
    """A dataset whose records are elsewhere. columns: those to be asked for, in this order; system: its random id."""

    dataset: str
    system: str
    where: Where
    columns: tuple[str, ...]

    def question(self, keys: Sequence[str]) -> AskRows:
        """What the connector is asked, for normalised keys."""
        return AskRows(self.where, self.columns, tuple(keys))

    def looked(self, records_key: bytes, keys: Sequence[str], rows: Rows) -> list[tuple[str, list[Value] | None]]:
        """As `Version.look` has it: of each key the record's id, made as for a table in the vault, and its values."""
        ids = [record_id(record_tag(records_key, key)) for key in keys]
        return list(zip(ids, rows.rows, strict=True))


def sourced(register: Register, dataset: Dataset, source: Source, columns: tuple[str, ...]) -> Sourced | None:
    """Where a dataset's records are; None when its system is not in the register any more, or ended."""
    system = register.system(source.system)
    if system is None or system.ended is not None:
        return None
    return Sourced(dataset.id, system.id, Where(system.name, system.kind, source.table, dataset.key), columns)
