"""Recovery: cases, ways to reach people, hashes of one-time secrets, freezes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ID = sa.String(length=26)
_TABLES: dict[str, tuple[tuple[str, int], ...]] = {
    "recovery_cases": (("person", 26), ("supplier", 26), ("state", 10)),
    "recovery_channels": (("person", 26),),
    "recovery_secrets": (("case", 26), ("hash", 64)),
    "recovery_freezes": (("supplier", 26),),
}


def upgrade() -> None:
    """Four tables bound to the ledger."""
    for name, columns in _TABLES.items():
        op.create_table(
            name,
            sa.Column("id", _ID, nullable=False),
            sa.Column("name", sa.String(length=200), nullable=False),
            *(sa.Column(column, sa.String(length=length), nullable=False) for column, length in columns),
            sa.Column("body", sa.LargeBinary(), nullable=False),
            sa.Column("entry", _INDEX, nullable=False),
            sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
        )
        for column in ("name", *(column for column, _length in columns)):
            op.create_index(f"ix_{name}_{column}", name, [column])
