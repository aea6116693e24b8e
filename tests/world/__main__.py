"""`python -m tests.world --principals N --days N --seed S`: the watch, and peers' rules, in a made-up world.

Writes a report (Markdown) and its figures (JSON), and prints one of them. Exit code 0: it ran; 3: Keten's detectors
are asked for, and are not in this checkout.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType

from keten.core.settings import Watch
from keten.drills.peers import baselines
from keten.watch.ladder import Ladder
from tests.world.families import held_out, tuned
from tests.world.figures import figures
from tests.world.judging import RESPONSE_US, Step, judge, nothing
from tests.world.report import markdown
from tests.world.shape import Size
from tests.world.stream import World

FAMILIES: dict[str, ModuleType | None] = {"tuned": tuned, "held-out": held_out, "none": None}
OUT = Path(".cache/world")


class NotThereError(Exception):
    """Keten's detectors are not in this checkout."""


def keten() -> Step:
    """Keten's own engine with its default detectors. Raises `NotThereError`."""
    try:
        engine = importlib.import_module("keten.watch.engine")
        detectors = importlib.import_module("keten.watch.detectors")
    except ModuleNotFoundError as error:
        raise NotThereError(str(error)) from error
    step: Step = engine.Engine(detectors.default()).step
    return step


def watchers(name: str) -> dict[str, Step]:
    """Those asked for, after the one that says nothing. Raises `NotThereError`."""
    found: dict[str, Step] = {"budgets alone": nothing}
    if name in {"keten", "all"}:
        found["keten"] = keten()
    if name in {"baselines", "all"}:
        found |= {peer: rules.step for peer, rules in baselines().items()}
    return found


def progress(days: int) -> Callable[[int, int], None]:
    """Tell on stderr how far it is."""
    began = time.monotonic()

    def tell(number: int, events: int) -> None:
        if sys.stderr.isatty() or number % 10 == 0:
            end = "\r" if sys.stderr.isatty() else "\n"
            passed = time.monotonic() - began
            left = passed / number * (days - number) if number else 0.0
            far = f"day {number} of {days}, {events:,} events, {passed:.0f} s, about {left:.0f} s to go"
            print(far, end=end, file=sys.stderr, flush=True)

    return tell


def made(asked: argparse.Namespace) -> dict[str, object]:
    """When the figures were made, by which command, and what it took. Memory holds a day and what watchers know."""
    words = [
        f"--{name} {value}"
        for name in ("principals", "days", "seed", "first", "families", "prevalence", "detectors")
        if (value := getattr(asked, name)) is not None
    ]
    return {
        "on": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["python -m tests.world", *words]),
        "seconds": round(time.process_time()),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, run, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--principals", type=int, default=Size.principals)
    parser.add_argument("--days", type=int, default=Size.days)
    parser.add_argument("--seed", type=int, default=Size.seed, help="1 to 99: to tune on; 1000 to 1099: held out")
    parser.add_argument("--first", type=date.fromisoformat, default=Size.first, metavar="DATE")
    parser.add_argument("--detectors", choices=["none", "baselines", "keten", "all"], default="baselines")
    parser.add_argument("--families", choices=list(FAMILIES), default="tuned")
    parser.add_argument("--prevalence", type=float, default=1e-4, help="share of principal-days under attack")
    parser.add_argument("--delay", type=float, default=RESPONSE_US / 1e6, help="seconds from a signal to the stop")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report there as well")
    parser.add_argument("--json", action="store_true", help="print the figures instead of the report")
    asked = parser.parse_args(arguments)
    try:
        watching = watchers(asked.detectors)
    except NotThereError as error:
        print(f"Keten's detectors are not in this checkout: {error}", file=sys.stderr)
        return 3
    families = FAMILIES[asked.families]
    world = World(Size(asked.principals, asked.days, asked.seed, asked.first), families, asked.prevalence)
    ladder = {"keten": Ladder(Watch()).wanted}
    census, judges = judge(world, watching, progress(asked.days), int(asked.delay * 1e6), ladder)
    found = figures(world, families, census, judges) | {"made": made(asked)}
    text = markdown(found)
    asked.out.mkdir(parents=True, exist_ok=True)
    name = f"{asked.principals}-{asked.days}-{asked.seed}-{asked.families}-{asked.detectors}"
    (asked.out / f"{name}.md").write_text(text, encoding="utf-8")
    (asked.out / f"{name}.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    if asked.report is not None:
        asked.report.write_text(text, encoding="utf-8")
    print(json.dumps(found) if asked.json else text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
