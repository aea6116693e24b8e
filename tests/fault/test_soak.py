"""A very short soak; `python -m tests.fault.campaigns soak --minutes 60` is the long one."""

from __future__ import annotations

import pytest

from tests.fault.campaigns.keeping import Asked
from tests.fault.soak.campaign import cases
from tests.fault.soak.flat import MIB, Sample, growing


def samples(resident: int, handles: int) -> list[Sample]:
    """Of a minute, in which a process grows by so much, once it is warm."""
    return [
        Sample(float(at), 7, 100 * MIB + max(0, at - 30) * resident // 30, 20 + max(0, at - 30) * handles // 30)
        for at in range(60)
    ]


@pytest.mark.parametrize(
    ("resident", "handles", "flat"), [(0, 0, True), (4 * MIB, 4, True), (20 * MIB, 0, False), (0, 30, False)]
)
def test_what_grows_is_not_flat(resident: int, handles: int, flat: bool) -> None:
    assert (growing("gateway", samples(resident, handles)) == []) == flat


# Connections die here amid a handshake or an answer; what the library then leaves open is no fault of Keten's.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_everything_is_recorded() -> None:
    """Half a minute says nothing about memory, which is still warming up."""
    found = list(cases(Asked(1, 4, minutes=0.5)))
    assert [case for case in found if case.what == "recorded" and case.faults] == []
    assert found[-1].counts["https"] > 100
    assert found[-1].counts["sftp_reads"] > 20
