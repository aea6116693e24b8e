"""Which rules are used and which are refused, and that counting in bounded memory counts right."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from keten.watch.model import Event
from keten.watch.rules.asking import MOST_GROUPS, Counts, RuleDetector
from keten.watch.rules.conditions import like
from keten.watch.rules.counting import Group, count
from keten.watch.rules.loading import LONGEST_S, MOST_BYTES, MOST_SAID, SHIPPED, load
from keten.watch.rules.model import Correlation, Kind

SECOND = 1_000_000
HOUR = 3600 * SECOND
PLAIN = """title: Something
id: 7d0f6f6e-3f0a-4c37-9e0e-3b7d7a0c1f51
name: something
level: high
logsource:
  product: keten
detection:
  s:
    what: lookup
  condition: s
"""
COUNTED = f"""{PLAIN}---
title: Often
id: 7d0f6f6e-3f0a-4c37-9e0e-3b7d7a0c1f52
level: medium
correlation:
  type: event_count
  rules:
    - something
  group-by:
    - principal
    - dataset
  timespan: 10m
  condition:
    gte: 3
"""


def event(at_us: int, **rest: Any) -> Event:
    values: dict[str, Any] = {"what": "lookup", "principal": "anna", "dataset": "d", "allowed": True} | rest
    return Event(index=at_us, id=f"e{at_us}", time_us=at_us, **values)


def refusal(folder: Path, written: str | bytes) -> str:
    path = folder / "own.yml"
    path.write_bytes(written if isinstance(written, bytes) else written.encode())
    loaded = load([path])
    assert not loaded.rules
    [refused] = loaded.refused
    assert refused.file == str(path)
    return refused.reason


def detector(folder: Path, written: str) -> RuleDetector:
    path = folder / "own.yml"
    path.write_text(written)
    loaded = load([path])
    assert not loaded.refused
    return RuleDetector(loaded.rules[-1])


def test_the_shipped_rules_are_used() -> None:
    loaded = load([SHIPPED])
    assert not loaded.refused
    assert len(loaded.rules) == len(list(SHIPPED.iterdir())) == 5
    assert len({RuleDetector(rule).code for rule in loaded.rules}) == 5


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("timespan: 10m", "timespan: 32d", "31 days"),
        ("timespan: 10m", "timespan: 0s", "not Sigma"),
        ("timespan: 10m", "timespan: for ever", "not Sigma"),
        ("  group-by:\n    - principal\n    - dataset\n", "", "one count for everybody"),
        ("    - principal\n    - dataset", "    - dataset", "one count for everybody"),
        ("    - dataset", "    - object", "too many values"),
        ("    - dataset", "    - key", "too many values"),
        ("    - dataset", "    - dataset\n    - country\n    - what", "more than three"),
        ("gte: 3", "gte: 10001", "between 1 and 10000"),
        ("gte: 3", "gte: 0", "between 1"),
        ("gte: 3", "lt: 3", "gt or gte"),
        ("gte: 3", "gte: 2.5", "whole number"),
        ("event_count", "value_avg", "not Sigma"),
        ("type: event_count", "type: temporal_ordered", "not supported"),
        ("gte: 3", "gte: 3\n  aliases:\n    who:\n      something: principal", "aliases"),
        ("- something", "- 7d0f6f6e-3f0a-4c37-9e0e-3b7d7a0c1f59", "not Sigma"),
        ("level: medium\n", "", "no level"),
        ("what: lookup", "nothing: lookup", "no field 'nothing'"),
        ("what: lookup", "index: 3", "no field 'index'"),
        ("what: lookup", "what: 3", "can't be compared"),
        ("what: lookup", "missed: many", "can't be compared"),
        ("what: lookup", "allowed: 1", "can't be compared"),
        ("what: lookup", "what|re: l.*p", "modifier 're'"),
        ("what: lookup", "network|cidr: 10.0.0.0/8", "modifier 'cidr'"),
        ("what: lookup", "what: l?okup", "?"),
        ("what: lookup", "what: '" + "*a" * 20 + "'", "wildcards"),
        ("condition: s", "condition: s | count() > 3", "aggregation"),
        ("condition: s", "condition: not_there", "not Sigma"),
        ("condition: s", "condition: " + "(" * 5 + "s" + ")" * 5, "parentheses"),
        ("condition: s", "condition: 1 of *a*b*c*d", "stars"),
        ("condition: s", "condition: s" + " or s" * 300, "longer than"),
        ("condition: s", "condition: s" + " or s" * 190, None),
        ("condition: s", "condition:\n    - s\n    - s", "not one text"),
        ("product: keten", "product: windows", "product: keten"),
        ("title: Something", "title: &t Something", "anchor"),
        ("id: 7d0f6f6e-3f0a-4c37-9e0e-3b7d7a0c1f51\n", "", "no id"),
        ("id: 7d0f6f6e-3f0a-4c37-9e0e-3b7d7a0c1f51", "id: mine", "not Sigma"),
        ("  s:\n    what: lookup", "  s:\n    - lookup", "in no field"),
    ],
)
def test_what_explodes_or_is_not_supported_is_refused_with_a_reason(
    tmp_path: Path, old: str, new: str, why: str | None
) -> None:
    assert old in COUNTED
    written = COUNTED.replace(old, new, 1)
    if why is None:
        detector(tmp_path, written)
    else:
        assert why in refusal(tmp_path, written)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b"", "no document"),
        (b"- a\n- b\n", "not a mapping"),
        (b"a: [", "not YAML"),
        (b"a: 2026-02-31\n", "not YAML"),
        (b"a: " + b"[" * 5000, "deeply"),
        (b"a: 1\n---\n" * 60, "more than 50"),
        (b"#" * (MOST_BYTES + 1), "64 KiB"),
        (b"a: &a [x]\nb: [*a, *a]\n", "anchor"),
        (b"id: x\nfilter: {}\n", "filters"),
        (b"id: x\nlevel: low\n", "not Sigma"),
    ],
)
def test_hostile_files_are_refused(tmp_path: Path, written: bytes, why: str) -> None:
    assert why in refusal(tmp_path, written)


ODD: list[Any] = [
    *(None, True, -1, 2.5, 10**30, float("nan"), "", "x", "*", "1", [], {}, [[]], ["low"], {"low": 1}, {None: 1}),
    *(date(2026, 1, 1), datetime(1, 1, 1, tzinfo=UTC), b"\xff", {"s": {"what": None}}, {"what|all": ["a", None]}),
]


def places(node: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a document."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield (*at, key)
        yield from places(value, (*at, key))


@pytest.mark.parametrize("seed", range(4))
def test_no_file_keeps_the_worker_from_starting(tmp_path: Path, seed: int) -> None:
    """Anything in any place of a rule: it is used, or refused with a reason."""
    rng = random.Random(seed)
    written = (COUNTED, *(path.read_text() for path in sorted(SHIPPED.glob("*.yml"))))
    path, used = tmp_path / "any.yml", 0
    for _time in range(100):
        documents = list(yaml.safe_load_all(rng.choice(written)))
        for _change in range(rng.randint(1, 2)):
            *way, last = rng.choice(list(places(documents)))
            node: Any = documents
            for key in way:
                node = node[key]
            if rng.random() < 0.3 and isinstance(node, dict):
                node[rng.choice(["x", "id", "filter", "what|re", "level", 1, None])] = deepcopy(rng.choice(ODD))
            node[last] = deepcopy(rng.choice(ODD))
        path.write_text(yaml.safe_dump_all(documents))
        loaded = load([path])
        assert all(one.reason.isprintable() for one in loaded.refused)
        for rule in loaded.rules:
            RuleDetector(rule).step(Counts(), event(1))
        used += bool(loaded.rules)
    assert used


def test_a_reason_is_no_longer_than_a_line_or_a_few(tmp_path: Path) -> None:
    long = "a" * 60_000
    written = PLAIN.replace("    what: lookup", f"    ? {long}\n    : 1")
    assert len(refusal(tmp_path, written)) <= MOST_SAID


def test_one_bad_file_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(COUNTED)
    (tmp_path / "b.yml").write_text("nonsense: [")
    (tmp_path / "c.yml").write_text(COUNTED)
    (tmp_path / "notes.txt").write_text("no rule")
    loaded = load([tmp_path, tmp_path / "missing.yml"])
    assert [rule.title for rule in loaded.rules] == ["Often"], "the rule it counts does not tell for itself"
    assert [Path(one.file).name for one in loaded.refused] == ["b.yml", "c.yml", "missing.yml"]
    assert "also in" in loaded.refused[1].reason


WITHOUT = """
import sys
sys.modules["sigma"] = None  # as if it were not installed
from keten.core.errors import Unavailable
from keten.watch.rules.loading import SHIPPED, load
assert load([]).rules == []
try:
    load([SHIPPED])
