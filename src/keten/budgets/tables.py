"""The budgets' table: what was charged in the windows that still count."""

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
