"""Until when grants and people's roles were confirmed, to find those that wait for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column each, 0 for all that nobody has to confirm: every row of before."""
    for table in ("grants", "people"):
        op.add_column(table, sa.Column("confirm_until_us", sa.BigInteger(), nullable=False, server_default="0"))
        op.create_index(f"ix_{table}_confirm_until_us", table, ["confirm_until_us"])
