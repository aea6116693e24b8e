"""The vault's house: a database, a ledger and a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.vault.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An empty one."""
    made = House(tmp_path)
    yield made
    made.engine.dispose()
    made.reader.dispose()
