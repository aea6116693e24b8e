"""How people sign in: passkeys, one-time links, sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ID = sa.String(length=26)


def upgrade() -> None:
    """Two tables bound to the ledger, and two beside it."""
    op.create_table(
        "passkeys",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("person", _ID, nullable=False),
        sa.Column("known_by", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("entry", _INDEX, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_passkeys"),
    )
    for column in ("name", "person", "known_by"):
        op.create_index(f"ix_passkeys_{column}", "passkeys", [column])
    op.create_table(
        "links",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("person", _ID, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("entry", _INDEX, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_links"),
    )
    for column in ("name", "person", "hash"):
        op.create_index(f"ix_links_{column}", "links", [column])
    op.create_table(
        "passkey_uses",
        sa.Column("passkey", _ID, nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("passkey", name="pk_passkey_uses"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "person_sessions",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("person", _ID, nullable=False),
        sa.Column("passkey", _ID, nullable=False),
        sa.Column("face", sa.String(length=10), nullable=False),
        sa.Column("browser", sa.String(length=64), nullable=False),
        sa.Column("network", sa.String(length=50), nullable=False),
        sa.Column("began_us", sa.BigInteger(), nullable=False),
        sa.Column("asserted_us", sa.BigInteger(), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=False),
        sa.Column("idle_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_person_sessions"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_person_sessions_person", "person_sessions", ["person"])
