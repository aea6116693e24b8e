"""`python -m tests.schemas --examples 500 --seed 7`: many requests made from the descriptions of `/api` and `/v1`.

Prints what was answered how often, and every fault. Exit code 1 when there is one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.schemas.faces import Instance
from tests.schemas.trying import try_all


def main() -> int:
    """Try both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=300, help="good ones, and as many bad ones, of each operation")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    faults = 0
    with tempfile.TemporaryDirectory(prefix="keten-schemas-") as folder:
        instance = Instance(Path(folder))
        try:
            for name, face in (("/api", instance.console()), ("/v1", instance.gateway())):
                tried = try_all(face, asked.examples, asked.seed)
                print(f"{name}: {tried.operations} operations, {tried.requests} requests, {len(tried.faults)} faults")
                for label, statuses in tried.statuses.items():
                    print(f"  {label}: " + ", ".join(f"{one} × {statuses[one]}" for one in sorted(statuses)))
                for fault in tried.faults:
                    print(f"  FAULT {fault}")
                faults += len(tried.faults)
            instance.keten.run("ledger", "verify")
        finally:
            instance.close()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
