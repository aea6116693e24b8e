"""An entry of the ledger as an event of the Open Cybersecurity Schema Framework (schema.ocsf.io): pure and total.

What goes out is chosen word by word (`telling.py`): random ids, numbers, codes; with `names` what the organisation
calls its suppliers, contracts, datasets, grants and clients. Never: rows of the register, free text, paths, addresses,
anything that is sealed under a subject's key.

| Kind of entry | Class |
|---|---|
| sign-ins | Authentication 3002 |
| a gateway that may ask for keys | Authorize Session 3003 |
| persons and clients of the register | Account Change 3001 |
| files: opened, refused, described, delivered, stored, destroyed | File Hosting Activity 6006 |
| lookups | Datastore Activity 6005 |
| alerts, requests for more, a witness that disagrees, a clock that jumped, gaps | Detection Finding 2004 |
| responses of the watch | Incident Finding 2005 |
| everything else, also kinds that are not known here | API Activity 6003 |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from keten import __version__
from keten.core.clock import rfc3339
from keten.ledger.model import Entry, Payload
from keten.watch.export.sorting import sort_of
from keten.watch.export.telling import LONGEST, MOST_ITEMS, told_details

NOTICED = "watch.export.noticed"
"""No kind of entry: what the export says of itself."""
VERSIONS = ("1.8.0", "1.7.0")

INFORMATIONAL, LOW, MEDIUM, HIGH, CRITICAL = 1, 2, 3, 4, 5
_SEVERITIES = {"low": LOW, "medium": MEDIUM, "high": HIGH, "critical": CRITICAL}
_NAMED_SEVERITIES = {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}
_SUCCESS, _FAILURE = 1, 2
STILL_OPEN = ("acknowledge", "lift")
"""What may be done about an alert without closing it."""

_ACTIVITIES = {"declared": 1, "made": 1, "created": 1, "set": 1, "changed": 3, "ended": 4, "erased": 4}
_API_NAMES = {1: "Create", 2: "Read", 3: "Update", 4: "Delete", 99: "Other"}


class Telling(msgspec.Struct, frozen=True):
    """How events are told. version: of OCSF. names: so do the organisation's own; operators: and their user names."""

    version: str = "1.8.0"
    names: bool = True
    operators: bool = False


class _Case(msgspec.Struct, frozen=True):
    """One entry being told."""

    entry: Entry
    payload: Payload
    names: Mapping[str, str]
    telling: Telling

    @property
    def verb(self) -> str:
        return self.entry.kind.rpartition(".")[2]

    @property
    def details(self) -> dict[str, Any]:
        return self.payload.details

    def named(self, id: str) -> dict[str, str]:
        """An id and, where it may be told and is known, its name."""
        name = self.names.get(id, "") if self.telling.names else ""
        return {"uid": id, "name": name} if name else {"uid": id}

    def ref(self, word: str) -> str:
        return self.payload.refs.get(word, "")


def event_of(entry: Entry, names: Mapping[str, str], telling: Telling) -> dict[str, Any]:
    """The event of an entry. `names`: id → what the organisation calls it. An erased entry says that it is one."""
    payload = entry.payload or Payload(rfc3339(entry.time_us), entry.kind, "keeper")
    case = _Case(entry, payload, names, telling)
    event = _TELL.get(entry.kind, _by_room(entry.kind))(case)
    if entry.payload is None:
        event["status_detail"] = "The payload of this entry was erased."
    return _whole(case, event)


def notice(
    uid: str, title: str, detail: str, index: int, time_us: int, facts: dict[str, Any], version: str
) -> dict[str, Any]:
    """An event of the export itself, such as a gap: a Detection Finding. `uid`: the same each time that it is sent."""
    payload = Payload(rfc3339(time_us), NOTICED, "keten")
    case = _Case(Entry(index, uid, time_us, NOTICED, payload), payload, {}, Telling(version))
    event = _finding(case, title, HIGH)
    event["finding_info"]["desc"] = event["message"] = detail
    event = _whole(case, event)
    event["unmapped"] = {"facts": facts}
    return event


