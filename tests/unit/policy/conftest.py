"""What tests of the policies share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.policy.engine import Engine
from tests.unit.suppliers.instances import Instance


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """A real register and ledger in a database of its own."""
    made = Instance(tmp_path)
    yield made
    made.engine.dispose()
    made.reader.dispose()
