"""An event in the Common Event Format can be taken apart again, whatever is in it."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from keten.ledger.model import Entry, Payload
from keten.watch.export.cef import cef_of
from keten.watch.export.ocsf import Telling, event_of

CLIENT, DATASET = "c" * 26, "d" * 26
REFUSED = "exchange.object.refused"


def event(name: str = "voters", **details: Any) -> dict[str, Any]:
    payload = Payload("", REFUSED, CLIENT, (CLIENT,), {"dataset": DATASET}, {"outcome": "deny", **details})
    return event_of(Entry(7, "e" * 26, 1_790_000_000_123_456, REFUSED, payload), {DATASET: name}, Telling())


def taken_apart(line: str) -> tuple[list[str], dict[str, str]]:
    """As a receiver does it: seven fields, then pairs."""
    assert "\n" not in line
    assert "\r" not in line
    parts = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    keys = list(re.finditer(r"(?:^| )([A-Za-z0-9]+)=", parts[7]))
    pairs = {}
    for number, key in enumerate(keys):
        end = keys[number + 1].start() if number + 1 < len(keys) else len(parts[7])
        pairs[key[1]] = parts[7][key.end() : end]
    return parts[:7], pairs


def test_what_it_says() -> None:
    header, pairs = taken_apart(cef_of(event(reasons=["revoked"], count=3)))
    assert header[:3] == ["CEF:0", "Keten", "Keten"]
    assert header[4] == "exchange.object.refused"
    assert header[6] == "4"
    assert pairs["externalId"] == "e" * 26
    assert (pairs["cn1"], pairs["cn1Label"]) == ("7", "sequence")
    assert (pairs["rt"], pairs["outcome"], pairs["reason"]) == ("1790000000123", "Failure", "revoked")
    assert pairs["cnt"] == "3"
    assert (pairs["cs1"], pairs["cs1Label"]) == ("voters", "dataset")


@given(name=st.text(min_size=1, max_size=30), reason=st.text(min_size=1, max_size=30))
def test_nothing_in_it_makes_another_field_or_line(name: str, reason: str) -> None:
    line = cef_of(msgspec.json.decode(msgspec.json.encode(event(name, reasons=[reason]))))
    plain = cef_of(event("n", reasons=["r"]))
    assert len(re.findall(r"(?<!\\)(?:\\\\)*=", line)) == len(re.findall(r"(?<!\\)(?:\\\\)*=", plain))
    assert "\n" not in line
    assert "\r" not in line
