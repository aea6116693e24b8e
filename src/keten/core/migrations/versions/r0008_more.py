"""Requests for more than a budget."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ID = sa.String(length=26)


def upgrade() -> None:
    """One table bound to the ledger."""
    op.create_table(
        "budget_requests",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("grant", _ID, nullable=False),
        sa.Column("client", _ID, nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("entry", _INDEX, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_budget_requests"),
    )
    for column in ("asked_us", "client", "grant", "name", "state"):
        op.create_index(f"ix_budget_requests_{column}", "budget_requests", [column])
