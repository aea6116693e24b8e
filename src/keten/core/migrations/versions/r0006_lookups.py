"""Lookups: how near each client's are to guessing at keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.String(length=26)


def upgrade() -> None:
    """One row for each client that looked something up under a grant."""
    op.create_table(
        "lookup_scores",
        sa.Column("grant", _ID, nullable=False),
        sa.Column("client", _ID, nullable=False),
        sa.Column("quick", sa.BigInteger(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("stopped_until_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("grant", "client", name="pk_lookup_scores"),
        sqlite_with_rowid=False,
    )