def _whole(case: _Case, event: dict[str, Any]) -> dict[str, Any]:
    """What all classes have in common."""
    entry, payload = case.entry, case.payload
    told: dict[str, Any] = {
        "metadata": {
            "version": case.telling.version,
            "uid": entry.id,
            "sequence": entry.index,
            "original_time": rfc3339(entry.time_us),
            "event_code": entry.kind,
            "log_name": "ledger",
            "product": {"name": "Keten", "vendor_name": "Keten", "version": __version__},
            "labels": [f"class:{sort_of(entry.kind)}"],
        },
        "time": entry.time_us // 1000,
        "severity_id": INFORMATIONAL,
        "message": entry.kind,
    }
    told |= event
    told["severity"] = _NAMED_SEVERITIES[told["severity_id"]]
    told["type_uid"] = told["class_uid"] * 100 + told["activity_id"]
    told["category_uid"] = told["class_uid"] // 1000
    details = told_details(entry.kind, case.details)
    unmapped: dict[str, Any] = {}
    if payload.refs:
        unmapped["refs"] = dict(payload.refs)
        known = {word: case.names[id] for word, id in payload.refs.items() if id in case.names}
        if case.telling.names and known:
            unmapped["names"] = known
    if payload.subjects:
        unmapped["subjects"] = list(payload.subjects[:MOST_ITEMS])
    if details:
        unmapped["details"] = details
    if told["category_uid"] == 2:  # findings have no actor of their own in these versions
        unmapped["actor"] = _user(case, payload.actor)
    if unmapped:
        told["unmapped"] = unmapped
    return told


# ---- who, where, how it ended ------------------------------------------------------------------------------------


def _user(case: _Case, id: str) -> dict[str, Any]:
    """A principal, an operator or the keeper itself, as a user."""
    if id.startswith("operator:"):
        if case.telling.operators:
            return {"uid": id, "name": id.partition(":")[2] or "operator", "type": "Admin", "type_id": 2}
        return {"uid": "operator", "type": "Admin", "type_id": 2}
    if id in {"keeper", "keten"}:
        return {"uid": id, "name": id, "type": "System", "type_id": 3}
    user: dict[str, Any] = {**case.named(id or "unknown"), "type": "Service", "type_id": 4}
    supplier = case.ref("supplier")
    if supplier:
        user["org"] = case.named(supplier)
    return user


def _from_where(case: _Case) -> dict[str, Any]:
    """Where it came from: never an address, for that is the subject's own (the ledger has it, sealed)."""
    actor = case.payload.actor
    if actor.startswith("operator:"):
        return {"svc_name": "operator"}
    if actor in {"keeper", "keten"}:
        network = case.details.get("network")
        return {"name": str(network)[:LONGEST]} if network else {"svc_name": actor}
    endpoint: dict[str, Any] = {"uid": actor or "unknown"}
    attributes = case.details.get("attributes")
    country = case.details.get("country") or (attributes.get("country") if isinstance(attributes, dict) else "")
    if isinstance(country, str) and country:
        endpoint["location"] = {"country": country}
    return endpoint


def _ended(case: _Case) -> dict[str, Any]:
    """Whether it was allowed: status, and the first reason of a refusal as its code."""
    reasons = case.details.get("reasons")
    codes = [str(each) for each in reasons] if isinstance(reasons, list | tuple) else []
    refused = case.details.get("outcome") == "deny" or case.verb == "refused"
    if refused:
        told: dict[str, Any] = {"status_id": _FAILURE, "status": "Failure", "severity_id": LOW}
        if codes:
            told["status_code"] = codes[0][:LONGEST]
            told["status_detail"] = ", ".join(codes)[:LONGEST]
        return told
    return {"status_id": _SUCCESS, "status": "Success"}


def _count(case: _Case) -> dict[str, Any]:
    count = case.details.get("count")
    return {"count": count} if type(count) is int and 0 < count < 2**31 else {}


# ---- each class --------------------------------------------------------------------------------------------------


def _authentication(case: _Case) -> dict[str, Any]:
    subject = case.payload.subjects[0] if case.payload.subjects else case.payload.actor
    stranger = case.entry.kind == "identity.strangers.refused"
    method = case.details.get("method")
    return {
        "class_uid": 3002,
        "class_name": "Authentication",
        "activity_id": 1,
        "activity_name": "Logon",
        "user": {"uid": "unknown"} if stranger else _user(case, subject),
        "service": {"name": "keten-gateway"},
        "src_endpoint": _from_where(case),
        "auth_protocol_id": 99,
        "auth_protocol": str(method)[:LONGEST] if method else "unknown",
        "is_remote": True,
        **_count(case),
        **_ended(case),
    }


