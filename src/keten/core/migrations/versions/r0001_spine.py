"""The ledger, the register, the vault, policies, budgets and used proofs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ID = sa.String(length=26)


def upgrade() -> None:
    """Make every table."""
    _ledger()
    _register()
    _vault()
    _decisions()


def _ledger() -> None:
    op.create_table(
        "entries",
        sa.Column("idx", _INDEX, autoincrement=False, nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("idx", name="pk_entries"),
    )
    op.create_table(
        "head",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("edge", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("low_water", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_head"),
    )
    op.create_table(
        "changes",
        sa.Column("ref", _ID, nullable=False),
        sa.Column("idx", _INDEX, nullable=False),
        sa.PrimaryKeyConstraint("ref", "idx", name="pk_changes"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "postings",
        sa.Column("ref", sa.String(length=86), nullable=False),
        sa.Column("span", _INDEX, nullable=False),
        sa.Column("places", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ref", "span", name="pk_postings"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("idx", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_cursors"),
    )


def _bound(name: str, *columns: sa.Column[str] | sa.Column[int], unique: str = "") -> None:
    """A table of rows that are bound to their last entry."""
    constraints = [sa.UniqueConstraint(unique, name=f"uq_{name}_{unique}")] if unique else []
    op.create_table(
        name,
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        *columns,
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("entry", _INDEX, nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
        *constraints,
    )
    op.create_index(f"ix_{name}_name", name, ["name"])


def _register() -> None:
    for name in ("organisation", "suppliers", "datasets"):
        _bound(name)
    for name in ("people", "clients", "contracts"):
        _bound(name, sa.Column("supplier", _ID, nullable=False))
        op.create_index(f"ix_{name}_supplier", name, ["supplier"])
    _bound(
        "grants",
        sa.Column("dataset", _ID, nullable=False),
        sa.Column("contract", _ID, nullable=False),
        sa.Column("supplier", _ID, nullable=False),
    )
    op.create_index("ix_grants_contract", "grants", ["contract"])
    op.create_index("ix_grants_supplier", "grants", ["supplier"])
    op.create_index("ix_grants_dataset_supplier", "grants", ["dataset", "supplier"])


def _vault() -> None:
    _bound(
        "objects",
        sa.Column("dataset", _ID, nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("storage", _ID, nullable=False),
        unique="storage",
    )
    op.create_index("ix_objects_dataset_state", "objects", ["dataset", "state"])
    op.create_index("ix_objects_state_expires_us", "objects", ["state", "expires_us"])
    op.create_table(
        "dataset_keys",
        sa.Column("dataset", _ID, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("dataset", name="pk_dataset_keys"),
    )
    op.create_table(
        "subject_keys",
        sa.Column("subject", _ID, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_subject_keys"),
    )
    op.create_table(
        "content_keys",
        sa.Column("object", _ID, nullable=False),
        sa.Column("dataset", _ID, nullable=False),
        sa.Column("name_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("object", name="pk_content_keys"),
        sa.UniqueConstraint("dataset", "name_key", name="uq_content_keys_dataset_name_key"),
    )
    op.create_table(
        "puts",
        sa.Column("object", _ID, nullable=False),
        sa.Column("dataset", _ID, nullable=False),
        sa.Column("storage", _ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("media_type", sa.String(length=127), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=60), nullable=False),
        sa.Column("replaces", sa.Boolean(), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=False),
        sa.Column("begun_us", sa.BigInteger(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("object", name="pk_puts"),
        sa.UniqueConstraint("storage", name="uq_puts_storage"),
    )
    op.create_index("ix_puts_dataset", "puts", ["dataset"])
    op.create_index("ix_puts_begun_us", "puts", ["begun_us"])


def _decisions() -> None:
    op.create_table(
        "policy_sets",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_policy_sets"),
    )
    op.create_table(
        "budget_charges",
        sa.Column("grant", _ID, nullable=False),
        sa.Column("client", _ID, nullable=False),
        sa.Column("object", _ID, nullable=False),
        sa.Column("window_start_us", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("idx", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("grant", "client", "object", "window_start_us", name="pk_budget_charges"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_budget_charges_at_us", "budget_charges", ["at_us"])
    op.create_table(
        "used_proofs",
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_used_proofs"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_used_proofs_expires_us", "used_proofs", ["expires_us"])
