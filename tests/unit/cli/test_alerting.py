"""How alerts stand on a terminal."""

from __future__ import annotations

import msgspec
import pytest

from keten.cli.operator.alerting import _described, _row
from keten.keeper.watch_protocol import AlertInfo

ALERT = AlertInfo(
    id="a" * 26,
    detector="volume",
    severity="low",
    state="open",
    verdict="",
    principal="drukwerk-batch",
    supplier="drukwerk",
    dataset="voters",
    owner="",
    count=1,
    made="2026-11-29T09:00:00Z",
    last="2026-11-29T09:00:00Z",
    wanted="note",
    response="note",
    held="",
    until="",
    in_force=False,
    lifted="",
    quiet_until="",
    note="",
    by="",
    facts={},
    first_entry="",
    last_entry="",
    explanation={},
)


@pytest.mark.parametrize(
    ("response", "in_force", "until", "said"),
    [
        ("note", False, "", "note"),
        ("alert", False, "", "alert"),
        ("step-up", False, "", "step-up"),
        ("slow", True, "10:00", "slow"),
        ("slow", False, "10:00", "slow, over"),
        ("suspend", False, "10:00", "suspend, over"),
    ],
)
def test_what_was_done_is_over_only_when_it_lasted(response: str, in_force: bool, until: str, said: str) -> None:
    alert = msgspec.structs.replace(ALERT, response=response, in_force=in_force, until=until)
    assert _row(alert)[7] == said
    head, _, over = said.partition(",")
    shown = f"{head} until {until}" if until else head
    assert dict(_described(alert))["done"] == shown + (f",{over}" if over else "")
