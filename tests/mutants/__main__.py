"""`python -m tests.mutants ROOM [MODULE …]`: would the room's tests notice if a rule in it were broken?

Each module is changed in many small ways, one at a time, and the room's unit tests are run against each change
(docs/mutants.md). Prints a table; `--survivors` also what nobody noticed; `--again` tries only that once more, after
new tests; `--table` runs nothing. A run that is stopped goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys

from tests.mutants.rooms import ROOMS
from tests.mutants.shard import NOTICED, Outcome, Shard

ENOUGH = 0.9


def main() -> int:
    """Run, and say what was found; exit code 1 when less than `ENOUGH` was noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("room", choices=sorted(ROOMS))
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--again", action="store_true", help="only what was not noticed before")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--survivors", action="store_true", help="show what was not noticed")
    asked = parser.parse_args()
    known = ROOMS[asked.room]
    unknown = set(asked.modules) - known.keys()
    if unknown:
        parser.error(f"no modules of {asked.room}: {', '.join(sorted(unknown))}")
    shards = [Shard(asked.room, module, known[module]) for module in asked.modules or known]
    outcomes = []
    for shard in shards:
        if not asked.table and shard.run(again=asked.again) != 0:
            print(f"{shard.module}: mutmut failed", file=sys.stderr)
        outcomes.append(shard.outcome())
        if asked.survivors:
            for name in outcomes[-1].named("survived", "no tests", "suspicious"):
                print(shard.show(name))
    return _table(outcomes)


def _table(outcomes: list[Outcome]) -> int:
    """Print a row for each module and their sum; 1 when less than `ENOUGH` was noticed."""
    print("| Module | Mutants | Noticed | Of these by a time-out | Not noticed | No test reaches it | Score |")
    print("|---|---|---|---|---|---|---|")
    whole = Outcome("all", {name: status for outcome in outcomes for name, status in outcome.by_name.items()})
    for outcome in [*outcomes, whole]:
        noticed = len(outcome.named(*NOTICED))
        numbers = [outcome.tried, noticed, len(outcome.named("timeout")), len(outcome.named("survived", "suspicious"))]
        score = f"{noticed / outcome.tried:.1%}" if outcome.tried else "–"
        cells = [outcome.module, *map(str, numbers), str(len(outcome.named("no tests"))), score]
        print(f"| {' | '.join(cells)} |")
    return 0 if whole.tried and len(whole.named(*NOTICED)) >= ENOUGH * whole.tried else 1


if __name__ == "__main__":
    sys.exit(main())
