"""Alerts of the watch, and how many signals each has had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ID = sa.String(length=26)


def upgrade() -> None:
    """One table bound to the ledger, and one beside it that counts."""
    op.create_table(
        "alerts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("topic", _ID, nullable=False),
        sa.Column("principal", _ID, nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("stopped_us", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("entry", _INDEX, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    for column in ("made_us", "name", "principal", "state", "stopped_us", "topic"):
        op.create_index(f"ix_alerts_{column}", "alerts", [column])
    op.create_table(
        "alert_counts",
        sa.Column("alert", _ID, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("alert", name="pk_alert_counts"),
    )
