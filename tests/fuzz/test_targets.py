"""Every parser that faces outside, under bytes near good examples: the short form of `python -m tests.fuzz`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.mutations import large, near
from tests.fuzz.target import Target, work
from tests.fuzz.targets.listed import TARGETS

FINDINGS = Path(__file__).parent / "findings"
EXAMPLES = 30
LARGE = 10_000  # bytes
every = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@every
def test_good_examples_are_taken(target: Target) -> None:
    assert [seed for seed in target.seeds() if not target.check(seed)] == []


@every
def test_near_good_examples(target: Target) -> None:
    @settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
    @given(near(target.seeds(), target.words, target.longest))
    def holds(data: bytes) -> None:
        target.check(data)

    holds()


@every
def test_large_input_takes_no_more_than_its_size_allows(target: Target) -> None:
    for data in large(target.seeds(), target.words, LARGE)[::11]:
        took = work(target.check, data)
        for spent, (each, beside) in ((took.calls, target.calls), (took.memory, target.memory)):
            assert spent <= each * len(data) + beside, data[:80]


FOUND = [path for path in sorted(FINDINGS.glob("*/*")) if path.is_file()]


@pytest.mark.parametrize("path", FOUND, ids=[f"{path.parent.name}-{path.name}" for path in FOUND])
def test_what_was_found_once_holds_now(path: Path) -> None:
    TARGETS[path.parent.name].check(path.read_bytes())
