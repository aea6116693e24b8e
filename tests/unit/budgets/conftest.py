"""What holds in all tests of budgets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.vault.house import House
from tests.well_said import errors_are_well_said

__all__ = ["errors_are_well_said"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A vault with its writer."""
    made = House(tmp_path)
    yield made
    made.engine.dispose()
    made.reader.dispose()
