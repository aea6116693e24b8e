"""Entries as events: what each kind gives, and that nothing in an entry can break it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.exchange import entries as door
from keten.identity import signin_entries as signing
from keten.ledger.model import Payload
from keten.watch.model import Event
from keten.watch.reading import MOST, event_of

KINDS = (
    signing.SIGNED_IN.name,
    signing.CLIENT_REFUSED.name,
    signing.STRANGERS_REFUSED.name,
    door.SHARES_LISTED.name,
    door.OBJECT_DESCRIBED.name,
    door.OBJECT_OPENED.name,
    door.OBJECT_REFUSED.name,
    door.OBJECT_DELIVERED.name,
    door.LOOKUP_ANSWERED.name,
    door.LOOKUP_REFUSED.name,
)
REFS = {"dataset": "d", "grant": "g", "contract": "c", "supplier": "s", "object": "o"}
ATTRIBUTES = {"purpose": "benefits", "country": "NL", "contract_ends_us": 99, "supplier": "s"}
PLACE = {"network": "n", "listed": True}


def read(kind: str, details: dict[str, Any], **said: Any) -> Event:
    found = event_of(7, "id", 12, kind, Payload("t", kind, **({"actor": "p", "refs": REFS} | said), details=details))
    assert found is not None
    assert (found.index, found.id, found.time_us) == (7, "id", 12)
    return found


def test_a_lookup() -> None:
    details = {
        "outcome": "allow",
        "channel": "https",
        "attributes": ATTRIBUTES,
        "asked": 5,
        "found": 3,
        "missed": 2,
        "near": 1,
        "outside": 4,
        "charged": 3,
        "records": 1000,
        "used": [["hour", 3, 12], ["day", 60, 300], ["month", 60, 2000]],
        **PLACE,
    }
    assert read(door.LOOKUP_ANSWERED.name, details) == Event(
        index=7,
        id="id",
        time_us=12,
        what="lookup",
        allowed=True,
        principal="p",
        supplier="s",
        dataset="d",
        grant="g",
        contract="c",
        purpose="benefits",
        object="o",
        records=3,
        asked=5,
        missed=2,
        near=1,
        outside=4,
        country="NL",
        network="n",
        listed=True,
        channel="https",
        dataset_records=1000,
        contract_ends_us=99,
        used_day=250,
        used_long=30,
    )


@pytest.mark.parametrize(
    ("used", "read_as"),
    [
        ([["day", 400, 300]], (1000, 0)),  # the budget was lowered within the window
        ([["week", 5, 10], ["month", 5, 20]], (0, 500)),
        ([["day", 1, 0]], (0, 0)),
        ([["day", 1], "day", None, ["", 1, 2], ["day", -1, 5], ["day", True, 5]], (0, 0)),
        ({"day": 5}, (0, 0)),
        ([["day", 1, 300]] * 10**5, (3, 0)),
        (None, (0, 0)),
    ],
)
def test_how_full_a_budget_is(used: Any, read_as: tuple[int, int]) -> None:
    found = read(door.OBJECT_OPENED.name, {"outcome": "allow", "charged": 1, "used": used})
    assert (found.used_day, found.used_long) == read_as


def test_a_refused_lookup_and_a_refused_object() -> None:
    for kind, what in ((door.LOOKUP_REFUSED.name, "lookup"), (door.OBJECT_REFUSED.name, "open")):
        found = read(kind, {"outcome": "deny", "reasons": ["budget-spent"], "attributes": ATTRIBUTES})
        assert (found.what, found.allowed, found.reasons, found.count) == (what, False, ("budget-spent",), 1)
    counted = read(door.OBJECT_REFUSED.name, {"outcome": "deny", "reasons": ["absent"], "count": 40}, refs={})
    assert (counted.count, counted.reasons) == (40, ("absent",))


def test_opened_and_delivered() -> None:
    details = {"outcome": "allow", "charged": 9, "channel": "sftp", "attributes": ATTRIBUTES, **PLACE}
    opened = read(door.OBJECT_OPENED.name, details)
    assert (opened.what, opened.records, opened.object, opened.channel, opened.network) == ("open", 9, "o", "sftp", "n")
    assert read(door.OBJECT_DELIVERED.name, {"bytes": 5}).bytes == 5
    assert read(door.OBJECT_DELIVERED.name, {"at_least": 2, "at_most": 8}).bytes == 8


def test_sign_ins() -> None:
    signed = signing.signed_in("p", "s", "ssh", "SHA256:k", b"x", "serial", PLACE)
    found = read(signed.kind.name, signed.details, actor=signed.actor, refs=signed.refs, subjects=signed.subjects)
    said = (found.what, found.allowed, found.principal, found.supplier, found.key, found.channel, found.listed)
    assert said == ("sign-in", True, "p", "s", "SHA256:k", "sftp", True)
    refused = signing.client_refused("p", "token", ("key-unknown",), "m", proven=False, count=3, place=PLACE)
    found = read(refused.kind.name, refused.details, actor=refused.actor, refs={}, subjects=refused.subjects)
    assert (found.allowed, found.principal, found.count, found.network) == (False, "p", 3, "n")
    strangers = signing.strangers_refused("192.0.2.0/24", "m", 12, "n")
    found = read(strangers.kind.name, strangers.details, actor="keeper", refs={})
    assert (found.allowed, found.principal, found.count, found.network) == (False, "", 12, "n")


def test_what_the_keeper_did_is_nobodys_conduct() -> None:
    for actor in ("keeper", "operator:root"):
        assert read(door.OBJECT_REFUSED.name, {"outcome": "deny", "count": 9}, actor=actor).principal == ""


def test_other_kinds_and_erased_entries_are_none() -> None:
    assert event_of(1, "id", 2, "keeper.process.started", Payload("t", "k", "keeper")) is None
    assert event_of(1, "id", 2, "no such kind", Payload("t", "k", "p")) is None
    assert all(event_of(1, "id", 2, kind, None) is None for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_it_is_an_event_of_nothing(kind: str) -> None:
    found = read(kind, {}, actor="", refs={})
    assert (found.principal, found.records, found.count, found.reasons[:0]) == ("", 0, 1, ())


_anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_WORDS = st.sampled_from(
    ["outcome", "reasons", "charged", "asked", "missed", "near", "count", "records", "attributes", "bytes", "at_most",
     "network", "listed", "pseudonym", "country", "method", "key", "channel", "used"]
)  # fmt: skip


@given(st.sampled_from(KINDS), st.dictionaries(_WORDS, _anything), _anything, _anything, _anything)
def test_any_damage_gives_an_event_of_sound_values(
    kind: str, details: dict[str, Any], refs: Any, actor: Any, subjects: Any
) -> None:
    found = event_of(1, "id", 2, kind, Payload("t", kind, actor, subjects, refs, details))
    assert found is not None
    assert msgspec.convert(msgspec.to_builtins(found), Event) == found
    numbers = (found.records, found.asked, found.missed, found.near, found.outside, found.bytes, found.used_day)
    assert all(0 <= number <= MOST for number in numbers)
    assert found.count >= 1
