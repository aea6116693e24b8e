"""Objects of a dataset in the order of their names, so that a listing is read a page at a time."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The index of before is the beginning of the new one."""
    op.create_index("ix_objects_dataset_state_name", "objects", ["dataset", "state", "name"])
    op.drop_index("ix_objects_dataset_state", table_name="objects")
