"""What is said about alerts on the operator's socket: by the worker and by operators (see `keeper.protocol`)."""

from __future__ import annotations

import msgspec

from keten.watch.flows.model import PlacesOf, Recorded, Report
from keten.watch.model import Fact, Raised, Response, Seen, Severity, State, Verdict

MOST_SIGNALS = 256
"""At once: others' jobs wait for the writer meanwhile."""
MOST_ALERTS = 1000


class Raise(msgspec.Struct, frozen=True):
    """Signals of entries before index `upto`, in their order. Said again, they change nothing."""

    signals: tuple[Seen, ...]
    upto: int


class AskAlerts(msgspec.Struct, frozen=True):
    """Alerts, the newest first: one by id, else those in these states (none: open and acknowledged)."""

    alert: str = ""
    states: tuple[State, ...] = ()
    limit: int = 100


class AlertInfo(msgspec.Struct, frozen=True):
    """An alert as it is shown. Times are RFC 3339, "" for none; names are the register's, else ids.

    in_force: whether its response holds now. explanation: language → title, seen, usual, done, undo.
    """

    id: str
    detector: str
    severity: Severity
    state: State
    verdict: Verdict
    principal: str
    supplier: str
    dataset: str
    owner: str
    count: int
    made: str
    last: str
    wanted: Response
    response: Response
    held: str
    until: str
    in_force: bool
    lifted: str
    quiet_until: str
    note: str
    by: str
    facts: dict[str, Fact]
    first_entry: str
    last_entry: str
    explanation: dict[str, dict[str, str]]


class Alerts(msgspec.Struct, frozen=True):
    """Alerts. open: how many nobody closed. upto: how many entries the watch has looked at; size: of how many."""

    alerts: tuple[AlertInfo, ...]
    open: int
    upto: int
    size: int


class Handle(msgspec.Struct, frozen=True):
    """Say what an alert is. action: acknowledge, fine, not-fine, close or lift."""

    alert: str
    action: str
    note: str = ""


class Suspend(msgspec.Struct, frozen=True):
    """Suspend a client or person (name or id) for so many microseconds."""

    principal: str
    for_us: int
    reason: str


class AlertHandled(msgspec.Struct, frozen=True):
    """The alert as it is now, the steps of what was done about access, and the entry; "" when nothing was changed."""

    alert: AlertInfo
    steps: list[dict[str, str]]
    entry: str
    already: bool = False


class AskPlaces(msgspec.Struct, frozen=True):
    """Where suppliers' systems are: those whose random id comes after `after`."""

    after: str = ""


class SupplierPlaces(msgspec.Struct, frozen=True):
    """Where the systems are of suppliers whose access has not ended, in the order of their ids.

    after: the id to ask on from, "" at the end. damaged: rows that do not match the ledger, and are left out. number:
    of the next report of flows. newest_us: the newest flow that was recorded.
    """

    places: tuple[PlacesOf, ...]
    after: str
    damaged: int
    number: int
    newest_us: int


WATCH_VERBS: dict[str, tuple[type, type]] = {
    "watch.raise": (Raise, Raised),
    "watch.alerts": (AskAlerts, Alerts),
    "watch.handle": (Handle, AlertHandled),
    "watch.suspend": (Suspend, AlertHandled),
    "watch.places": (AskPlaces, SupplierPlaces),
    "watch.flows": (Report, Recorded),
}
