"""What guessing keys gets before it is stopped, and how often honest use is stopped: a simulation."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from bench.figure import Figure
from keten.budgets.misses import Score, scored

if TYPE_CHECKING:
    from bench.__main__ import Asked

HONEST_SHARE = 0.02
HONEST, ATTACKS, BEFORE = 4_000_000, 10_000, 500
REACH = "p99 ≤ 10 records at 2/3 misses, ≤ 110 at 20 %; no false stop in 4 M honest questions"
_SEED = 20_261_128


def figures(asked: Asked) -> Iterator[Figure]:
    """Attacks after honest use of the same login."""
    rng = Random(_SEED)
    attacks, honest = (3_000, 40_000) if asked.quick else (ATTACKS, HONEST)
    measured: dict[str, Any] = {}
    for name, share in (("two_thirds", 2 / 3), ("a_third", 1 / 3), ("a_fifth", 0.2)):
        found = sorted(lost(share, rng) for _ in range(attacks))
        measured[f"{name}_median"] = found[attacks // 2]
        measured[f"{name}_p99"] = found[attacks * 99 // 100]
        measured[f"{name}_most"] = found[-1]
    measured["false_stops"] = _false_stops(honest, rng)
    yield Figure(
        name="guessing",
        size=f"{attacks:,} attacks each after {BEFORE} honest questions; {honest:,} honest questions at 2 % misses",
        measured=measured,
        peer="this test as simulated in research, 68 % and 20 % misses",
        peer_measured={"p99_68": 10, "p99_20": 104, "false_stops": 0},
        ratio=round(measured["a_fifth_p99"] / 104, 2),
        better="lower",
        reach=REACH,
        met=measured["two_thirds_p99"] <= 10 and measured["a_fifth_p99"] <= 110 and not measured["false_stops"],
        note=f"seed {_SEED}; records that were given out until lookups were refused",
    )


def lost(share: float, rng: Random) -> int:
    """Records given out in one attack, after honest use of the same login."""
    score = Score()
    for _ in range(BEFORE):
        score = _after(score, HONEST_SHARE, rng)[0]
    found = 0
    while True:
        score, missed = _after(score, share, rng)
        if score.guesses:
            return found
        found += not missed


def _after(score: Score, share: float, rng: Random) -> tuple[Score, bool]:
    missed = rng.random() < share
    return scored(score, int(not missed), int(missed)), missed


def _false_stops(count: int, rng: Random) -> int:
    score, stops = Score(), 0
    for _ in range(count):
        score = _after(score, HONEST_SHARE, rng)[0]
        if score.guesses:
            score, stops = Score(), stops + 1
    return stops
