"""What tests of the policies share."""

import pytest

from keten.policy.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine()
