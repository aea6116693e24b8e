"""`python -m bench [NAME …] [--size N] [--full] [--quick] [--record]`: measure; without names, every figure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import msgspec

from bench import machine
from bench.figure import Figure, record, say

NAMES = (
    "entries",
    "postgres",
    "access",
    "lookup",
    "decision",
    "download",
    "sftp",
    "cut",
    "proofs",
    "export",
    "detection",
    "guessing",
    "alike",
)


class Asked(msgspec.Struct, frozen=True):
    """What to measure: sizes of the caller's own, or all of a figure's (`full`), or tiny ones to see that it runs."""

    size: int
    full: bool
    quick: bool


def main() -> int:
    """Measure and print; exit 1 when something does not reach what it should."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; all when left out")
    parser.add_argument("--size", type=int, default=0, help="one size instead of the figure's own")
    parser.add_argument("--full", action="store_true", help="the largest sizes too: takes long")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, a second each: only to see that it runs")
    parser.add_argument("--record", action="store_true", help="put the results into bench/RESULTS.md")
    given = parser.parse_args()
    unknown = set(given.names) - set(NAMES)
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    asked = Asked(given.size, given.full, given.quick)
    met = True
    for name in given.names or NAMES:
        for one in _figures(name, asked):
            say(one)
            met = met and one.met
            if given.record:
                record(one)
    return 0 if met else 1


def _figures(name: str, asked: Asked) -> Iterator[Figure]:
    run: Callable[[Asked], Iterator[Figure]] = import_module(f"bench.{name}").figures
    started = machine.load()
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    command = f"python -m bench {name}"
    for option, value in (("--full", asked.full), ("--quick", asked.quick), (f"--size {asked.size}", asked.size)):
        command += f" {option}" if value else ""
    for one in run(asked):
        yield msgspec.structs.replace(
            one, date=date, command=command, machine=machine.described(Path.cwd()), load=round(started, 2)
        )
        started = machine.load()


if __name__ == "__main__":
    sys.exit(main())
