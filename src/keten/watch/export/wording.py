"""An event of the class findings in words, for mail: an alert as the watch explains it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from keten.core.clock import rfc3339
from keten.watch.explaining import explain
from keten.watch.export.drivers.driver import Record
from keten.watch.export.telling import LONGEST

_TITLES = {
    "en": {
        "watch.alert.raised": "An alert was raised",
        "watch.alert.grew": "An alert has grown",
        "watch.alert.handled": "An alert was handled",
        "watch.response.taken": "The watch took a measure",
        "watch.response.lifted": "A measure of the watch was lifted",
        "watch.export.noticed": "Something is the matter with the export of events",
        "ledger.witness.disagreed": "A witness holds another history of the ledger",
        "ledger.entry.recovered": "An entry of the ledger had been lost",
        "keeper.clock.jumped": "The clock jumped; nothing is served until an operator has looked",
        "budgets.more.asked": "A client asks for more than its budget",
    },
    "nl": {
        "watch.alert.raised": "Er is een melding",
        "watch.alert.grew": "Een melding is gegroeid",
        "watch.alert.handled": "Een melding is afgehandeld",
        "watch.response.taken": "De bewaking heeft een maatregel genomen",
        "watch.response.lifted": "Een maatregel van de bewaking is opgeheven",
        "watch.export.noticed": "Er is iets met het doorgeven van gebeurtenissen",
        "ledger.witness.disagreed": "Een getuige heeft een andere geschiedenis van het logboek",
        "ledger.entry.recovered": "Er was een vermelding van het logboek verloren gegaan",
        "keeper.clock.jumped": "De klok is versprongen; er wordt niets verstrekt tot een beheerder heeft gekeken",
        "budgets.more.asked": "Er wordt om meer gevraagd dan het budget",
    },
}
_ALERTS = ("watch.alert.raised", "watch.alert.grew")
_ASKED = "budgets.more.asked"
_DETAILS = ("severity", "detector", "response", "until")
_REFS = ("dataset", "supplier", "client", "grant")
_WORDS = {
    "en": {
        "other": "An event",
        "time": "Time",
        "severity": "Severity",
        "detector": "Detector",
        "response": "Measure",
        "until": "Until",
        "dataset": "Dataset",
        "supplier": "Supplier",
        "client": "Client",
        "grant": "Grant",
        "records": "Records more",
        "per": "Per",
        "entry": "Entry",
        "more": "More",
    },
    "nl": {
        "other": "Een gebeurtenis",
        "time": "Tijd",
        "severity": "Ernst",
        "detector": "Detector",
        "response": "Maatregel",
        "until": "Tot",
        "dataset": "Gegevensset",
        "supplier": "Leverancier",
        "client": "Systeemaccount",
        "grant": "Toekenning",
        "records": "Gegevens meer",
        "per": "Per",
        "entry": "Vermelding",
        "more": "Meer",
    },
}


def is_note(record: Record) -> bool:
    """Whether it is an alert that the owner's ladder only wants noted: nothing to write to anybody about."""
    details: dict[str, Any] = record.event.get("unmapped", {}).get("details", {})
    return record.kind in _ALERTS and details.get("wanted", details.get("response")) == "note"


class Told(msgspec.Struct, frozen=True):
    """A title of one line, and the text below it."""

    title: str
    text: str


def told(record: Record, language: str) -> Told:
    """An event in the language "en" or "nl"."""
    explained = _explained(record, language)
    title = explained[0] if explained else _TITLES[language].get(record.kind, _WORDS[language]["other"])
    facts = "\n".join(_facts(record, _WORDS[language]))
    parts = [part for part in (*(explained[1:] if explained else ()), _notice(record), facts) if part]
    return Told(title.replace("\r", " ").replace("\n", " "), "\n\n".join(parts))


def with_explanation(record: Record, language: str) -> Record:
    """An alert with the watch's explanation as its title and description; any other event as it is."""
    explained = _explained(record, language)
    info = record.event.get("finding_info")
    if not explained or not isinstance(info, dict):
        return record
    info = {**info, "title": explained[0][:LONGEST], "desc": "\n".join(explained[1:])[: 4 * LONGEST]}
    return msgspec.structs.replace(record, event={**record.event, "finding_info": info})


def _facts(record: Record, words: Mapping[str, str]) -> list[str]:
    unmapped: dict[str, Any] = record.event.get("unmapped", {})
    refs, names, details = unmapped.get("refs", {}), unmapped.get("names", {}), unmapped.get("details", {})
    lines = [f"{words['time']}: {rfc3339(record.time_us)}"]
    shown = ("records", "per") if record.kind == _ASKED else _DETAILS
    lines += [f"{words[word]}: {details[word]}" for word in shown if details.get(word)]
    lines += [f"{words[word]}: {names.get(word, refs[word])}" for word in _REFS if word in refs]
    lines.append(f"{words['entry']}: {record.uid}")
    if record.kind == _ASKED:
        lines.append(f"{words['more']}: keten budget requests")
    elif record.kind != "watch.export.noticed":
        lines.append(f"{words['more']}: keten ledger show")
    return lines


def _notice(record: Record) -> str:
    """What the export says of itself is a sentence already."""
    return str(record.event.get("message", "")) if record.kind == "watch.export.noticed" else ""


def _explained(record: Record, language: str) -> tuple[str, ...]:
    """Title and paragraphs of the watch's own explanation; none when it has none for this event."""
    details: dict[str, Any] = record.event.get("unmapped", {}).get("details", {})
    detector = details.get("detector")
    if record.kind not in _ALERTS or not isinstance(detector, str):
        return ()
    unmapped = record.event["unmapped"]
    names = {id: unmapped.get("names", {}).get(word, "") for word, id in unmapped.get("refs", {}).items()}
    known = {id: name for id, name in names.items() if name}
    facts = details.get("facts")
    made = explain(detector, facts if isinstance(facts, dict) else {}, known, language)
    return tuple(part for part in (made.title, made.seen, made.usual, made.done, made.undo) if part)
