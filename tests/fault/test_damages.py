"""Every damage to a ledger is found, and named: the short campaign (`python -m tests.fault.damage` is the long one)."""

from __future__ import annotations

from tests.fault.damage.campaign import DAMAGES, campaign, summary


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
