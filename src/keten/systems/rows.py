"""The systems' rows, for the rooms above."""

from __future__ import annotations

from keten.identity.rows import EndableRows
from keten.systems import entries, tables
from keten.systems.model import System

systems = EndableRows(
    "system",
    tables.systems,
    System,
    entries.SYSTEM_DECLARED,
    entries.SYSTEM_CHANGED,
    entries.SYSTEM_ENDED,
    lambda row: {"system": row.id},
)
