"""The register as an estate file, and what changed in it since somebody looked."""

from __future__ import annotations

from keten.console.readings.desk import Reading
from keten.console.readings.lines import Lines, gathered
from keten.datasets.model import Dataset
from keten.suppliers import service
from keten.suppliers.model import Contract, Grant, Supplier
from keten.suppliers.present import text_of

MOST_MEANWHILE = 100


def present(reading: Reading, heading: str) -> str:
    """The register as the text of a file. Raises `Corrupt` ("register-mismatch"), for then something is missing."""
    return text_of(service.present(reading.connection), heading)


def meanwhile(reading: Reading, seen: int) -> Lines:
    """The entries that changed the register since it was as of `seen`, oldest first."""
    return gathered(service.changed_since(reading.connection, seen, MOST_MEANWHILE), reading.names)


def is_bare(reading: Reading) -> bool:
    """Whether no supplier, contract, dataset or grant was ever declared: only the organisation, its people, systems."""
    return not any(next(reading.rows.few(kind, 1), None) for kind in (Supplier, Contract, Dataset, Grant))
