"""What several fault tests start from."""

from __future__ import annotations

import pytest

from tests.fault.keeper_inside import prepared
from tests.town import Town


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A stopped town with its content, to be copied for each test."""
    return prepared(tmp_path_factory.mktemp("stopped"))
