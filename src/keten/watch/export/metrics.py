"""What Prometheus is told. Counters begin anew with the worker, as Prometheus expects; gauges say what is so now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from keten.core.clock import SECOND
from keten.ledger.model import Entry
from keten.watch.export.ocsf import STILL_OPEN
from keten.watch.export.state import State

SEVERITIES = ("low", "medium", "high")
_MOST = 2**53


class Metrics:
    """The metrics of one instance, in a registry of their own: nothing of the process itself goes out.

    alerts: open ones, id → severity.
    """

    def __init__(self, alerts: Mapping[str, str] | None = None) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.size = Gauge("keten_ledger_entries", "Entries of the ledger.", registry=registry)
        self.counted = Gauge("keten_metrics_entries", "Entries of the ledger that were counted.", registry=registry)
        self.newest = Gauge("keten_ledger_newest_seconds", "Time of the newest counted entry.", registry=registry)
        self.entries = Counter("keten_entries", "Entries by room.", ["room"], registry=registry)
        self.accesses = Counter("keten_accesses", "Accesses that were allowed.", ["channel"], registry=registry)
        self.refused = Counter("keten_refused", "Accesses and sign-ins refused.", ["reason"], registry=registry)
        self.sign_ins = Counter("keten_sign_ins", "Sign-ins that were allowed.", ["method"], registry=registry)
        self.charged = Counter("keten_records_charged", "Records charged.", ["dataset"], registry=registry)
        self.delivered = Counter("keten_delivered_bytes", "Bytes known to be delivered.", registry=registry)
        self.raised = Counter("keten_alerts_raised", "Alerts raised.", ["severity"], registry=registry)
        self.open = Gauge("keten_alerts_open", "Alerts that nobody has handled.", ["severity"], registry=registry)
        self.responses = Counter("keten_responses", "Responses that the watch took.", ["response"], registry=registry)
        self.waiting = Gauge("keten_export_waiting", "Entries not sent yet.", ["destination"], registry=registry)
        self.unsettled = Gauge(
            "keten_export_unsettled", "Entries sent that may still be lost.", ["destination"], registry=registry
        )
        self.left_out = Gauge("keten_export_left_out", "Events left out.", ["destination"], registry=registry)
        self.failing = Gauge(
            "keten_export_failing_seconds", "For how long nothing has reached it.", ["destination"], registry=registry
        )
        self.signed = Gauge("keten_outside_signature_seconds", "Time of the last one; 0: none.", registry=registry)
        self.unsigned = Gauge(
            "keten_outside_waiting_seconds", "Age of the oldest entry that nobody outside signed.", registry=registry
        )
        self.alerts = dict(alerts or {})
        self._show()

    def count(self, entries: Iterable[Entry], names: Mapping[str, str]) -> None:
        """Count entries, each once. What is missing or damaged in one is not counted."""
        for entry in entries:
            self.entries.labels(entry.kind.partition(".")[0]).inc()
            self.counted.set(entry.index + 1)
            self.newest.set(entry.time_us / SECOND)
            if entry.payload is not None:
                self._count(entry, entry.payload.details, entry.payload.refs, names)

    def exported(self, name: str, state: State, size: int, now_us: int) -> None:
        """How far a destination is."""
        self.waiting.labels(name).set(max(0, size - max(0, state.sent)))
        self.unsettled.labels(name).set(max(0, state.sent - max(0, state.cursor)))
        self.left_out.labels(name).set(state.left_out)
        failing = (now_us - state.failing_since_us) / SECOND if state.failing_since_us else 0
        self.failing.labels(name).set(max(0.0, failing))

    def outside(self, signed_us: int, waiting_us: int, now_us: int) -> None:
        """The last signature of an outsider; the oldest entry that waits for one, 0 when none does."""
        self.signed.set(signed_us / SECOND)
        self.unsigned.set(max(0.0, (now_us - waiting_us) / SECOND) if waiting_us else 0)

    def _count(
        self, entry: Entry, details: Mapping[str, object], refs: Mapping[str, str], names: Mapping[str, str]
    ) -> None:
        kind = entry.kind
        if kind in {"exchange.object.opened", "exchange.lookup.answered"}:
            self.accesses.labels(_code(details.get("channel"))).inc()
            dataset = refs.get("dataset", "")
            self.charged.labels(names.get(dataset, dataset)).inc(_number(details.get("charged")))
        elif kind.endswith(".refused") and kind.startswith(("exchange.", "identity.")):
            reasons = details.get("reasons")
            reason = reasons[0] if isinstance(reasons, list) and reasons else "client-unknown"
            self.refused.labels(_code(reason)).inc(max(1, _number(details.get("count"))))
        elif kind == "identity.client.signed_in":
            self.sign_ins.labels(_code(details.get("method"))).inc()
        elif kind == "exchange.object.delivered":
            self.delivered.inc(_number(details.get("bytes")))
        elif kind == "watch.response.taken":
            self.responses.labels(_code(details.get("response"))).inc()
        elif kind.startswith("watch.alert."):
            self._alert(entry, details, refs)

    def _alert(self, entry: Entry, details: Mapping[str, object], refs: Mapping[str, str]) -> None:
        """Alerts are told apart by their id: `alert` among the refs, or else the entry's own."""
        alert = refs.get("alert") or entry.id
        severity = details.get("severity")
        known = severity if isinstance(severity, str) and severity in SEVERITIES else "medium"
        if entry.kind.endswith(".raised"):
            self.raised.labels(known).inc()
        if entry.kind.endswith(".handled"):
            if details.get("action") not in STILL_OPEN:
                self.alerts.pop(alert, None)
        elif details.get("wanted") != "note":  # what is only noted waits for nobody
            self.alerts[alert] = known
        self._show()

    def _show(self) -> None:
        for severity in SEVERITIES:
            self.open.labels(severity).set(sum(1 for each in self.alerts.values() if each == severity))


def _number(value: object) -> int:
    return value if type(value) is int and 0 <= value <= _MOST else 0


def _code(value: object) -> str:
    """A label: codes are few. What is none counts as unknown, so that nobody can make series without end."""
    plain = isinstance(value, str) and 0 < len(value) <= 40 and value.replace("-", "").replace("_", "").isalnum()
    return str(value) if plain else "unknown"
