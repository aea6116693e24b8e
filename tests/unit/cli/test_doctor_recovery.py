"""What `keten doctor` says of getting back in."""

from __future__ import annotations

import pytest

from keten.cli.doctor.recovering import short
from keten.core.recovering import Recovery


@pytest.mark.parametrize(
    ("recovery", "named"),
    [
        (Recovery(seasoned="29d"), "seasoned 29d"),
        (Recovery(reduced="71h"), "reduced 71h"),
        (Recovery(code="25h"), "code 25h"),
        (Recovery(cool_down={"secret": "48h"}), "cool_down secret 48h"),
        (Recovery(cool_down={"public": "48h", "confidential": "72h"}), ""),
        (Recovery(seasoned="60d", code="1h", reduced="7d"), ""),
        (Recovery(), ""),
    ],
)
def test_times_that_help_callers_are_named(recovery: Recovery, named: str) -> None:
    assert ", ".join(short(recovery)) == named
