"""What may be told of an entry's details outside, word by word: ids, numbers, codes. What is not here stays inside.

Free text (reasons that an operator typed, names of folders), rows of the register, addresses: never.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST = 1000
MOST_ITEMS = 50
LARGEST = 2**63 - 1
DEEPEST = 2

TOLD = frozenset(
    {
        "action",
        "alert",
        "approvers",
        "asked",
        "at_least",
        "at_most",
        "authority",
        "backup",
        "budgets",
        "bytes",
        "channel",
        "charged",
        "count",
        "country",
        "destroyed",
        "detector",
        "digest",
        "end",
        "ended",
        "ended_state",
        "explanation",
        "facts",
        "first",
        "found",
        "goes_on",
        "group",
        "hash",
        "held",
        "id",
        "index",
        "key",
        "key_kind",
        "last",
        "left_out",
        "length",
        "live",
        "made",
        "method",
        "minute",
        "missed",
        "missing",
        "near",
        "network",
        "objects",
        "open",
        "opened",
        "opened_at",
        "opening",
        "origin",
        "outcome",
        "outside",
        "payloads",
        "people",
        "per",
        "per_minute",
        "plain",
        "policies",
        "policy_hash",
        "proven",
        "quiet_until",
        "reasons",
        "records",
        "recovered",
        "replaces",
        "response",
        "retention_days",
        "root",
        "row",
        "serial",
        "severity",
        "sha256",
        "shares",
        "signed_by",
        "size",
        "start",
        "state",
        "still",
        "table",
        "there",
        "time",
        "until",
        "valid_until",
        "verdict",
        "version",
        "vouched",
        "wanted",
        "window_us",
        "witness",
        "witnesses",
    }
)
ATTRIBUTES = ("country", "purpose", "grant_form", "dataset_classification", "principal_standing")
"""What may be told of what a decision looked at."""


def told_details(kind: str, details: Mapping[str, Any]) -> dict[str, Any]:
    """The details of an entry of some kind that may be told, within bounds."""
    found = {word: plain(value) for word, value in details.items() if word in TOLD}
    if kind == "exchange.object.delivered" and "reason" in details:  # a code there, and free text elsewhere
        found["reason"] = plain(details["reason"])
    attributes = details.get("attributes")
    if isinstance(attributes, dict):
        found |= {word: plain(attributes[word]) for word in ATTRIBUTES if attributes.get(word)}
    return found


def plain(value: Any, depth: int = 0) -> Any:
    """A detail within bounds, so that no entry makes an event that a receiver cuts off."""
    if isinstance(value, str):
        return value[:LONGEST]
    if isinstance(value, bool | float) or value is None:
        return value
    if isinstance(value, int):
        return value if -LARGEST <= value <= LARGEST else str(value)[:LONGEST]
    if depth > DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {str(key)[:LONGEST]: plain(each, depth + 1) for key, each in list(value.items())[:MOST_ITEMS]}
    if isinstance(value, list | tuple):
        return [plain(each, depth + 1) for each in value[:MOST_ITEMS]]
    return str(value)[:LONGEST]
