"""A short campaign of kill -9 in the suite; `python -m tests.fault.campaigns kills` is the long one."""

from __future__ import annotations

import pytest

from tests.fault.campaigns.keeping import Asked
from tests.fault.kills.campaign import cases


# Connections die here amid a handshake or an answer; what the library then leaves open is no fault of Keten's.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.timeout(400)
def test_nothing_is_lost_and_nothing_served_without_an_entry() -> None:
    found = list(cases(Asked(6, seed=20261122)))
    assert [case for case in found if case.faults] == []
    assert found[-1].counts["given"] > 20
