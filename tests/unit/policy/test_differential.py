"""Cedar against a second evaluator in plain Python, on random slices.

The everyday run takes a batch from a new seed; `-m slow` takes many more. A disagreement prints seed and slice.
"""

import random
from typing import Any

import pytest
from hypothesis import strategies as st

from keten.policy.engine import Engine
from keten.policy.model import Allow, Attributes
from tests.unit.policy.reference import refused, valid_until
from tests.unit.policy.worlds import ALLOWED, CLIENT, DAY, END, NOW, OTHER, START, changed

MOMENTS = [0, 1, START - 1, START, START + 1, NOW - 1, NOW, NOW + 1, NOW + DAY, END - 1, END, END + 1, -DAY, 2**53]
COUNTRIES = ["", "NL", "BE", "US", "nl"]
PURPOSES = ["", "election-cards", "care"]

# Values that meet each other: equal, next to each other, empty, unknown.
VALUES: dict[str, list[Any]] = {
    "action": ["open", "list", "lookup", "open", "list", "lookup", "", "delete"],
    "time_us": MOMENTS,
    "country": COUNTRIES,
    "purpose": PURPOSES,
    "checked": [True, True, False],
    "mismatch": ["", "", "table grants"],
    "known": [True, True, False],
    "principal": [CLIENT, OTHER],
    "principal_standing": ["active", "active", "suspended", "ended", "blocked", ""],
    "supplier_active": [True, True, False],
    "supplier_unfrozen": [True, True, False],
    "dataset_classification": ["public", "internal", "confidential", "secret", ""],
    "dataset_active": [True, True, False],
    "content_unlimited": [True, False],
    "content_expires_us": MOMENTS,
    "has_grant": [True, True, False],
    "grant_form": ["file", "file", "release", "lookup", "intake", ""],
    "grant_purpose": PURPOSES,
    "grant_to": [(), (CLIENT,), (OTHER,), (CLIENT, OTHER)],
    "grant_to_all": [True, False],
    "grant_active": [True, True, False],
    "grant_lasting": [True, False],
    "grant_confirmed_until_us": MOMENTS,
    "contract_active": [True, True, False],
    "contract_starts_us": MOMENTS,
    "contract_ends_us": MOMENTS,
    "contract_purposes": [(), ("election-cards",), ("care",), ("care", "election-cards")],
    "contract_countries": [(), ("NL",), ("BE", "NL"), ("US",)],
    "contract_any_country": [True, False],
}


def slices() -> st.SearchStrategy[Attributes]:
    """Slices near the one that is allowed: some attributes changed."""
    changes = st.fixed_dictionaries({}, optional={name: st.sampled_from(some) for name, some in VALUES.items()})
    return st.builds(lambda fields: changed(ALLOWED, **fields), changes)


def some_slice(chance: random.Random) -> Attributes:
    """A slice with a few attributes changed, or (one in ten) all of them: both outcomes must be common."""
    names = list(VALUES) if chance.random() < 0.1 else chance.sample(list(VALUES), chance.randint(0, 4))
    return changed(ALLOWED, **{name: chance.choice(VALUES[name]) for name in names})


def compare(engine: Engine, seed: int, count: int) -> tuple[int, set[str]]:
    """Decide on `count` slices with both; how many were allowed, and every reason that was given."""
    chance = random.Random(seed)
    allowed, reasons = 0, set()
    for start in range(0, count, 1000):
        asked = [some_slice(chance) for _ in range(min(1000, count - start))]
        for attributes, decision in zip(asked, engine.decide_many(asked), strict=True):
            expected = refused(attributes)
            if isinstance(decision, Allow):
                assert expected is None, (seed, expected, attributes)
                assert decision.valid_until_us == valid_until(attributes), (seed, attributes)
                allowed += 1
            else:
                assert set(decision.reasons) == expected, (seed, decision, attributes)
                reasons |= expected
    return allowed, reasons


def test_the_values_are_of_every_attribute_that_decides() -> None:
    assert set(Attributes.__struct_fields__) - set(VALUES) == {"supplier", "dataset", "grant", "contract"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", [0, *(pytest.param(one, marks=pytest.mark.slow) for one in range(1, 4))])
def test_both_evaluators_agree(engine: Engine, part: int) -> None:
    allowed, reasons = compare(engine, random.SystemRandom().randrange(2**32), 25_000)
    assert allowed > 1_000, part
    assert len(reasons) == 22


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_both_evaluators_agree_on_millions(engine: Engine) -> None:
    for _ in range(80):
        compare(engine, random.SystemRandom().randrange(2**32), 25_000)