def _session(case: _Case) -> dict[str, Any]:
    return {
        "class_uid": 3003,
        "class_name": "Authorize Session",
        "activity_id": 1,
        "activity_name": "Assign Privileges",
        "user": {"uid": "gateway", "name": "gateway", "type": "System", "type_id": 3},
        "privileges": ["ask-for-content-keys"],
        **_ended(case),
    }


def _account(case: _Case) -> dict[str, Any]:
    activity, name = {"declared": (1, "Create"), "ended": (5, "Disable"), "erased": (6, "Delete")}.get(
        case.verb, (99, "Change")
    )
    row = case.details.get("row")
    subject = case.payload.subjects[0] if case.payload.subjects else str(row or "unknown")
    return {
        "class_uid": 3001,
        "class_name": "Account Change",
        "activity_id": activity,
        "activity_name": name,
        "actor": {"user": _user(case, case.payload.actor)},
        "src_endpoint": _from_where(case),
        "user": _user(case, subject),
        **_ended(case),
    }


_FILE_ACTIVITIES = {
    "opened": (2, "Download"),
    "delivered": (2, "Download"),
    "refused": (2, "Download"),
    "described": (9, "Preview"),
    "stored": (1, "Upload"),
    "rescheduled": (3, "Update"),
    "destroyed": (4, "Delete"),
}


def _file(case: _Case) -> dict[str, Any]:
    activity, name = _FILE_ACTIVITIES[case.verb]
    object_id = case.ref("object") or str(case.details.get("row") or "unknown")
    file: dict[str, Any] = {"name": object_id, "uid": object_id, "type_id": 1, "type": "Regular File"}
    told = {
        "class_uid": 6006,
        "class_name": "File Hosting Activity",
        "activity_id": activity,
        "activity_name": name,
        "actor": {"user": _user(case, case.payload.actor)},
        "src_endpoint": _from_where(case),
        "file": file,
        **_count(case),
        **_ended(case),
    }
    dataset = case.ref("dataset")
    if dataset:
        told["share"] = case.named(dataset).get("name", dataset)
    end = case.details.get("end")
    if isinstance(end, str) and end != "complete":
        told |= {"status_id": _FAILURE, "status": "Failure", "status_code": end[:LONGEST]}
    return told


def _lookup(case: _Case) -> dict[str, Any]:
    dataset = case.ref("dataset") or "unknown"
    told: dict[str, Any] = {
        "class_uid": 6005,
        "class_name": "Datastore Activity",
        "activity_id": 4,
        "activity_name": "Query",
        "actor": {"user": _user(case, case.payload.actor)},
        "src_endpoint": _from_where(case),
        "database": {**case.named(dataset), "type_id": 99, "type": "Dataset"},
        "type_id": 3,
        "type": "Table",
        **_count(case),
        **_ended(case),
    }
    if case.ref("table"):
        told["table"] = case.named(case.ref("table"))
    return told


def _finding(case: _Case, title: str, severity: int, activity: int = 1) -> dict[str, Any]:
    told: dict[str, Any] = {
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "activity_id": activity,
        "activity_name": {1: "Create", 2: "Update", 3: "Close"}[activity],
        "status_id": {1: 1, 2: 2, 3: 4}[activity],
        "status": {1: "New", 2: "In Progress", 3: "Resolved"}[activity],
        "severity_id": severity,
        "is_alert": True,
        "finding_info": _finding_info(case, title),
    }
    resources = _resources(case)
    if resources:
        told["resources"] = resources
    return told


def _finding_info(case: _Case, title: str) -> dict[str, Any]:
    at_ms = case.entry.time_us // 1000
    info: dict[str, Any] = {"uid": _finding_id(case), "title": title[:LONGEST], "created_time": at_ms}
    detector = case.details.get("detector")
    if isinstance(detector, str) and detector:
        info["analytic"] = {"name": detector[:LONGEST], "uid": detector[:LONGEST], "type_id": 2, "type": "Behavioral"}
    return info


