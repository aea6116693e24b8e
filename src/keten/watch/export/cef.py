"""An event in ArcSight's Common Event Format, version 0, for those who need it: made of the OCSF event alone."""

from __future__ import annotations

from typing import Any

_SEVERITIES = {1: 1, 2: 4, 3: 6, 4: 8, 5: 10}
_HEADER = str.maketrans({"\\": "\\\\", "|": "\\|", "\r": " ", "\n": " "})
_VALUE = str.maketrans({"\\": "\\\\", "=": "\\=", "\r": "\\r", "\n": "\\n"})


def cef_of(event: dict[str, Any]) -> str:
    """One line: CEF:0, seven fields, and `key=value` pairs. `externalId` is the event's uid, `cn1` its sequence."""
    metadata = event["metadata"]
    product = metadata["product"]
    header = (
        product["vendor_name"],
        product["name"],
        product["version"],
        metadata["event_code"],
        event.get("message", metadata["event_code"]),
    )
    unmapped = event.get("unmapped", {})
    details, refs, names = unmapped.get("details", {}), unmapped.get("refs", {}), unmapped.get("names", {})
    user = event.get("user") or event.get("actor", {}).get("user") or unmapped.get("actor", {})
    pairs: dict[str, Any] = {
        "externalId": metadata["uid"],
        "rt": event["time"],
        "cn1": metadata["sequence"],
        "cn1Label": "sequence",
        "cat": f"{event['class_uid']}/{event['activity_id']}",
        "act": event.get("activity_name"),
        "outcome": event.get("status"),
        "reason": event.get("status_detail") or event.get("status_code"),
        "suid": user.get("uid"),
        "suser": user.get("name"),
        "cnt": event.get("count"),
        "in": details.get("bytes"),
        "fileId": event.get("file", {}).get("uid"),
    }
    for number, word in enumerate(("dataset", "supplier", "contract", "grant"), 1):
        if word in refs:
            pairs[f"cs{number}"] = names.get(word, refs[word])
            pairs[f"cs{number}Label"] = word
    title = event.get("finding_info", {}).get("title")
    if title:
        pairs["msg"] = title
    told = " ".join(f"{key}={str(value).translate(_VALUE)}" for key, value in pairs.items() if value not in (None, ""))
    fields = "|".join(str(each).translate(_HEADER) for each in header)
    return f"CEF:0|{fields}|{_SEVERITIES.get(event['severity_id'], 1)}|{told}"
