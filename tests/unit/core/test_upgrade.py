"""An instance's database: new ones are made, older ones upgraded after a copy, newer and foreign ones refused."""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

import keten
from keten.core.db import metadata, reading_engine
from keten.core.errors import Corrupt, FsyncFailed, Invalid, Unavailable
from keten.core.files import Files
from keten.core.migrating import newest
from keten.core.sqlite import ABANDONED_SECONDS
from keten.core.upgrade import MIGRATIONS, REVISION, upgrade

NEXT = '''"""A later revision."""
import os
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{present}"
branch_labels = None
depends_on = None

def upgrade():
    op.create_table("later", sa.Column("id", sa.Integer(), primary_key=True))
    with op.batch_alter_table("cursors") as batch:
        batch.add_column(sa.Column("note", sa.Text(), nullable=True))
    op.execute("UPDATE cursors SET note = 'upgraded'")
    {middle}
    op.create_table("last", sa.Column("id", sa.Integer(), primary_key=True))
'''


UPGRADE = """
import sys
from pathlib import Path
from keten.core.upgrade import upgrade
upgrade(Path(sys.argv[1]), migrations=Path(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def every_table() -> None:
    """All rooms' tables are in the metadata."""
    for module in pkgutil.walk_packages(keten.__path__, "keten."):
        if module.name.endswith("tables"):
            importlib.import_module(module.name)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of the present revision with something in it."""
    path = tmp_path / "db" / "keten.db"
    path.parent.mkdir()
    upgrade(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO cursors VALUES ('reader', 7)")
        connection.commit()
    return path


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """Migrations of a later version."""
    return _migrations(tmp_path / "later 100%", "")


def _migrations(folder: Path, middle: str) -> Path:
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    later = NEXT.format(middle=middle, present=REVISION)
    (folder / "versions" / "r9999_later.py").write_text(later, encoding="utf-8")
    return folder


def _rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _schema(path: Path) -> set[str]:
    rows = _rows(path, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name != 'alembic_version'")
    return {" ".join(str(row[0]).replace('"', "").split()) for row in rows}


def test_a_new_database_has_the_tables_of_the_code(tmp_path: Path) -> None:
    path = tmp_path / "keten.db"
    assert upgrade(path) == ""
    engine = reading_engine(path)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    # The comparison above knows nothing of some things, such as tables without row ids, so compare statements too.
    by_code = tmp_path / "by_code.db"
    engine = create_engine(f"sqlite:///{by_code}")
    own = [table for table in metadata.sorted_tables if not table.name.startswith("test_")]
    metadata.create_all(engine, tables=own)
    engine.dispose()
    assert _schema(path) == _schema(by_code)


def test_upgrading_again_changes_nothing(database: Path) -> None:
    before = database.read_bytes()
    assert upgrade(database) == REVISION
    assert database.read_bytes() == before
    assert _names(database.parent) == [database.name]


def test_an_older_database_is_copied_and_upgraded(database: Path, later: Path) -> None:
    assert upgrade(database, migrations=later) == REVISION
    assert _rows(database, "SELECT name, idx, note FROM cursors") == [("reader", 7, "upgraded")]
    assert _rows(database, "SELECT version_num FROM alembic_version") == [("9999",)]
    copy = database.with_name(f"keten.db.before-{REVISION}")
    assert _rows(copy, "SELECT * FROM cursors") == [("reader", 7)]
    assert _rows(copy, "SELECT version_num FROM alembic_version") == [(REVISION,)]
    assert copy.stat().st_mode & 0o077 == 0
    assert _names(database.parent) == ["keten.db", f"keten.db.before-{REVISION}"]


def test_an_instance_of_the_first_version_gets_its_objects_by_name(tmp_path: Path) -> None:
    first = tmp_path / "first"
    shutil.copytree(MIGRATIONS, first, ignore=shutil.ignore_patterns("__pycache__", "r000[2-9]_*", "r00[1-9]?_*"))
    path = tmp_path / "keten.db"
    assert upgrade(path, migrations=first) == ""
    row = ("o" * 26, "voters.csv", "d" * 26, "present", 0, "s" * 26, b"{}", 7)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        connection.commit()
    assert upgrade(path) == "0001"
    assert _rows(path, "SELECT * FROM objects") == [row]
    indexes = {str(name) for (name,) in _rows(path, "SELECT name FROM sqlite_master WHERE tbl_name = 'objects'")}
    assert "ix_objects_dataset_state_name" in indexes
    assert "ix_objects_dataset_state" not in indexes
    assert _rows(path.with_name("keten.db.before-0001"), "SELECT * FROM objects") == [row]


def test_subject_keys_of_before_are_kept_and_can_be_destroyed(tmp_path: Path) -> None:
    before = tmp_path / "before"
    shutil.copytree(MIGRATIONS, before, ignore=shutil.ignore_patterns("__pycache__", "r000[3-9]_*", "r00[1-9]?_*"))
    path = tmp_path / "keten.db"
    assert upgrade(path, migrations=before) == ""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO subject_keys VALUES (?, ?)", ("s" * 26, b"wrapped"))
        connection.commit()
    assert upgrade(path) == "0002"
    assert _rows(path, "SELECT * FROM subject_keys") == [("s" * 26, b"wrapped")]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE subject_keys SET wrapped = NULL")
        connection.commit()
    assert _rows(path, "SELECT * FROM subject_keys") == [("s" * 26, None)]


def test_the_copy_has_what_is_still_in_the_write_ahead_log(database: Path, later: Path) -> None:
    with closing(sqlite3.connect(database)) as open_elsewhere:
        open_elsewhere.execute("PRAGMA wal_autocheckpoint=0")
        open_elsewhere.execute("INSERT INTO cursors VALUES ('late', 9)")
        open_elsewhere.commit()
        assert database.with_name("keten.db-wal").stat().st_size > 0
        upgrade(database, migrations=later)
    copy = database.with_name(f"keten.db.before-{REVISION}")
    assert _rows(copy, "SELECT name FROM cursors ORDER BY idx") == [("reader",), ("late",)]


def test_a_newer_database_is_refused_untouched(database: Path, later: Path) -> None:
    upgrade(database, migrations=later)
    before = database.read_bytes()
    with pytest.raises(Invalid) as refused:
        upgrade(database)
    assert refused.value.code == "instance-newer"
    assert database.read_bytes() == before


def test_a_foreign_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "keten.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
        connection.commit()
    with pytest.raises(Invalid) as refused:
        upgrade(path)
    assert refused.value.code == "instance-foreign"
    assert _rows(path, "SELECT name FROM sqlite_master") == [("theirs",)]


def test_a_database_of_two_revisions_is_refused(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO alembic_version VALUES ('other')")
        connection.commit()
    with pytest.raises(Invalid) as refused:
        upgrade(database)
    assert refused.value.code == "instance-foreign"


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keten.db"
    path.write_bytes(b"this is not a database file at all, but some text" * 100)
    with pytest.raises(Corrupt) as refused:
        upgrade(path)
    assert refused.value.code == "database-damaged"


def test_an_empty_file_becomes_a_new_database(tmp_path: Path) -> None:
    path = tmp_path / "keten.db"
    path.touch()
    assert upgrade(path) == ""
    assert upgrade(path) == REVISION


def test_a_failing_upgrade_leaves_the_old_one_whole(database: Path, tmp_path: Path, later: Path) -> None:
    broken = _migrations(tmp_path / "broken", "raise ValueError('stop')")
    schema = _schema(database)
    with pytest.raises(ValueError, match="stop"):
        upgrade(database, migrations=broken)
    assert _schema(database) == schema
    assert _rows(database, "SELECT * FROM cursors") == [("reader", 7)]
    assert upgrade(database) == REVISION
    assert upgrade(database, migrations=later) == REVISION  # and the next attempt succeeds


def test_a_killed_upgrade_leaves_the_old_one_whole(database: Path, tmp_path: Path, later: Path) -> None:
    deadly = _migrations(tmp_path / "deadly", "os.kill(os.getpid(), 9)")
    killed = subprocess.run([sys.executable, "-c", UPGRADE, database, deadly], check=False)
    assert killed.returncode == -9
    assert _rows(database, "SELECT * FROM cursors") == [("reader", 7)]
    assert upgrade(database) == REVISION
    assert upgrade(database, migrations=later) == REVISION
    assert _rows(database, "SELECT note FROM cursors") == [("upgraded",)]


class FullDisk(Files):
    """A disk that is full when a file gets its place."""

    def rename(self, source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))


class FailingDisk(Files):
    """A disk whose fsync fails."""

    def sync(self, stream: object) -> None:
        raise FsyncFailed("fsync-failed", "The disk failed; the process stops.", str(stream))


@pytest.mark.parametrize(("files", "error"), [(FullDisk(), Unavailable), (FailingDisk(), FsyncFailed)])
def test_without_a_copy_nothing_is_upgraded(
    database: Path, later: Path, files: Files, error: type[Exception]
) -> None:
    with pytest.raises(error):
        upgrade(database, migrations=later, files=files)
    assert upgrade(database) == REVISION
    assert _names(database.parent) == [database.name]


def test_a_full_database_copy_is_reported(
    database: Path, later: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(sqlite3.OperationalError):
        sqlite_errorname = "SQLITE_FULL"

    real = sqlite3.connect

    def connect(path: Path, **options: bool) -> sqlite3.Connection:
        if path.name.endswith(".tmp"):
            raise Full("database or disk is full")
        return real(path, check_same_thread=options.get("check_same_thread", True))

    monkeypatch.setattr("keten.core.sqlite.sqlite3.connect", connect)
    with pytest.raises(Unavailable) as failed:
        upgrade(database, migrations=later)
    assert failed.value.code == "disk-full"
    assert _names(database.parent) == [database.name]


def test_two_at_once_make_one_database(tmp_path: Path) -> None:
    path = tmp_path / "keten.db"
    outcomes: list[object] = []

    def run() -> None:
        try:
            outcomes.append(upgrade(path))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must fail the test below
            outcomes.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(map(str, outcomes)) <= {"", REVISION}
    assert upgrade(path) == REVISION


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        upgrade(tmp_path / "absent" / "keten.db")


def test_the_newest_revision_is_the_one_that_this_version_names() -> None:
    assert newest(MIGRATIONS) == REVISION


def test_what_a_killed_upgrade_left_of_its_copy_is_removed(database: Path) -> None:
    """It holds the keys of its day. One that is being written stays."""
    old, fresh = (database.with_name(f".{database.name}.before-0001.{name}.tmp") for name in ("old", "fresh"))
    for path in (old, fresh):
        path.write_bytes(b"x")
    long_ago = path.stat().st_mtime - 2 * ABANDONED_SECONDS
    os.utime(old, (long_ago, long_ago))
    assert upgrade(database) == REVISION
    assert fresh.exists()
    assert not old.exists()
