"""Alerts, each row bound to its last entry, and how many signals each has had since."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from keten.core.db import metadata
from keten.ledger.bound import bound_table
from keten.watch.row import Alert

alerts = bound_table(
    "alerts",
    Alert,
    Column("topic", String(26), nullable=False, index=True),
    Column("principal", String(26), nullable=False, index=True),
    Column("state", String(12), nullable=False, index=True),
    Column("made_us", BigInteger, nullable=False, index=True),
    Column("stopped_us", BigInteger, nullable=False, index=True),
    decides=False,
)
# A flood of signals is counted here, and makes few entries. An alert without a row has the count of its own.
counts = Table(
    "alert_counts",
    metadata,
    Column("alert", String(26), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
)
