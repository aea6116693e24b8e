"""What an erasure says that it cannot reach."""

from __future__ import annotations

from pathlib import Path

from keten.keeper.entries import DATABASE_MOVED
from keten.ledger.model import Draft
from keten.subjects import erasing
from tests.made_ledger import MadeLedger

LEFT = "postgresql://keten_keeper@db.example.org/keten"


def test_a_database_that_was_left_on_a_server_is_named(tmp_path: Path) -> None:
    """So is what is left of a file, by whoever looks for it there."""
    made = MadeLedger.create(tmp_path / "l")
    client = made.declare("drukwerk-batch")
    for source in ("/srv/keten/db/keten.db", LEFT):
        made.record(Draft(DATABASE_MOVED, "operator:anna", details={"from": source, "to": "x", "size": 1, "root": ""}))
    with made.reading() as connection:
        unreached = erasing.plan(connection, client, ["keten.db.moved-1"], 0).unreached
    made.close()
    assert "db/keten.db.moved-1 holds it as it was: remove it" in unreached
    (named,) = (one for one in unreached if "left at" in one)
    assert named.startswith(f"the database {LEFT}, which was left at 2026-")
