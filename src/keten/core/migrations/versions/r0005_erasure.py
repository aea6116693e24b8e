"""Requests that take two people, legal holds, and subject keys that stay destroyed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ID = sa.String(length=26)


def upgrade() -> None:
    """A destroyed subject key is NULL, so that no new one takes its place."""
    with op.batch_alter_table("subject_keys") as table:
        table.alter_column("wrapped", existing_type=sa.LargeBinary(), nullable=True)
    for name in ("requests", "holds"):
        op.create_table(
            name,
            sa.Column("id", _ID, nullable=False),
            sa.Column("name", sa.String(length=200), nullable=False),
            sa.Column("target", _ID, nullable=False),
            sa.Column("state", sa.String(length=12), nullable=False),
            sa.Column("body", sa.LargeBinary(), nullable=False),
            sa.Column("entry", _INDEX, nullable=False),
            sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
        )
        op.create_index(f"ix_{name}_name", name, ["name"])
        op.create_index(f"ix_{name}_state", name, ["state"])
        op.create_index(f"ix_{name}_target", name, ["target"])
