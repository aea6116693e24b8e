"""OpenTelemetry logs over HTTP, as JSON (OTLP 1): the answer of the collector is the acknowledgement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from keten import __version__
from keten.core.clock import wall_us
from keten.core.destinations import Destination
from keten.core.errors import Invalid, Unavailable
from keten.suppliers.mistakes import plain
from keten.watch.export.drivers.driver import Record, Settling, read_secret
from keten.watch.export.drivers.web import Web

_PATH = "/v1/logs"
_SEVERITIES = {1: (9, "INFO"), 2: (10, "INFO2"), 3: (13, "WARN"), 4: (17, "ERROR"), 5: (21, "FATAL")}


class _Partial(msgspec.Struct, rename="camel"):
    rejected_log_records: int | str = 0
    error_message: str = ""


class _Answer(msgspec.Struct, rename="camel"):
    partial_success: _Partial | None = None


class OtlpDriver(Settling):
    """A collector. A token, where there is one, is a bearer's (RFC 6750)."""

    most = 500

    def __init__(self, destination: Destination, home: Path) -> None:
        super().__init__()
        self._web = Web(destination, home)
        self._path = self._web.path if self._web.path != "/" else _PATH
        token = read_secret(home / destination.token_file) if destination.token_file else ""
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def send(self, records: Sequence[Record], upto: int) -> None:
        """One request. Events that the collector says it dropped are `Invalid` ("rejected")."""
        if records:
            reply = self._web.post(self._path, msgspec.json.encode(_request(records)), self._headers)
            try:
                answer = msgspec.json.decode(reply.body or b"{}", type=_Answer)
                rejected = int(answer.partial_success.rejected_log_records) if answer.partial_success else 0
            except ValueError as error:  # msgspec's is one
                said = plain(reply.body[:200].decode("utf-8", "replace"))
                public = f"{self._web.url} does not answer as a collector does."
                raise Unavailable("export-refused", public, said) from error
            if rejected and answer.partial_success:
                why = plain(answer.partial_success.error_message[:200])
                raise Invalid("rejected", f"{self._web.url} dropped {rejected} events.", why)
        self._upto = upto

    def close(self) -> None:
        """Let go of the connection."""
        self._web.close()


def _request(records: Sequence[Record]) -> dict[str, Any]:
    observed = str(wall_us() * 1000)
    resource = {"attributes": [_attribute("service.name", "keten"), _attribute("service.version", __version__)]}
    logs = [_log(record, observed) for record in records]
    scope = {"scope": {"name": "keten.ledger", "version": __version__}, "logRecords": logs}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]}


def _log(record: Record, observed: str) -> dict[str, Any]:
    number, text = _SEVERITIES.get(record.severity, (9, "INFO"))
    return {
        "timeUnixNano": str(record.time_us * 1000),
        "observedTimeUnixNano": observed,
        "severityNumber": number,
        "severityText": text,
        "eventName": record.kind,
        "body": {"stringValue": msgspec.json.encode(record.event).decode()},
        "attributes": [
            _attribute("log.record.uid", record.uid),
            _attribute("keten.kind", record.kind),
            {"key": "keten.sequence", "value": {"intValue": str(record.index)}},
        ],
    }


def _attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}
