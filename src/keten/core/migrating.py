"""Alembic's part of an upgrade (see `keten.core.upgrade`)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from keten.core.db import driver
from keten.core.errors import Invalid
from keten.core.places import Place

# It announces each of its plug-ins, which is of no use to an operator.
logging.getLogger("alembic").setLevel(logging.WARNING)


def newest(migrations: Path) -> str:
    """The newest revision among these migrations."""
    return str(ScriptDirectory(str(migrations)).get_current_head())


def require_known(migrations: Path, revision: str, place: Place) -> None:
    """Refuse a database of a revision that this version does not know: `Invalid` ("instance-newer")."""
    known = {each.revision for each in ScriptDirectory(str(migrations)).walk_revisions()}
    if revision not in known:
        raise Invalid(
            "instance-newer",
            "This instance was made or upgraded by a newer version of Keten; use that version.",
            f"{place} is of revision {revision!r:.40}",
        )


def migrate(
    engine: Engine,
    migrations: Path,
    place: Place,
    revision_of: Callable[[Connection, Place], str],
    to: str = "head",
) -> None:
    """Bring the database to the newest revision (or `to`), in one transaction.

    The revision is looked at again: the transaction may have waited for another process.
    """
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    with engine.begin() as connection:
        driver(connection).alone(connection)
        now = revision_of(connection, place)
        if now:
            require_known(migrations, now, place)
        config.attributes["connection"] = connection
        command.upgrade(config, to)
