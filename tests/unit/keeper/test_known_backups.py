"""Which backups an erasure names: also those that a restored instance cannot know."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import create_engine, insert

from keten.backup.tables import backups, lives
from keten.keeper.known_backups import KnownBackups

BEFORE = '{"key": "k", "note": "n", "link": "l"}'


@pytest.mark.parametrize(("before", "named"), [("", 0), (BEFORE, 1)])
def test_what_the_instance_before_a_restore_made_later_is_named(before: str, named: int, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'keten.db'}")
    with engine.begin() as connection:
        backups.create(connection)
        lives.create(connection)
        connection.execute(insert(lives).values(origin="o", size=7, since_us=0, state="live", before=before))
    trusted: Any = SimpleNamespace(reader=engine)
    found = KnownBackups(trusted)
    assert len(found.gone()) == len(found.foreseen()) == named
    assert all("are not known here" in one and "1970-01-01T00:00:00" in one for one in found.gone())
    engine.dispose()
