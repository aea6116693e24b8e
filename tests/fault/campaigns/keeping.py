"""Cases of a campaign, what was found in each, and the file in which they are kept."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec


class NotHereError(Exception):
    """The campaign can't be run on this machine; the text says why."""


class Case(msgspec.Struct, frozen=True):
    """One case. `key`: which one, the same in every run of the seed. `what`: its row in the table.

    faults: what did not hold; empty when everything did. counts: numbers that add up in the table.
    """

    key: str
    what: str
    faults: tuple[str, ...] = ()
    counts: dict[str, int] = {}


class Asked(msgspec.Struct, frozen=True):
    """What is wanted: `count` cases of a `seed`, of which `done` were done before; `minutes` of load (soak only)."""

    count: int
    seed: int
    done: frozenset[str] = frozenset()
    minutes: float = 60.0

    def numbers(self) -> Iterator[int]:
        """Which numbered cases are still to be done."""
        return (number for number in range(self.count) if str(number) not in self.done)


Cases = Callable[[Asked], Iterator[Case]]


class Kept:
    """Cases that were done, one JSON object a line; the first line says of which campaign and seed they are.

    path: None keeps nothing. Raises `ValueError` for a file of another campaign or seed.
    """

    def __init__(self, path: Path | None, campaign: str, seed: int) -> None:
        self._path = path
        self.cases: dict[str, Case] = {}
        mine = {"campaign": campaign, "seed": seed}
        if path is None:
            return
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]  # the last one may have been cut off
        if whole and msgspec.json.decode(whole[0]) != mine:
            raise ValueError(f"{path} is of {whole[0].decode().strip()}, not of {mine}")
        for line in whole[1:]:
            case = msgspec.json.decode(line, type=Case)
            self.cases[case.key] = case
        path.write_bytes(b"".join(whole) if whole else msgspec.json.encode(mine) + b"\n")

    def add(self, case: Case) -> None:
        """Keep one more case, durably."""
        self.cases[case.key] = case
        if self._path is not None:
            with self._path.open("ab") as stream:
                stream.write(msgspec.json.encode(case) + b"\n")
                stream.flush()
                os.fsync(stream.fileno())


def rows(cases: Iterable[Case]) -> list[dict[str, Any]]:
    """The table: a row for each `what`, with its cases, how many of them had faults, and its counts added up."""
    found: dict[str, Counter[str]] = {}
    for case in cases:
        row = found.setdefault(case.what, Counter())
        row.update({"cases": 1, "faulty": int(bool(case.faults))})
        row.update(case.counts)
    return [{"what": what, **dict(found[what])} for what in sorted(found)]


def table(cases: Iterable[Case]) -> str:
    """The same as text."""
    made = rows(cases)
    extra = sorted({name for row in made for name in row} - {"what", "cases", "faulty"})
    head = ["what", "cases", "faulty", *extra]
    lines = [head, *([str(row.get(name, "")) for name in head] for row in made)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
