"""Every kind of entry is a valid OCSF event, in every version that is offered; and nothing goes out that must not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from importlib import import_module
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.destinations import Sort, Version
from keten.ledger.kinds import kinds
from keten.ledger.model import Entry, Payload
from keten.watch.export.ocsf import VERSIONS, Telling, event_of, notice
from keten.watch.export.sorting import left_out, sort_of
from tests.ocsf import faults

import_module("keten.keeper.main")  # registers every kind

TIME_US = 1_790_000_000_123_456
WATCH = (
    "watch.alert.raised",
    "watch.alert.grew",
    "watch.alert.handled",
    "watch.response.taken",
    "watch.response.lifted",
)
LOOKUPS = ("exchange.lookup.answered", "exchange.lookup.refused")
KINDS = sorted({*kinds(), *WATCH, *LOOKUPS, "room.noun.unheard"})
CLIENT, SUPPLIER, DATASET, OBJECT, GRANT = ("c" * 26, "s" * 26, "d" * 26, "o" * 26, "g" * 26)
NAMES = {CLIENT: "drukwerk-batch", SUPPLIER: "drukwerk", DATASET: "voters", GRANT: "voters-for-drukwerk"}
REFS = {"dataset": DATASET, "object": OBJECT, "supplier": SUPPLIER, "grant": GRANT}
FREE = {"note", "reason", "why", "what", "basis", "folder", "target", "user", "after"}
SECRET = "Bewoner Jansen, 192.0.2.7, /srv/secret"


def payload(kind: str, actor: str = CLIENT, **details: Any) -> Payload:
    told = kinds()[kind].details if kind in kinds() else {}
    known = {
        "outcome": "deny" if kind.endswith("refused") else "allow",
        "reasons": ["revoked"] if kind.endswith("refused") else [],
        "channel": "https",
        "count": 3,
        "country": "NL",
        "attributes": {"country": "NL", "purpose": "election-cards", "grant_to": [SECRET]},
        "detector": "miss-heavy",
        "severity": "high",
        "facts": {"missed": 40, "share": 0.8},
        "response": "suspend",
        "group": "x",
        "bytes": 4096,
        "network": "192.0.2.0/24",
        "method": "ssh",
    }
    chosen = {name: known[name] for name in known if name in told or kind in {*WATCH, *LOOKUPS}}
    free = dict.fromkeys(set(told) & FREE, SECRET)
    return Payload("2026-09-21T13:33:20.123456Z", kind, actor, (CLIENT,), dict(REFS), {**chosen, **free, **details})


def told(kind: str, actor: str = CLIENT, telling: Telling = Telling(), **details: Any) -> dict[str, Any]:  # noqa: B008
    entry = Entry(7, "e" * 26, TIME_US, kind, payload(kind, actor, **details))
    event: dict[str, Any] = json.loads(msgspec.json.encode(event_of(entry, NAMES, telling)))
    return event


def test_the_offered_versions_are_those_that_events_can_be_told_in() -> None:
    assert get_args(Version) == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_valid(kind: str, version: str) -> None:
    for actor in (CLIENT, "operator:anna", "keeper"):
        for telling in (Telling(version), Telling(version, names=False), Telling(version, operators=True)):
            event = told(kind, actor, telling)
            assert faults(event) == []
            assert event["metadata"]["version"] == version
            assert (event["metadata"]["uid"], event["metadata"]["sequence"]) == ("e" * 26, 7)
            assert event["metadata"]["original_time"] == "2026-09-21T14:13:20.123456Z"
            assert event["time"] == TIME_US // 1000


@pytest.mark.parametrize("version", VERSIONS)
def test_an_erased_entry_and_a_notice_are_valid(version: str) -> None:
    for kind in KINDS:
        event = event_of(Entry(7, "e" * 26, TIME_US, kind, None), NAMES, Telling(version))
        assert faults(json.loads(msgspec.json.encode(event))) == []
        assert event["status_detail"] == "The payload of this entry was erased."
    assert faults(notice("gap-soc-1-2", "title", "detail", 2, TIME_US, {"from": 1, "to": 2}, version)) == []


def _drop(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(event: dict[str, Any]) -> None:
        at = event
        for word in path[:-1]:
            at = at[word]
        del at[path[-1]]

    return change


def _set(word: str, value: object, *within: str) -> Callable[[dict[str, Any]], None]:
    def change(event: dict[str, Any]) -> None:
        at = event
        for name in within:
            at = at[name]
        at[word] = value

    return change


@pytest.mark.parametrize(
    "mutate",
    [
        _drop("metadata"),
        _drop("metadata", "product"),
        _drop("metadata", "version"),
        _drop("time"),
        _drop("severity_id"),
        _drop("type_uid"),
        _drop("actor"),
        _drop("file"),
        _drop("file", "name"),
        _drop("src_endpoint"),
        _set("time", "yesterday"),
        _set("activity_id", 4711),
        _set("category_uid", 3),
        _set("severity_id", 42),
        _set("surprise", 1),
        _set("surprise", 1, "metadata"),
        _set("type_id", "one", "file"),
        _set("status_id", 12),
        _set("user", {}, "actor"),
        _set("src_endpoint", {}),
    ],
)
def test_the_validator_bites(mutate: Callable[[dict[str, Any]], None]) -> None:
    event = told("exchange.object.opened")
    assert faults(event) == []
    wrong = copy.deepcopy(event)
    mutate(wrong)
    assert faults(wrong) != []


@pytest.mark.parametrize(
    ("kind", "class_uid", "activity"),
    [
        ("identity.client.signed_in", 3002, 1),
        ("identity.client.refused", 3002, 1),
        ("identity.strangers.refused", 3002, 1),
        ("keeper.gateway.connected", 3003, 1),
        ("identity.client.declared", 3001, 1),
        ("identity.client.ended", 3001, 5),
        ("identity.person.erased", 3001, 6),
        ("exchange.object.opened", 6006, 2),
        ("exchange.object.refused", 6006, 2),
        ("vault.object.stored", 6006, 1),
        ("vault.object.destroyed", 6006, 4),
        ("exchange.lookup.answered", 6005, 4),
        ("watch.alert.raised", 2004, 1),
        ("watch.alert.grew", 2004, 2),
        ("watch.alert.handled", 2004, 3),
        ("watch.response.taken", 2005, 1),
        ("watch.response.lifted", 2005, 3),
        ("ledger.witness.disagreed", 2004, 1),
        ("suppliers.grant.declared", 6003, 1),
        ("suppliers.contract.ended", 6003, 4),
        ("room.noun.unheard", 6003, 99),
    ],
)
def test_which_class_a_kind_is(kind: str, class_uid: int, activity: int) -> None:
    event = told(kind)
    assert (event["class_uid"], event["activity_id"]) == (class_uid, activity)
    assert event["type_uid"] == class_uid * 100 + activity


def test_a_refusal_is_a_failure_with_its_code() -> None:
    event = told("exchange.object.refused", reasons=["contract-ended", "revoked"])
    assert (event["status_id"], event["status_code"], event["severity_id"]) == (2, "contract-ended", 2)
    assert event["status_detail"] == "contract-ended, revoked"
    assert told("exchange.object.opened")["status_id"] == 1
    assert told("exchange.object.delivered", end="cut")["status_code"] == "cut"


def test_an_alert_is_closed_by_what_closes_it() -> None:
    for action, activity in (("acknowledge", 2), ("lift", 2), ("fine", 3), ("not-fine", 3), ("close", 3)):
        assert told("watch.alert.handled", action=action)["activity_id"] == activity
    refs = {**REFS, "alert": "a" * 26}
    for kind in ("watch.alert.raised", "watch.alert.grew", "watch.alert.handled"):
        entry = Entry(7, "e" * 26, TIME_US, kind, msgspec.structs.replace(payload(kind), refs=refs))
        assert event_of(entry, NAMES, Telling())["finding_info"]["uid"] == "a" * 26


def test_names_go_along_or_not() -> None:
    event = told("exchange.object.opened")
    assert event["actor"]["user"]["name"] == "drukwerk-batch"
    assert event["actor"]["user"]["org"] == {"uid": SUPPLIER, "name": "drukwerk"}
    assert event["unmapped"]["names"]["dataset"] == event["share"] == "voters"
    bare = msgspec.json.encode(told("exchange.object.opened", telling=Telling(names=False))).decode()
    for name in NAMES.values():
        assert f'"{name}"' not in bare


def test_an_operator_is_named_only_when_that_is_asked_for() -> None:
    for kind in KINDS:
        assert "anna" not in json.dumps(told(kind, "operator:anna")), kind
    assert told("suppliers.grant.ended", "operator:anna", Telling(operators=True))["actor"]["user"]["name"] == "anna"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_told_that_nobody_chose(kind: str) -> None:
    """Free text, rows of the register and what is unknown stay inside."""
    event = told(kind, "operator:anna", unheard_of=SECRET)
    if kind == "exchange.object.delivered":  # its reason is a code
        del event["unmapped"]["details"]["reason"]
    assert SECRET not in json.dumps(event)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ["outcome", "reasons", "count", "attributes", "severity", "detector", "response", "end", "bytes"]
)


@given(
    kind=st.sampled_from(KINDS) | st.text(max_size=20),
    actor=st.sampled_from(["keeper", "operator:x", CLIENT]) | st.text(max_size=20),
    refs=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    details=st.dictionaries(WORDS | st.text(max_size=8), JSON, max_size=5),
)
def test_any_payload_is_told_and_valid(
    kind: str, actor: str, refs: dict[str, str], details: dict[str, Any]
) -> None:
    entry = Entry(7, "e" * 26, TIME_US, kind, Payload("", kind, actor, ("x",), refs, details))
    assert faults(json.loads(msgspec.json.encode(event_of(entry, {}, Telling())))) == []


def test_what_is_left_out_first_and_never() -> None:
    assert left_out(10**9, 0) == ()
    assert left_out(100, 100) == ()
    assert left_out(101, 100) == ("access", "system")
    assert set(left_out(201, 100)) == set(get_args(Sort)) - {"findings"}
    assert {kind for kind in KINDS if sort_of(kind) == "findings"} >= set(WATCH)
