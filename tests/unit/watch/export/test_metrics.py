"""What Prometheus is told; and a dashboard that asks for exactly that."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from prometheus_client import generate_latest

from keten.ledger.model import Entry, Payload
from keten.watch.export.metrics import Metrics
from keten.watch.export.state import State
from tests.architecture.checkout import ROOT

DASHBOARD = ROOT / "docs" / "grafana" / "keten.json"


def entry(index: int, kind: str, refs: dict[str, str] | None = None, **details: Any) -> Entry:
    return Entry(index, f"e{index}", index * 1_000_000, kind, Payload("", kind, "c", (), refs or {}, details))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_entries_are_counted() -> None:
    metrics = Metrics()
    refs = {"dataset": "d1"}
    metrics.count(
        [
            entry(0, "exchange.object.opened", refs, channel="https", charged=7),
            entry(1, "exchange.lookup.answered", refs, channel="https", charged=1),
            entry(2, "exchange.object.refused", refs, reasons=["revoked"], count=5),
            entry(3, "identity.strangers.refused", count=40),
            entry(4, "identity.client.signed_in", method="ssh"),
            entry(5, "exchange.object.delivered", bytes=1000),
            entry(6, "exchange.object.delivered", bytes=None),
            Entry(7, "e7", 7_000_000, "exchange.object.opened", None),
        ],
        {"d1": "voters"},
    )
    assert value(metrics, "keten_accesses_total", channel="https") == 2
    assert value(metrics, "keten_records_charged_total", dataset="voters") == 8
    assert value(metrics, "keten_refused_total", reason="revoked") == 5
    assert value(metrics, "keten_refused_total", reason="client-unknown") == 40
    assert value(metrics, "keten_sign_ins_total", method="ssh") == 1
    assert value(metrics, "keten_delivered_bytes_total") == 1000
    assert value(metrics, "keten_entries_total", room="exchange") == 6
    assert value(metrics, "keten_metrics_entries") == 8
    assert value(metrics, "keten_ledger_newest_seconds") == 7


def test_alerts_are_open_until_they_are_handled() -> None:
    metrics = Metrics()
    metrics.count([entry(0, "watch.alert.raised", {"alert": "a"}, severity="low")], {})
    metrics.count([entry(1, "watch.alert.raised", {"alert": "b"}, severity="high")], {})
    metrics.count([entry(2, "watch.alert.grew", {"alert": "a"}, severity="high")], {})
    metrics.count([entry(3, "watch.alert.handled", {"alert": "b"}, action="acknowledge")], {})
    assert value(metrics, "keten_alerts_open", severity="low") == 0
    assert value(metrics, "keten_alerts_open", severity="high") == 2
    metrics.count([entry(4, "watch.alert.handled", {"alert": "b"}, action="not-fine")], {})
    metrics.count([entry(5, "watch.alert.raised", {"alert": "c"}, severity="low", wanted="note")], {})
    assert value(metrics, "keten_alerts_open", severity="low") == 0
    assert value(metrics, "keten_alerts_open", severity="high") == 1
    assert value(metrics, "keten_alerts_raised_total", severity="high") == 1


@pytest.mark.parametrize("damaged", [None, "x" * 50, 7, ["a"], {"b": 1}, 'a"b\n', 2**70, -1, ""])
def test_what_is_damaged_makes_no_series_of_its_own(damaged: object) -> None:
    metrics = Metrics()
    words = ("channel", "reasons", "method", "severity", "response", "charged", "bytes", "count", "action")
    for index, kind in enumerate(
        ("exchange.object.opened", "exchange.object.refused", "identity.client.signed_in", "watch.alert.raised")
    ):
        metrics.count([entry(index, kind, {}, **dict.fromkeys(words, damaged))], {})
    text = generate_latest(metrics.registry).decode()
    assert 'channel="unknown"' in text
    assert 'severity="medium"' in text
    assert "x" * 50 not in text


def test_destinations_and_outsiders() -> None:
    metrics = Metrics()
    metrics.exported("soc", State(cursor=5, sent=8, left_out=3, failing_since_us=1_000_000), 10, 61_000_000)
    assert value(metrics, "keten_export_waiting", destination="soc") == 2
    assert value(metrics, "keten_export_unsettled", destination="soc") == 3
    assert value(metrics, "keten_export_left_out", destination="soc") == 3
    assert value(metrics, "keten_export_failing_seconds", destination="soc") == 60
    metrics.exported("soc", State(), 10, 61_000_000)
    assert value(metrics, "keten_export_waiting", destination="soc") == 10
    assert value(metrics, "keten_export_failing_seconds", destination="soc") == 0
    metrics.outside(2_000_000, 1_000_000, 5_000_000)
    assert value(metrics, "keten_outside_signature_seconds") == 2
    assert value(metrics, "keten_outside_waiting_seconds") == 4


def offered() -> set[str]:
    """Names of series, as they are scraped, without those that a client library adds of its own."""
    text = generate_latest(Metrics().registry).decode()
    found = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
    return {name for name, _kind in found if not name.endswith("_created")}


def test_the_dashboard_asks_for_exactly_what_there_is() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"keten_\w+", target["expr"])
    }
    assert asked == offered()
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
