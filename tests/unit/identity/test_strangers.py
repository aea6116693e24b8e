"""Refusals are counted, and however many there are, the entries are few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.clock import rfc3339
from keten.identity.strangers import MINUTE_US, Refusals, Strangers, network_of
from keten.ledger.model import Draft
from tests.unit.identity.signing import NOW

MINUTE = NOW // MINUTE_US * MINUTE_US


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("2001:0DB8:0001::", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("0.0.0.0", "0.0.0.0/24"),
        ("", "unknown"),
        ("192.0.2", "unknown"),
        ("192.0.2.077", "unknown"),
        ("x" * 10_000, "unknown"),
        ("\ud800", "unknown"),
    ],
)
def test_the_network_of_an_address(address: str, network: str) -> None:
    assert network_of(address) == network


@given(st.text(max_size=40))
def test_any_text_has_a_network(address: str) -> None:
    assert network_of(address)


def counts(drafts: list[Draft]) -> dict[str, int]:
    return {draft.details["network"]: draft.details["count"] for draft in drafts}


def test_strangers_become_one_entry_per_network_and_minute() -> None:
    strangers = Strangers()
    for last in range(50):
        strangers.refused(f"192.0.2.{last}", MINUTE)
        strangers.refused(f"198.51.100.{last}", MINUTE + MINUTE_US - 1)
    assert strangers.flush(MINUTE + MINUTE_US - 1) == []
    drafts = strangers.flush(MINUTE + MINUTE_US)
    assert counts(drafts) == {"192.0.2.0/24": 50, "198.51.100.0/24": 50}
    assert {draft.details["minute"] for draft in drafts} == {rfc3339(MINUTE)}
    assert {draft.actor for draft in drafts} == {"keeper"}
    assert strangers.flush(MINUTE + 10 * MINUTE_US) == []


def test_a_flood_from_everywhere_is_a_bounded_number_of_entries() -> None:
    strangers = Strangers(networks=20)
    for number in range(5000):
        strangers.refused(f"10.{number // 256}.{number % 256}.1", MINUTE)
    drafts = strangers.flush(MINUTE + MINUTE_US)
    assert len(drafts) == 21
    assert counts(drafts)["other"] == 4980
    assert sum(counts(drafts).values()) == 5000


def test_what_is_not_over_is_said_when_the_keeper_stops() -> None:
    strangers = Strangers()
    strangers.refused("192.0.2.1", MINUTE)
    strangers.refused("192.0.2.1", MINUTE + MINUTE_US)
    assert [draft.details["minute"] for draft in strangers.flush(MINUTE + MINUTE_US, everything=True)] == [
        rfc3339(MINUTE),
        rfc3339(MINUTE + MINUTE_US),
    ]


def test_the_first_refusals_are_entries_and_the_rest_a_number() -> None:
    refusals = Refusals()
    single = [refusals.refused("a", "token", "proof-invalid", MINUTE, proven=False) for _ in range(1000)]
    assert [draft is not None for draft in single] == [True] * 10 + [False] * 990
    assert refusals.flush(MINUTE + 1) == []
    (draft,) = refusals.flush(MINUTE + MINUTE_US)
    assert draft.details == {
        "method": "token",
        "reasons": ["proof-invalid"],
        "proven": False,
        "count": 990,
        "minute": rfc3339(MINUTE),
    }
    assert draft.subjects == ("a",)
    assert refusals.flush(MINUTE + MINUTE_US) == []


def test_each_reason_and_minute_counts_apart() -> None:
    refusals = Refusals()
    for _ in range(11):
        refusals.refused("a", "token", "proof-invalid", MINUTE, proven=False)
    for other in (
        refusals.refused("a", "token", "proof-expired", MINUTE, proven=False),
        refusals.refused("a", "ssh", "proof-invalid", MINUTE, proven=False),
        refusals.refused("a", "token", "proof-invalid", MINUTE, proven=True),
        refusals.refused("b", "token", "proof-invalid", MINUTE, proven=False),
        refusals.refused("a", "token", "proof-invalid", MINUTE + MINUTE_US, proven=False),
    ):
        assert other is not None
        assert other.details["count"] == 1


def test_who_acted_is_the_client_only_when_its_key_stood_behind_it() -> None:
    refusals = Refusals()
    proven = refusals.refused("a", "ssh", "client-ended", MINUTE, proven=True)
    claimed = refusals.refused("a", "ssh", "key-unknown", MINUTE, proven=False)
    assert proven is not None
    assert claimed is not None
    assert (proven.actor, claimed.actor) == ("a", "keeper")
    assert proven.subjects == claimed.subjects == ("a",)


def test_a_flood_in_the_name_of_many_clients_is_a_bounded_number_of_entries() -> None:
    refusals = Refusals(keys=50, single=100)
    singles = 0
    for number in range(20_000):
        draft = refusals.refused(f"client{number % 2000}", "token", "proof-invalid", MINUTE, proven=False)
        singles += draft is not None
    later = refusals.flush(MINUTE + MINUTE_US)
    assert singles == 100
    assert len(later) <= 51
    assert singles + sum(draft.details["count"] for draft in later) == 20_000
    (overflow,) = [draft for draft in later if draft.subjects == ()]
    assert overflow.actor == "keeper"


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from(["x", "y"]), st.booleans(), st.integers(0, 3)),
        max_size=200,
    )
)
def test_no_refusal_is_lost_or_said_twice(events: list[tuple[str, str, bool, int]]) -> None:
    refusals = Refusals(keys=3, single=5)
    said = 0
    for client, reason, proven, minute in sorted(events, key=lambda event: event[3]):
        now_us = MINUTE + minute * MINUTE_US
        said += refusals.refused(client, "ssh", reason, now_us, proven=proven) is not None
        said += sum(draft.details["count"] for draft in refusals.flush(now_us))
    said += sum(draft.details["count"] for draft in refusals.flush(MINUTE, everything=True))
    assert said == len(events)
