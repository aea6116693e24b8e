"""`python -m tests.fault.campaigns NAME --count N --seed S --resume FILE`: one campaign, or `all` of them in turn.

Exit code 0: everything held; 1: something did not, and is printed; 3: it can't be run on this machine.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path

import msgspec

from tests.fault.campaigns.keeping import Asked, Cases, Kept, NotHereError, rows, table
from tests.fault.campaigns.names import CAMPAIGNS


def run(name: str, cases: Cases, asked: argparse.Namespace) -> int:
    """Run one campaign; prints what did not hold, and the table."""
    default = CAMPAIGNS[name].count
    kept = Kept(asked.resume, name, asked.seed)
    began = time.monotonic()
    wanted = Asked(asked.count or default, asked.seed, frozenset(kept.cases), asked.minutes)
    try:
        for case in cases(wanted):
            kept.add(case)
            for fault in case.faults:
                print(f"{name} {case.key} ({case.what}): {fault}", file=sys.stderr, flush=True)
            if sys.stderr.isatty():
                print(f"\r{name}: {len(kept.cases)}", end="", file=sys.stderr, flush=True)
    except NotHereError as error:
        print(f"{name}: not run here: {error}", file=sys.stderr)
        return 3
    found = list(kept.cases.values())
    faulty = sum(bool(case.faults) for case in found)
    if asked.json:
        result = {"campaign": name, "seed": asked.seed, "cases": len(found), "faulty": faulty, "rows": rows(found)}
        print(json.dumps(result | {"faults": [msgspec.to_builtins(case) for case in found if case.faults]}))
    else:
        print(table(found))
        print(f"{name}: {len(found)} cases, seed {asked.seed}, {faulty} with faults, {time.monotonic() - began:.0f} s")
    return int(faulty > 0)


def main() -> int:
    """Read the command line; the worst exit code of all that ran, where "can't be run here" is no fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "name", choices=[*CAMPAIGNS, "all"], help="; ".join(f"{n}: {c.says}" for n, c in CAMPAIGNS.items())
    )
    parser.add_argument("--count", type=int, default=0, help="how many cases; 0: as many as make a full campaign")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long a soak takes")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep what was done here, and go on from it")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # so that what was started is stopped, and unmounted
    if asked.name != "all":
        return run(asked.name, CAMPAIGNS[asked.name].load(), asked)
    if asked.resume is not None:
        parser.error("--resume is for one campaign")
    codes = [run(name, one.load(), asked) for name, one in CAMPAIGNS.items()]
    return int(1 in codes)


if __name__ == "__main__":
    sys.exit(main())
