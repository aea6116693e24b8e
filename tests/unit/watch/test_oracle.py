"""Rules asked inline give what SQLite finds with pySigma's backend in the recorded stream."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keten.watch.model import Event
from keten.watch.rules.asking import Counts, RuleDetector
from keten.watch.rules.loading import SHIPPED, load
from keten.watch.rules.model import Rule, text
from tests.unit.watch.oracle import fulfilled, matching, queries, recorded
from tests.world.families import tuned
from tests.world.shape import Size
from tests.world.stream import Seen, World

HEAD = "title: t\nid: 7d0f6f6e-3f0a-4c37-9e0e-3b7d7a0c1f5d\nlevel: low\nlogsource:\n  product: keten\n"
PARTS = """title: a
id: 7d0f6f6e-3f0a-4c37-9e0e-3b7d7a0c1f51
name: first
level: low
logsource: {product: keten}
detection: {s: {what: lookup, missed|gte: 1}, condition: s}
---
title: b
id: 7d0f6f6e-3f0a-4c37-9e0e-3b7d7a0c1f52
name: second
level: low
logsource: {product: keten}
detection: {s: {what: [sign-in, open, lookup], country|exists: true}, condition: s}
---
title: c
id: 7d0f6f6e-3f0a-4c37-9e0e-3b7d7a0c1f53
level: medium
correlation: {type: TYPE, rules: [RULES], group-by: [GROUP], timespan: SPAN, condition: {CONDITION}}
"""


SIDE = 45


@pytest.fixture(scope="module")
def stream() -> list[Seen]:
    """Three days of a small world with many thieves, in the order of time."""
    unique = {seen.event.index: seen for seen in World(Size(60, 3, 8), tuned, 2e-2)}
    return sorted(unique.values(), key=lambda seen: seen.event.time_us)


@pytest.fixture(scope="module")
def events(stream: list[Seen]) -> list[Event]:
    return [seen.event for seen in stream]


@pytest.fixture(scope="module")
def few(stream: list[Seen]) -> list[Event]:
    """How each theft begins and ends: SQL takes quadratic time for a correlation."""
    by_campaign: defaultdict[int, list[Event]] = defaultdict(list)
    for seen in stream:
        by_campaign[seen.campaign].append(seen.event)
    chosen = {event.index: event for all_of in by_campaign.values() for event in [*all_of[:SIDE], *all_of[-SIDE:]]}
    return sorted(chosen.values(), key=lambda event: event.time_us)


@pytest.fixture(scope="module")
def connection(events: list[Event]) -> Iterator[sqlite3.Connection]:
    with closing(recorded(events)) as opened:
        yield opened


@pytest.fixture(scope="module")
def small(few: list[Event]) -> Iterator[sqlite3.Connection]:
    with closing(recorded(few)) as opened:
        yield opened


def only(folder: Path, written: str) -> Rule:
    path = folder / "rule.yml"
    path.write_text(written)
    loaded = load([path])
    assert not loaded.refused
    [rule] = loaded.rules
    return rule


def inline(rule: Rule, events: list[Event]) -> tuple[set[int], dict[tuple[Any, ...], float]]:
    """Events that fulfil it; and for each group and moment what was counted last."""
    detector = RuleDetector(rule)
    states: defaultdict[str, Counts] = defaultdict(Counts)
    indexes, moments = set(), {}
    for event in events:
        found = detector.fulfilled(states[text(event, rule.space)], event)
        if found is not None:
            indexes.add(event.index)
            moments[(*(text(event, name) for name in rule.group), event.time_us)] = float(found[1])
    return indexes, moments


@pytest.mark.parametrize(
    ("selections", "least"),
    [
        ("s: {what: lookup}\n  condition: s", 1000),
        ("s: {what: [open, delivered], bytes|gte: 1000000}\n  condition: s", 10),
        ("s: {allowed: false}\n  t: {what: sign-in}\n  condition: s and not t", 5),
        ("s: {reasons|contains: SPENT}\n  condition: s", 5),
        ("s: {reasons: Proof-Invalid}\n  condition: s", 5),
        ("s: {purpose|startswith: [b, care]}\n  condition: s", 20),
        ("s: {purpose|endswith: ing}\n  condition: s", 20),
        ("s: {purpose: '*t*n*'}\n  condition: not s", 20),
        ("s: {purpose|contains|all: [e, n]}\n  condition: s", 20),
        ("s_one: {missed|gt: 0}\n  s_two: {outside|gt: 0}\n  condition: 1 of s_*", 50),
        ("s_one: {missed|gte: 1}\n  s_two: {outside|lt: 1}\n  condition: all of them", 50),
        ("s: {object: null}\n  condition: s", 1000),
        ("s: {object|exists: true}\n  condition: s", 10),
        ("s: [{missed: 1}, {outside: 2}]\n  condition: s", 10),
        ("s: {key|startswith: '0'}\n  t: {asked|lte: 0}\n  condition: s and not (t or s and t)", 1),
    ],
)  # fmt: skip
def test_conditions_match_what_sql_matches(
    tmp_path: Path, events: list[Event], connection: sqlite3.Connection, selections: str, least: int
) -> None:
    written = f"{HEAD}detection:\n  {selections}\n"
    rule = only(tmp_path, written)
    [query] = queries(written)
    named = {event.index for event in events if event.principal}
    assert inline(rule, events)[0] == matching(connection, query) & named
    assert least <= len(inline(rule, events)[0]) < len(events)


@pytest.mark.parametrize(
    ("correlation", "least"),
    [
        (("event_count", "first", "principal", "1h", "gte: 2"), 3),
        (("event_count", "first, second", "principal, dataset", "10m", "gte: 6"), 20),
        (("event_count", "second", "network", "2h", "gt: 10"), 20),
        (("value_count", "second", "principal", "3h", "field: what, gte: 2"), 20),
        (("value_count", "second", "network", "1d", "field: principal, gte: 3"), 20),
        (("value_sum", "first", "principal", "1d", "field: missed, gte: 2"), 3),
        (("value_sum", "second", "supplier, what", "2h", "field: records, gte: 20"), 20),
        (("temporal", "first, second", "principal", "5m", "gte: 2"), 20),
        (("temporal", "first, second", "network, country", "3s", "gte: 2"), 1),
    ],
)
def test_correlations_are_fulfilled_when_sql_says(
    tmp_path: Path, few: list[Event], small: sqlite3.Connection, correlation: tuple[str, ...], least: int
) -> None:
    """correlation: its type, rules, group, timespan and condition."""
    written = PARTS
    for name, value in zip(("TYPE", "RULES", "GROUP", "SPAN", "CONDITION"), correlation, strict=True):
        written = written.replace(name, value)
    path = tmp_path / "rule.yml"
    path.write_text(written)
    loaded = load([path])
    assert not loaded.refused
    rule = next(one for one in loaded.rules if one.correlation)
    query = next(query for query in queries(written) if query.startswith("WITH"))
    found = fulfilled(small, query, rule.group)
    assert inline(rule, few)[1].keys() == found.keys()
    assert len(found) >= least


@pytest.mark.parametrize("path", sorted(SHIPPED.iterdir()), ids=lambda path: path.stem)
def test_the_shipped_rules_agree(path: Path, few: list[Event], small: sqlite3.Connection) -> None:
    [rule] = load([path]).rules
    [query] = queries(path.read_text())
    indexes, moments = inline(rule, few)
    if rule.correlation is None:
        assert indexes == matching(small, query)
    else:
        assert moments.keys() == fulfilled(small, query, rule.group).keys()


def test_shipped_rules_have_something_to_say(events: list[Event]) -> None:
    speaking = {rule.file for rule in load([SHIPPED]).rules if inline(rule, events)[0]}
    assert {"names-from-one-network.yml", "budget-again.yml", "refused-and-astray.yml"} <= speaking


TEXTS = ["lookup", "LOOKUP", "open", "sign-in", "l*", "*in*", "*", "benefits", "*e*e*", "care-*", "budget-spent", "NL"]
ITEMS = st.one_of(
    st.tuples(st.sampled_from(["what", "purpose", "country", "reasons", "channel", "object"]), st.sampled_from(TEXTS)),
    st.tuples(st.sampled_from(["missed", "records", "asked|gte", "outside|lt", "bytes|gt"]), st.integers(-1, 3)),
    st.tuples(st.sampled_from(["allowed", "listed", "object|exists"]), st.booleans()),
)
SELECTIONS = st.lists(ITEMS, min_size=1, max_size=3, unique_by=lambda item: item[0])
CONDITIONS = st.recursive(
    st.sampled_from(["a", "b", "c"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"{two[0]} and {two[1]}"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) or {two[1]}"),
        inner.filter(lambda one: not one.startswith("not")).map(lambda one: f"not ({one})"),
    ),
    max_leaves=5,
).filter(lambda condition: condition.count("(") <= 4)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(SELECTIONS, SELECTIONS, SELECTIONS), CONDITIONS)
def test_any_condition_matches_what_sql_matches(
    tmp_path: Path,
    few: list[Event],
    small: sqlite3.Connection,
    selections: tuple[list[tuple[str, object]], ...],
    condition: str,
) -> None:
    lines = [HEAD + "detection:"]
    for name, selection in zip("abc", selections, strict=True):
        lines += [f"  {name}:", *(f"    {field}: {said(value)}" for field, value in selection)]
    written = "\n".join([*lines, f"  condition: {condition}", ""])
    rule = only(tmp_path, written)
    [query] = queries(written)
    named = {event.index for event in few if event.principal}
    assert inline(rule, few)[0] == matching(small, query) & named


def said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"'{value}'" if isinstance(value, str) else str(value)
