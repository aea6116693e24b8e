"""The campaign: kill, wait until somebody is served again, kill again; then hold the ledger against what was given."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from tests.fault.kills.load import Fetcher
from tests.town import Town

TARGETS = ("keeper", "gateway", "both")
WEIGHTS = (5, 4, 1)
FETCHERS = 4
BACK_SECONDS = 60.0
SETTLE_SECONDS = 16.0  # longer than a keeper waits for a gateway's report of an access of before


class Result(msgspec.Struct):
    """What a campaign found. All of `lost`, `unrecorded_ends`, `wrong`, `not_verified` must be empty."""

    seed: int
    kills: dict[str, int]
    given: int
    failures: int
    entries: int
    lost: list[str]
    unrecorded_ends: list[str]
    wrong: list[str]
    not_verified: str

    @property
    def held(self) -> bool:
        """Whether nothing was lost, and everything was recorded."""
        return not (self.lost or self.unrecorded_ends or self.wrong or self.not_verified)


def run(folder: Path, count: int, seed: int) -> Result:
    """Kill `count` times. Raises `AssertionError` when nobody is served again within a minute."""
    choice = random.Random(seed)
    town = Town(folder)
    with town.keten:
        town.start()
        fetchers = [
            Fetcher(town.system("zorgvervoer-batch", town.carrier_key), town.care.read_bytes(), seed + number)
            for number in range(FETCHERS)
        ]
        for fetcher in fetchers:
            fetcher.start()
        kills: Counter[str] = Counter()
        for number in range(count):
            _served_again(fetchers)
            time.sleep(choice.uniform(0.0, 0.4))
            (target,) = choice.choices(TARGETS, WEIGHTS)
            kills[target] += 1
            for name in ("keeper", "gateway") if target == "both" else (target,):
                _kill(town, name)
            if sys.stderr.isatty():
                print(f"\r{number + 1}/{count} kills", end="", file=sys.stderr)
        _served_again(fetchers)
        for fetcher in fetchers:
            fetcher.stop.set()
        for fetcher in fetchers:
            fetcher.join(30)
        time.sleep(SETTLE_SECONDS)
        recorded = _entries(town)
        verified = town.keten.command("ledger", "verify")
    return _judged(seed, kills, fetchers, recorded, "" if verified.returncode == 0 else verified.stdout)


def _served_again(fetchers: list[Fetcher]) -> None:
    before = sum(len(fetcher.given) for fetcher in fetchers)
    deadline = time.monotonic() + BACK_SECONDS
    while sum(len(fetcher.given) for fetcher in fetchers) < before + FETCHERS:
        assert time.monotonic() < deadline, "nobody was served again"
        time.sleep(0.02)


def _kill(town: Town, name: str) -> None:
    try:
        os.kill(town.keten.pid(name), signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError, ValueError):
        return  # it is just being started again


def _entries(town: Town) -> list[dict[str, Any]]:
    done = town.keten.command("ledger", "show", "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _judged(
    seed: int, kills: Counter[str], fetchers: list[Fetcher], recorded: list[dict[str, Any]], not_verified: str
) -> Result:
    opened = {entry["id"]: entry for entry in recorded if entry["kind"] == "exchange.object.opened"}
    ends = Counter(
        entry["details"]["opening"] for entry in recorded if entry["kind"] == "exchange.object.delivered"
    )
    given = [one for fetcher in fetchers for one in fetcher.given]
    lost = [
        one.entry
        for one in given
        if one.entry not in opened
        or opened[one.entry]["index"] != one.index
        or opened[one.entry]["object"] != one.object
        or opened[one.entry]["details"]["length"] < one.count
    ]
    return Result(
        seed,
        dict(kills),
        len(given),
        sum(fetcher.failures for fetcher in fetchers),
        len(recorded),
        lost,
        [entry for entry in opened if ends[entry] != 1],
        [what for fetcher in fetchers for what in fetcher.wrong],
        not_verified,
    )


def main() -> int:
    """`python -m tests.fault.kills.campaign --count 200 --seed 1`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keten-kills-") as folder:
        result = run(Path(folder), arguments.count, arguments.seed)
    print(json.dumps(msgspec.to_builtins(result), indent=2))
    return 0 if result.held else 1


if __name__ == "__main__":
    sys.exit(main())
