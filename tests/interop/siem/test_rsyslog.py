"""A real rsyslog over TLS: killed and started again in mid-stream, it gets everything, and can tell what came twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from keten.drills.neighbours import until
from keten.keeper.follow_protocol import Follow, Following
from keten.watch.export.state import STATE, load_state
from tests.many import add_objects
from tests.ocsf import faults
from tests.receivers import Rsyslog, Trust
from tests.town import SETTINGS, Town

MANY = 2500


def destination(rsyslog: Rsyslog, trust: Trust) -> str:
    return f"""
[[export.destinations]]
name = "soc"
kind = "syslog"
url = "{rsyslog.url}"
ca = "{trust.ca}"
settle_seconds = 4
"""


def ledger_ids(town: Town) -> list[str]:
    found: list[str] = []
    with town.keten.keeper() as client:
        while True:
            page = client.call("ledger.follow", Follow(len(found)), Following)
            if not page.entries:
                return found
            found += [entry.id for entry in page.entries]


def sent(town: Town) -> int:
    """How far the destination is; whether it fails just now does not matter here."""
    return load_state(town.keten.paths.outbox / "soc" / STATE).sent


@pytest.mark.needs("rsyslogd")
@pytest.mark.timeout(600)  # several commands, on machines that may be busy
@pytest.mark.parametrize("flush", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_nothing_is_lost_when_it_is_killed_in_mid_stream(flush: bool, tmp_path: Path) -> None:
    trust = Trust(tmp_path / "trust")
    rsyslog = Rsyslog(tmp_path / "rsyslog", trust, flush=flush)
    (tmp_path / "town").mkdir()
    town = Town(tmp_path / "town")
    town.keten.configure(SETTINGS + destination(rsyslog, trust))
    town.apply()
    add_objects(town.keten, town.keten.ids["dataset"]["voters"], (f"object-{number}" for number in range(MANY)))
    with rsyslog, town.keten:
        town.keten.up()
        for part in (1, 5):
            assert until(lambda part=part: rsyslog.written() > part * MANY // 10, 40)  # type: ignore[misc]
            rsyslog.kill()
            rsyslog.start()
        assert until(lambda: rsyslog.written() > MANY // 2, 40)
        rsyslog.kill()
        town.apply(extra="# changed while nobody listens\n", ends="2098-12-31")
        rsyslog.start()
        wanted = ledger_ids(town)
        assert len(wanted) > MANY
        assert until(lambda: sent(town) >= len(wanted), 60)
        assert until(lambda: set(rsyslog.uids()) >= set(wanted[: MANY // 2]), 60)
        rsyslog.stop()  # what it holds back is written now
        events = rsyslog.events()
        assert set(wanted) <= {event["metadata"]["uid"] for event in events}
        assert {event["metadata"]["sequence"] for event in events} >= set(range(len(wanted)))
        told: dict[str, object] = {}
        for event in events:  # what came twice is the same event
            assert told.setdefault(event["metadata"]["uid"], event) == event
        assert len(events) > len(told)
        for event in [*events[:30], *events[:: len(events) // 100]]:
            assert faults(event) == []
