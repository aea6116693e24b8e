"""What tests of the policies share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.policy.engine import Engine
from keten.policy.service import Decisions
from tests.unit.policy.asking import Counting
from tests.unit.policy.worlds import World
from tests.unit.suppliers.instances import Instance
from tests.well_said import errors_are_well_said

__all__ = ["errors_are_well_said"]


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


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def decisions(world: World, counting: Counting) -> Decisions:
    return Decisions(world, counting)
