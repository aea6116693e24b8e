"""What somebody changes in the rows of a database server is named, as it is in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from keten.ledger.model import Draft
from keten.ledger.verify import verify
from tests.cluster import copy_in, place_in, shared
from tests.made_ledger import STARTED, MadeLedger

DAMAGES = {
    "a payload": ("UPDATE entries SET payload = payload || '\\x20' WHERE idx = 300", "entry 300"),
    "an erased salt": ("UPDATE entries SET salt = '\\x00' WHERE idx = 7", "entry 7"),
    "a leaf": ("UPDATE entries SET leaf = '\\x7b7d' WHERE idx = 299", "entry 299"),
    "a time": ("UPDATE entries SET time_us = time_us + 1 WHERE idx = 100", "entry 100"),
    "a kind": ("UPDATE entries SET kind = 'test.other.said' WHERE idx = 12", "entry 12"),
    "one deleted": ("DELETE FROM entries WHERE idx = 200", "entry 200"),
    "the newest deleted": ("DELETE FROM entries WHERE idx = 399", "entry 399"),
    "one inserted": (
        "INSERT INTO entries SELECT 400, id, time_us, kind, payload, salt, leaf FROM entries WHERE idx = 5",
        "entry 400",
    ),
    "two swapped": (
        """
        UPDATE entries SET payload = b.payload, salt = b.salt, leaf = b.leaf FROM entries b
        WHERE (entries.idx = 10 AND b.idx = 11) OR (entries.idx = 11 AND b.idx = 10)
        """,
        "entry 10",
    ),
    "a row's body": ("UPDATE clients SET body = replace(body::text, '6d', '6e')::bytea", "table clients"),
    "a row's column": ("UPDATE clients SET supplier = reverse(supplier)", "table clients"),
    "a row deleted": ("DELETE FROM people", "table people"),
    "a row added": ("INSERT INTO people SELECT reverse(id), name, supplier, body, entry FROM people", "table people"),
    "a change hidden": ("DELETE FROM changes WHERE idx = (SELECT max(idx) FROM changes)", "changes"),
    "a list": ("UPDATE postings SET places = '\\x00' WHERE span = 0", "postings"),
    "the head": ("UPDATE head SET size = size - 1", "head"),
    "two heads": ("INSERT INTO head SELECT 2, size, root, edge, note, time_us, low_water FROM head", "head"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> MadeLedger:
    home = tmp_path_factory.mktemp("whole")
    place_in(home, server=True)
    made = MadeLedger.create(home)
    made.fill(400)
    made.publish()
    made.post(300)
    assert verify(made.place, made.folder, processes=1).ok
    made.close()
    return made


def database(made: MadeLedger) -> str:
    return str(made.place).rpartition("/")[2]


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damage_is_named(whole: MadeLedger, what: str, tmp_path: Path) -> None:
    made = whole.copy_to(tmp_path / "copy")
    statement, named = DAMAGES[what]
    shared().execute(statement, database(made))
    report = verify(made.place, made.folder, key=made.key, processes=1)
    made.close()
    assert any(named in str(fault) for fault in report.faults), [str(fault) for fault in report.faults]


def test_a_database_put_back(whole: MadeLedger, tmp_path: Path) -> None:
    """An older copy is behind what was published."""
    made = whole.copy_to(tmp_path / "newer")
    (tmp_path / "older").mkdir()
    (tmp_path / "older" / "database.url").write_text((made.home / "database.url").read_text())
    copy_in(tmp_path / "older")
    made.record(Draft(STARTED, "keeper"))
    made.publish()
    made.close()
    older = MadeLedger(tmp_path / "older")
    older.folder = made.folder
    report = verify(older.place, made.folder, key=made.key, processes=1)
    older.close()
    assert any("older copy" in str(fault) for fault in report.faults), [str(fault) for fault in report.faults]
