"""What people are still to be told about their own accounts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table, beside the ledger."""
    op.create_table(
        "to_tell",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person", sa.String(length=26), nullable=False),
        sa.Column("what", sa.String(length=20), nullable=False),
        sa.Column("why", sa.String(length=40), nullable=False),
        sa.Column("moment_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_to_tell"),
        sqlite_with_rowid=False,
    )
