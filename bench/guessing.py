"""What guessing keys gets before it is stopped, and how often honest use is stopped: a simulation."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from bench.figure import Figure
from keten.watch.detectors.misses import Misses, MissHeavy
from keten.watch.model import Event

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
    detector, state = MissHeavy(), Misses()
    measured["false_stops"] = sum(bool(detector.step(state, _asked(HONEST_SHARE, rng))) for _ in range(honest))
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
        note=f"seed {_SEED}; records that were given out until the signal",
    )


def lost(share: float, rng: Random) -> int:
    """Records given out in one attack."""
    detector, state = MissHeavy(), Misses()
    for _ in range(BEFORE):
        detector.step(state, _asked(HONEST_SHARE, rng))
    found = 0
    while True:
        one = _asked(share, rng)
        found += one.records
        if detector.step(state, one):
            return found


def _asked(share: float, rng: Random) -> Event:
    return _MISS if rng.random() < share else _HIT


_HIT = Event(index=0, id="", time_us=0, what="lookup", allowed=True, principal="p", asked=1, records=1)
_MISS = Event(index=0, id="", time_us=0, what="lookup", allowed=True, principal="p", asked=1, missed=1)
