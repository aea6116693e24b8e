"""Every damage to a ledger is found, and named: in short; `python -m tests.fault.campaigns damage` is the long one."""

from __future__ import annotations

import pytest

from tests.fault.campaigns.keeping import Asked
from tests.fault.damage.campaign import DAMAGES, campaign, cases, summary
from tests.fault.damage.raw import RAW


def test_every_damage_is_named() -> None:
    outcomes = list(campaign(len(DAMAGES), seed=1))
    failed = [
        (outcome.done, outcome.unnamed, outcome.faults[:5])
        for outcome in outcomes
        if outcome.unnamed or outcome.unnoticed
    ]
    assert not failed
    done = {name for outcome in outcomes for name in outcome.done}
    assert done == {damage.__name__ for damage in DAMAGES}, summary(outcomes)


@pytest.mark.slow
def test_bytes_are_noticed() -> None:
    found = [case for case in cases(Asked(40, 5)) if case.what.startswith("bytes")]
    assert {case.what for case in found} == {f"bytes: {kind}" for kind in RAW}
    assert [case for case in found if case.faults] == []
