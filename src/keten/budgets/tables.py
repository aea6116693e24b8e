"""The budgets' tables: what was charged in the windows that still count, who is near to guessing, who asks for more."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from keten.budgets.row import More
from keten.core.db import metadata
from keten.ledger.bound import bound_table

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

# Requests for more than a budget, and what became of each.
budget_requests = bound_table(
    "budget_requests",
    More,
    Column("grant", String(26), nullable=False, index=True),
    Column("client", String(26), nullable=False, index=True),
    Column("state", String(12), nullable=False, index=True),
    Column("asked_us", BigInteger, nullable=False, index=True),
    decides=False,
)
