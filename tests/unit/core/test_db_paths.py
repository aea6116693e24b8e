"""An instance's folder may have any name that a file system takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from keten.core.db import reading_engine, writing_engine


@pytest.mark.parametrize("name", ["a b", "q?x", "h#y", "p%41", "é", "a'b\"c", "100%"])
def test_a_database_is_found_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    writer, reader = writing_engine(folder / "k.db"), reading_engine(folder / "k.db")
    with writer.begin() as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER)"))
    with reader.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar() == 0
    writer.dispose()
    reader.dispose()
    assert [path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))] == ["k.db"]
