"""The budgets' tables: what was charged in the windows that still count, and who is near to guessing."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from keten.core.db import metadata

# One row for an object that a client was charged for in a window under a grant. `idx` is the entry that says so.
budget_charges = Table(
    "budget_charges",
    metadata,
    Column("grant", String(26), primary_key=True),
    Column("client", String(26), primary_key=True),
    Column("object", String(26), primary_key=True),
    Column("window_start_us", BigInteger, primary_key=True),
    Column("records", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("idx", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# How near a client's lookups under a grant are to guessing at keys (`misses`), and until when they are refused.
lookup_scores = Table(
    "lookup_scores",
    metadata,
    Column("grant", String(26), primary_key=True),
    Column("client", String(26), primary_key=True),
    Column("quick", BigInteger, nullable=False),
    Column("patient", BigInteger, nullable=False),
    Column("stopped_until_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
