"""Counting for Prometheus: once, also over a restart, over damage, and over a ledger that was restored."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from keten.core.errors import Unavailable
from keten.core.settings import Metrics, Settings
from keten.keeper.client import KeeperClient
from keten.keeper.witness_protocol import OutsideState
from keten.worker.measuring import REST_SECONDS, Measuring
from tests.receivers import free_port
from tests.unit.worker.test_exporting import Ledger


class Keeper(Ledger):
    def call(self, verb: str, body: msgspec.Struct, answer: type[Any]) -> Any:
        if verb == "ledger.outside":
            return OutsideState(0, 0, 3_000_000, 0, 2_000_000, 0, 0, {}, [])
        return super().call(verb, cast("Any", body), answer)


class Rig:
    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=str(home), metrics=Metrics(f"127.0.0.1:{free_port()}"))
        self.ledger = Keeper()
        self.at = 0.0
        self.duty = self.made()

    def made(self) -> Measuring:
        return Measuring(self.settings, [], monotonic=lambda: self.at)

    def restart(self) -> None:
        self.duty.close()
        self.duty = self.made()

    def run(self, times: int = 1) -> float:
        pause = 0.0
        for _time in range(times):
            self.at += 20.0
            pause = self.duty.run(cast("KeeperClient", self.ledger))
        return pause

    def value(self, name: str, **labels: str) -> float | None:
        return self.duty.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.duty.close()


def test_it_counts_once_also_over_a_restart(rig: Rig) -> None:
    rig.ledger.add(1500)
    rig.ledger.add(2, "watch.alert.raised")
    assert rig.run() == REST_SECONDS
    rig.run(2)
    assert rig.value("keten_entries_total", room="exchange") == 1500
    assert rig.value("keten_alerts_open", severity="high") == 2
    assert rig.value("keten_outside_signature_seconds") == 3
    rig.restart()
    rig.ledger.add(5)
    rig.run()
    assert rig.value("keten_entries_total", room="exchange") == 5
    assert rig.value("keten_alerts_open", severity="high") == 2
    assert rig.value("keten_metrics_entries") == rig.value("keten_ledger_entries") == 1507


def test_what_cannot_be_read_is_passed_over(rig: Rig) -> None:
    rig.ledger.add(10)
    rig.ledger.damaged = {0, 4, 9}
    rig.run(14)
    assert rig.value("keten_entries_total", room="exchange") == 7


def test_a_ledger_that_was_restored(rig: Rig) -> None:
    rig.ledger.add(30)
    rig.run()
    del rig.ledger.entries[10:]
    rig.run()
    rig.ledger.add(3)
    rig.run()
    assert rig.value("keten_entries_total", room="exchange") == 33


@pytest.mark.parametrize("content", [b"", b"{", b'{"position": "x"}', b"\xff"])
def test_what_is_kept_is_damaged(content: bytes, rig: Rig) -> None:
    rig.ledger.add(3)
    rig.run()
    rig.settings.paths.outbox.parent.mkdir(parents=True, exist_ok=True)
    (rig.settings.paths.outbox.parent / "metrics.json").write_bytes(content)
    rig.restart()
    rig.run()
    assert rig.value("keten_entries_total", room="exchange") == 3


def test_it_is_scraped_and_an_address_that_is_taken_is_said(rig: Rig) -> None:
    rig.run()
    with urllib.request.urlopen(f"http://127.0.0.1:{rig.duty.port}/metrics", timeout=10) as answer:
        assert b"keten_ledger_entries 0.0" in answer.read()
    with pytest.raises(Unavailable, match="metrics"):
        rig.made().run(cast("KeeperClient", rig.ledger))
