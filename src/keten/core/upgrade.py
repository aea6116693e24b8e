"""Making an instance's database one of this version, whatever version it was of."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table
from sqlalchemy.exc import DBAPIError

from keten.core.db import database_error, driver, readable_tables, writing_engine
from keten.core.errors import Invalid
from keten.core.files import Files
from keten.core.places import Place

REVISION = "0013"
"""The newest revision: what a database of this version is of. A test holds it against the migrations."""
MIGRATIONS = Path(__file__).with_name("migrations")
SEALED = "moved_elsewhere"
"""The table that takes the place of Alembic's in a database that was moved to another: it is used no more."""
_VERSION = table("alembic_version", column("version_num"))


def upgrade(place: Place, *, migrations: Path = MIGRATIONS, files: Files | None = None) -> str:
    """Make the database at `place` one of this version; returns the revision that it had before ("" when it is new).

    1. Look at its revision. One of this version: nothing to do. One that this version does not know: refused.
    2. One that is older: first what the engine does to get back to it (a file is copied, durably, to
       `<name>.before-<revision>`; a server's own backup is what counts there, and that is said).
    3. Make or change everything in one transaction: after a crash at any moment the database is of one version or the
       other, never in between. Another process that does the same waits, and then has nothing to do.
    4. Who only reads may read what is new, but for tables of keys.

    Nothing else may have the database open for writing. Raises `Invalid` ("instance-newer", "instance-foreign",
    "instance-moved"), `Unavailable` ("disk-full", …), `Corrupt` ("database-damaged").
    """
    files = files or Files()
    engine = writing_engine(place)
    try:
        with engine.begin() as connection:  # 1
            before = revision_of(connection, place)
        if before != REVISION or migrations != MIGRATIONS:
            # Alembic takes longer to import than all of Keten, and is needed once in a version's life.
            from keten.core.migrating import migrate, newest, require_known  # noqa: PLC0415

            if before != newest(migrations):
                if before:
                    require_known(migrations, before, place)
                    driver(place).before_upgrade(place, before, files)  # 2
                migrate(engine, migrations, place, revision_of)  # 3
        driver(place).after_upgrade(engine, place, readable_tables(), files)  # 4
    except DBAPIError as error:
        raise database_error(error) from error
    finally:
        engine.dispose()
    return before


def make_at(place: Place, revision: str, *, migrations: Path = MIGRATIONS) -> None:
    """Make a new database of a certain revision, for content of that revision to be put into.

    Raises `Invalid` ("instance-newer") for one that this version does not know, `Unavailable`.
    """
    from keten.core.migrating import migrate, require_known  # noqa: PLC0415  # as in `upgrade`

    require_known(migrations, revision, place)
    engine = writing_engine(place)
    try:
        migrate(engine, migrations, place, revision_of, revision)
    except DBAPIError as error:
        raise database_error(error) from error
    finally:
        engine.dispose()


def revision_of(connection: Connection, place: Place) -> str:
    """The revision of a database; "" of an empty one. Raises `Invalid` ("instance-foreign", "instance-moved")."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return ""
    if SEALED in tables:
        public = f"{place} was moved to another database, where its ledger goes on; this one is used no more."
        raise Invalid("instance-moved", public, "see 'keten move' in the manual")
    found = list(connection.execute(select(_VERSION.c.version_num)).scalars()) if _VERSION.name in tables else []
    if len(found) != 1:
        raise Invalid("instance-foreign", f"{place} is a database, but not one of Keten.", f"{len(found)} revisions")
    return str(found[0])