def _finding_id(case: _Case) -> str:
    """The alert's id, so that what is said about it later is found with it."""
    found = case.ref("alert") or case.details.get("row")
    return found if isinstance(found, str) and found else case.entry.id


def _severity(case: _Case, otherwise: int) -> int:
    severity = case.details.get("severity")
    return _SEVERITIES.get(severity, otherwise) if isinstance(severity, str) else otherwise


def _alert(case: _Case) -> dict[str, Any]:
    detector = case.details.get("detector")
    title = f"Keten: {detector}" if isinstance(detector, str) and detector else "Keten: alert"
    activity = {"raised": 1, "grew": 2}.get(case.verb, 3)
    if case.details.get("action") in STILL_OPEN:
        activity = 2
    return _finding(case, title, _severity(case, MEDIUM), activity)


def _response(case: _Case) -> dict[str, Any]:
    response = case.details.get("response")
    title = f"Keten: {response}" if isinstance(response, str) and response else "Keten: response"
    lifted = case.verb != "taken"
    return {
        "class_uid": 2005,
        "class_name": "Incident Finding",
        "activity_id": 3 if lifted else 1,
        "activity_name": "Close" if lifted else "Create",
        "status_id": 4 if lifted else 2,
        "status": "Resolved" if lifted else "In Progress",
        "severity_id": _severity(case, MEDIUM),
        "assignee_group": {"name": "keten-operators"},
        "finding_info_list": [_finding_info(case, title)],
    }


def _disagreed(case: _Case) -> dict[str, Any]:
    return _finding(case, "Keten: a witness holds another history of the ledger", CRITICAL)


def _jumped(case: _Case) -> dict[str, Any]:
    return _finding(case, "Keten: the clock jumped, and nothing is served", HIGH)


def _recovered(case: _Case) -> dict[str, Any]:
    return _finding(case, "Keten: an entry of the ledger had been lost", HIGH)


def _more(case: _Case) -> dict[str, Any]:
    return _finding(case, "Keten: a client asks for more than its budget", LOW)


def _resources(case: _Case) -> list[dict[str, Any]]:
    named = [{**case.named(id), "type": word} for word, id in case.payload.refs.items() if id]
    return [*named, *({**case.named(id), "type": "subject"} for id in case.payload.subjects)][:MOST_ITEMS]


def _api(case: _Case) -> dict[str, Any]:
    activity = _ACTIVITIES.get(case.verb, 99)
    if case.verb in {"listed", "traced", "exported"}:
        activity = 2
    told: dict[str, Any] = {
        "class_uid": 6003,
        "class_name": "API Activity",
        "activity_id": activity,
        "activity_name": _API_NAMES[activity],
        "api": {"operation": case.entry.kind, "service": {"name": "keten"}},
        "actor": {"user": _user(case, case.payload.actor)},
        "src_endpoint": _from_where(case),
        **_count(case),
        **_ended(case),
    }
    resources = _resources(case)
    if resources:
        told["resources"] = resources
    return told


_Tell = Callable[[_Case], dict[str, Any]]
_TELL: dict[str, _Tell] = {
    "identity.client.signed_in": _authentication,
    "identity.client.refused": _authentication,
    "identity.strangers.refused": _authentication,
    "keeper.gateway.connected": _session,
    "exchange.object.opened": _file,
    "exchange.object.delivered": _file,
    "exchange.object.refused": _file,
    "exchange.object.described": _file,
    "exchange.lookup.answered": _lookup,
    "exchange.lookup.refused": _lookup,
    "vault.object.stored": _file,
    "vault.object.rescheduled": _file,
    "vault.object.destroyed": _file,
    "ledger.witness.disagreed": _disagreed,
    "ledger.entry.recovered": _recovered,
    "keeper.clock.jumped": _jumped,
    "budgets.more.asked": _more,
    "watch.alert.raised": _alert,
    "watch.alert.grew": _alert,
    "watch.alert.handled": _alert,
    "watch.response.taken": _response,
    "watch.response.lifted": _response,
}


def _by_room(kind: str) -> _Tell:
    return _account if kind.startswith(("identity.client.", "identity.person.")) else _api
