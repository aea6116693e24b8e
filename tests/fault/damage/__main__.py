"""`python -m tests.fault.damage --count 500 --seed 7`: the long campaign; exit code 1 when something went unnamed."""

from __future__ import annotations

import argparse
import sys

from tests.fault.damage.campaign import campaign, summary


def main() -> int:
    """Run it, say what was not found, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    outcomes = []
    for outcome in campaign(asked.count, asked.seed):
        outcomes.append(outcome)
        if outcome.unnamed or outcome.unnoticed:
            print(f"{outcome.number}: {', '.join(outcome.done)}: not named: {outcome.unnamed}")
            for fault in outcome.faults[:10]:
                print(f"    {fault}")
        if sys.stderr.isatty():
            print(f"\r{len(outcomes)} of {asked.count}", end="", file=sys.stderr, flush=True)
    unnoticed = sum(outcome.unnoticed for outcome in outcomes)
    unnamed = sum(bool(outcome.unnamed) for outcome in outcomes)
    print(summary(outcomes))
    print(f"{len(outcomes)} damaged ledgers, seed {asked.seed}: {unnoticed} unnoticed, {unnamed} not named exactly")
    return 1 if unnoticed or unnamed else 0


if __name__ == "__main__":
    sys.exit(main())
