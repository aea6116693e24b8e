"""Splunk's HTTP Event Collector, with indexer acknowledgement: a 200 only means that the request was well formed."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from keten.core.destinations import Destination
from keten.core.errors import Unavailable
from keten.suppliers.mistakes import plain
from keten.watch.export.drivers.driver import Record, read_secret
from keten.watch.export.drivers.web import Web

_EVENT_PATH, _ACK_PATH = "/services/collector/event", "/services/collector/ack"
ACK_SECONDS = 300.0
"""For how long an acknowledgement is waited for, before everything is sent again in a new channel."""
POLL_SECONDS = 0.5
MOST_WAITING = 64


class _Answer(msgspec.Struct):
    code: int = -1
    text: str = ""
    ackId: int | None = None  # noqa: N815  # Splunk's word


class _Acks(msgspec.Struct):
    acks: dict[str, bool]


class SplunkDriver:
    """One channel of a collector. `monotonic`: seconds."""

    most = 500

    def __init__(self, destination: Destination, home: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._destination = destination
        self._web = Web(destination, home)
        self._token = read_secret(home / destination.token_file)
        self._monotonic = monotonic
        self._channel = str(uuid.uuid4())
        base = self._web.path.rstrip("/")
        self._event_path = base if base.endswith("/event") else base + _EVENT_PATH
        self._ack_path = f"{self._event_path.removesuffix(_EVENT_PATH)}{_ACK_PATH}?channel={self._channel}"
        self._waiting: OrderedDict[int, tuple[int, float]] = OrderedDict()
        self._done: set[int] = set()
        self._settled = -1
        self._polled = 0.0

    def send(self, records: Sequence[Record], upto: int) -> None:
        """One request; waits for acknowledgements first when too many are outstanding."""
        while len(self._waiting) >= MOST_WAITING:
            self.settled()
            if len(self._waiting) >= MOST_WAITING:
                time.sleep(POLL_SECONDS)
        if not records:
            self._nothing(upto)
            return
        body = b"".join(msgspec.json.encode(_event(record)) for record in records)
        answer = self._ask(self._event_path, body, _Answer)
        if answer.code != 0:
            public = f"{self._web.url} did not take the events."
            raise Unavailable("export-refused", public, f"code {answer.code}: {plain(answer.text[:200])}")
        if not self._destination.ack:
            self._settled = upto
            return
        if answer.ackId is None:
            public = f"{self._web.url} acknowledges nothing: switch on indexer acknowledgement for this token."
            raise Unavailable("export-no-ack", public, "or set ack = false, and know that a 200 promises nothing")
        if answer.ackId in self._waiting:
            raise Unavailable("export-refused", f"{self._web.url} gave one acknowledgement for two requests.")
        self._waiting[answer.ackId] = (upto, self._monotonic())

    def settled(self) -> int:
        """Asks which acknowledgements have come. One that does not come in time: `Unavailable`, and all over again."""
        now = self._monotonic()
        if self._waiting and now - self._polled >= POLL_SECONDS:
            self._polled = now
            body = msgspec.json.encode({"acks": list(self._waiting)})
            acks = self._ask(self._ack_path, body, _Acks).acks
            self._done |= {each for each in self._waiting if acks.get(str(each)) is True}
            while self._waiting and next(iter(self._waiting)) in self._done:
                number, (upto, _sent) = self._waiting.popitem(last=False)
                self._done.discard(number)
                self._settled = upto
            oldest = next(iter(self._waiting.values()), None)
            if oldest is not None and now - oldest[1] > ACK_SECONDS:
                raise Unavailable("export-no-ack", f"{self._web.url} has not acknowledged what it took.")
        return self._settled

    @property
    def proven(self) -> bool:
        """Whether anything was acknowledged."""
        return self._settled >= 0

    def close(self) -> None:
        """What is not acknowledged by now will be sent again."""
        self._web.close()

    def _nothing(self, upto: int) -> None:
        """No event in this stretch: it is done once what was sent before is."""
        if not self._waiting:
            self._settled = upto
            return
        number, (_upto, sent) = self._waiting.popitem()
        self._waiting[number] = (upto, sent)

    def _ask(self, path: str, body: bytes, kind: type[Any]) -> Any:
        headers = {"Authorization": f"Splunk {self._token}", "X-Splunk-Request-Channel": self._channel}
        reply = self._web.post(path, body, headers)
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            said = plain(reply.body[:200].decode("utf-8", "replace"))
            public = f"{self._web.url} does not answer as a collector does."
            raise Unavailable("export-refused", public, said) from error


def _event(record: Record) -> dict[str, Any]:
    return {
        "time": record.time_us / 1e6,
        "source": "keten",
        "sourcetype": "ocsf:json",
        "fields": {"uid": record.uid, "sequence": record.index},
        "event": record.event,
    }
