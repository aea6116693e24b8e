"""Making an instance's database one of this version, whatever version it was of."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table
from sqlalchemy.exc import DBAPIError

from keten.core.db import database_error, writing_engine
from keten.core.errors import Invalid, Unavailable
from keten.core.files import Files, disk_error
from keten.core.ids import new_id

REVISION = "0002"
"""The newest revision: what a database of this version is of. A test holds it against the migrations."""
MIGRATIONS = Path(__file__).with_name("migrations")
_VERSION = table("alembic_version", column("version_num"))
_PAGES_AT_ONCE = 4096
ABANDONED_SECONDS = 600.0  # a copy that nobody has written to for so long is of an upgrade that was killed


def upgrade(path: Path, *, migrations: Path = MIGRATIONS, files: Files | None = None) -> str:
    """Make the database at `path` one of this version; returns the revision that it had before ("" when it is new).

    1. Look at its revision. One of this version: nothing to do. One that this version does not know: refused.
    2. One that is older: copy the file to `<name>.before-<revision>` first, durably.
    3. Make or change everything in one transaction: after a crash at any moment the database is of one version or the
       other, never in between. Another process that does the same waits, and then has nothing to do.

    Nothing else may have the database open for writing. Raises `Invalid` ("instance-newer", "instance-foreign"),
    `Unavailable` ("disk-full", …), `Corrupt` ("database-damaged").
    """
    files = files or Files()
    _tidy(path, files)
    engine = writing_engine(path)
    try:
        with engine.begin() as connection:  # 1
            before = _revision(connection, path)
        if before == REVISION and migrations == MIGRATIONS:
            return before
        # Alembic takes longer to import than all of Keten, and is needed once in a version's life.
        from keten.core.migrating import migrate, newest, require_known  # noqa: PLC0415

        if before == newest(migrations):
            return before
        if before:
            require_known(migrations, before, path)
            _copy(path, path.with_name(f"{path.name}.before-{before}"), files)  # 2
        migrate(engine, migrations, path, _revision)  # 3
        files.sync_folder(path.parent)
    except DBAPIError as error:
        raise database_error(error) from error
    finally:
        engine.dispose()
    return before


def _revision(connection: Connection, path: Path) -> str:
    """The revision of a database; "" of an empty one."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return ""
    found = list(connection.execute(select(_VERSION.c.version_num)).scalars()) if _VERSION.name in tables else []
    if len(found) != 1:
        raise Invalid("instance-foreign", f"{path} is a database, but not one of Keten.", f"{len(found)} revisions")
    return str(found[0])


def _tidy(path: Path, files: Files) -> None:
    """Remove what killed upgrades left of their copies: each holds the keys of its day. Not what is being written."""
    for left in path.parent.glob(f".{path.name}.before-*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                files.discard(left)


def _copy(source: Path, target: Path, files: Files) -> None:
    """Step 2: a consistent copy, complete and durable before it gets its name."""
    temporary = target.with_name(f".{target.name}.{new_id()[:8]}.tmp")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(temporary)) as copy:
            original.backup(copy, pages=_PAGES_AT_ONCE)
        with temporary.open("rb+") as stream:
            files.sync(stream)
        files.rename(temporary, target)
    except sqlite3.Error as error:
        files.discard(temporary)
        name = str(getattr(error, "sqlite_errorname", ""))
        raise Unavailable(
            "disk-full" if name == "SQLITE_FULL" else "copy-failed",
            "The database could not be copied before its upgrade; nothing was changed.",
            f"{name}: {error}",
        ) from error
    except OSError as error:
        files.discard(temporary)
        raise disk_error(error, target) from error
    except BaseException:
        files.discard(temporary)
        raise