except Unavailable as error:
    print(error)
"""


def test_without_pysigma_it_says_what_to_install() -> None:
    said = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert "keten[sigma]" in said.stdout
    assert "sigma-missing" in said.stdout


def test_a_rule_is_told_once_in_its_span_for_a_group(tmp_path: Path) -> None:
    asked = detector(tmp_path, COUNTED)
    state = Counts()
    told = [bool(asked.step(state, event(n * SECOND))) for n in range(10)]
    assert told == [False, False, True] + [False] * 7
    assert not asked.step(state, event(11 * SECOND, dataset="other")), "another group"
    assert not any(asked.step(state, event(HOUR + n * SECOND)) for n in range(2))
    [signal] = asked.step(state, event(HOUR + 2 * SECOND))
    assert (signal.severity, signal.principal, signal.dataset) == ("medium", "anna", "d")
    assert signal.facts == {"rule": "Often", "seen": 3, "at_least": 3, "within_s": 600}


def test_a_plain_rule_is_told_once_an_hour_and_of_nobody_never(tmp_path: Path) -> None:
    asked = detector(tmp_path, PLAIN)
    state = Counts()
    assert [len(asked.step(state, event(at))) for at in (0, 1, HOUR, HOUR + 1)] == [1, 0, 1, 0]
    assert asked.step(Counts(), event(0, principal="")) == ()
    assert asked.step(Counts(), event(0, what="open")) == ()


def test_state_is_kept_and_read_again_and_stays_small(tmp_path: Path) -> None:
    asked = detector(tmp_path, COUNTED)
    state = Counts()
    for n in range(3 * MOST_GROUPS):
        asked.step(state, event(n, dataset=f"d{n}"))
    assert len(state.groups) == MOST_GROUPS
    for n in range(1000):
        asked.step(state, event(n * SECOND))
    assert len(state.groups["d"].times) == 3
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=Counts)
    assert again == state


STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from("abcd"), st.integers(0, 9), st.sets(st.integers(0, 2), min_size=1)),
    max_size=60,
)


@given(st.sampled_from(["event_count", "value_count", "value_sum", "temporal"]), st.integers(1, 12), STEPS)
def test_bounded_memory_knows_when_it_is_enough(
    kind: Kind, need: int, steps: list[tuple[int, str, int, set[int]]]
) -> None:
    """Against all that happened, in the order of time: as much or more than `need` is the same answer."""
    span = 100
    correlation = Correlation(kind, need, span, "f")
    group, now = Group(), 0
    past: list[tuple[int, str, int, set[int]]] = []
    for gap, value, amount, rules in steps:
        now += gap
        past.append((now, value, amount, rules))
        inside = [each for each in past if each[0] >= now - span]
        due = {
            "event_count": len(inside),
            "value_count": len({each[1] for each in inside}),
            "value_sum": sum(each[2] for each in inside),
            "temporal": len({rule for each in inside for rule in each[3]}),
        }[kind]
        seen = count(correlation, group, now, value, amount, sorted(rules))
        assert (seen >= need) == (due >= need)
        assert seen == due or (seen >= need and due >= need)
        assert max(len(group.times), len(group.latest), len(group.amounts)) <= need


@given(st.sampled_from(["event_count", "value_count", "value_sum", "temporal"]), st.lists(st.integers(0, 500)))
def test_late_events_do_no_harm(kind: Kind, times: list[int]) -> None:
    correlation = Correlation(kind, 3, 100, "f")
    group = Group()
    for time in times:
        assert count(correlation, group, time, f"v{time}", 1, [0]) >= 0
        assert max(len(group.times), len(group.latest)) <= 3
    assert group.total == sum(amount for _, amount in group.amounts) >= 0


PIECES = st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=3)


@given(st.text("ab", max_size=8), PIECES, st.booleans(), st.booleans())
def test_wildcards_find_what_a_regular_expression_finds(
    value: str, pieces: list[str], starts: bool, ends: bool
) -> None:
    import re

    if starts and ends and len(pieces) < 2:
        pieces = [*pieces, "a"]
    pattern = ("" if starts else ".*") + ".*".join(pieces) + ("" if ends else ".*")
    assert like(value, pieces, starts=starts, ends=ends) is (bool(value) and re.fullmatch(pattern, value) is not None)


def test_the_longest_span_is_taken(tmp_path: Path) -> None:
    assert detector(tmp_path, COUNTED.replace("10m", f"{LONGEST_S}s")).quiet_us == LONGEST_S * SECOND
