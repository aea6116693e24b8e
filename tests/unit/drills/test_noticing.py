"""What is told of alerts, from entries as followers read them and events as they came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keten.core.clock import SECOND, rfc3339
from keten.drills.neighbours import until
from keten.drills.noticing import noticed, refusal_at, released, slowest
from keten.drills.siem import Siem
from keten.keeper.follow_protocol import Followed
from keten.ledger.model import Payload
from keten.watch.export.drivers.syslog import SyslogDriver
from tests.unit.drills.test_siem import destination, record

THIEF, OTHER = "t" * 26, "o" * 26
BEGAN = 1_780_000_000


def entry(index: int, kind: str, *subjects: str, actor: str = "keeper", **details: Any) -> Followed:
    at_us = (BEGAN + index) * SECOND
    payload = Payload(rfc3339(at_us), kind, actor, subjects, {"dataset": "d" * 26}, details)
    return Followed(index, f"entry{index}", at_us, kind, payload)


def lookup(index: int, who: str, **details: Any) -> Followed:
    said = {"outcome": "allow", "charged": 1, "asked": 1} | details
    kind = "exchange.lookup.answered" if said["outcome"] == "allow" else "exchange.lookup.refused"
    return entry(index, kind, who, actor=who, **said)


STORY = [
    lookup(0, OTHER),
    lookup(1, THIEF, charged=3),
    entry(2, "watch.alert.raised", THIEF, detector="volume", response="note"),
    entry(3, "watch.alert.raised", OTHER, detector="rate", response="alert", held="limit"),
    lookup(4, THIEF, charged=4),
    entry(5, "watch.alert.grew", THIEF, detector="rate", response="slow"),
    lookup(6, THIEF),
    entry(7, "watch.alert.grew", THIEF, detector="rate", response="suspend"),
    entry(8, "identity.client.suspended", THIEF),
    lookup(9, THIEF, outcome="deny", charged=0, reasons=["budget-spent"]),
]


@pytest.fixture
def siem(tmp_path: Path) -> Iterator[Siem]:
    """What the alerts of the story but one have come to, and the refusal."""
    with Siem(tmp_path / "siem") as made:
        driver = SyslogDriver(destination(made), tmp_path)
        driver.send([record(f"entry{index}") for index in (2, 3, 5, 9)], 1)
        assert until(lambda: len(made) == 4, 10)
        yield made
        driver.close()


def test_the_first_alert_that_somebody_is_told_of_counts_not_a_note(siem: Siem) -> None:
    found = noticed(STORY, siem, [THIEF])
    arrived = siem.arrived("entry5")
    assert arrived is not None
    assert (found.alert_us, found.detector) == ((BEGAN + 5) * SECOND, "rate")
    assert found.before_alert == 7
    assert found.siem_at == arrived.at
    assert (found.told, found.suspended, found.limited, found.response) == (1, 1, 0, "suspend")


def test_who_was_to_be_stopped_and_was_not(siem: Siem) -> None:
    found = noticed(STORY, siem, [OTHER, THIEF])
    assert (found.told, found.suspended, found.limited) == (2, 1, 1)
    assert found.detector == "rate"
    assert found.before_alert == 4, "both, until the first of their alerts"


def test_of_whom_nothing_is_said_nothing_is_told(siem: Siem) -> None:
    found = noticed(STORY, siem, ["nobody"])
    assert (found.alert_us, found.before_alert, found.siem_at, found.told, found.response) == (0, None, 0.0, 0, "")
    assert refusal_at(STORY, siem, OTHER) == 0


def test_an_alert_that_did_not_come_is_missed(siem: Siem) -> None:
    many, came, longest = slowest(lambda: STORY, siem, 0.0)
    assert (many, came) == (3, 2)
    assert longest > 0
    late = siem.arrived("entry9")
    assert late is not None
    assert refusal_at(STORY, siem, THIEF) == late.at
    assert released(STORY, {THIEF}, (BEGAN + 4) * SECOND) == 7
