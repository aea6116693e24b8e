"""A figure: what was measured, against what, in one run; and the table of all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

HERE = Path(__file__).parent
RECORDED = HERE / "results.jsonl"
TABLE = HERE / "RESULTS.md"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table.

    name, size: what was measured; a later run of the same takes its place. measured: numbers with their units.
    peer: what it is held against, measured in the same run. ratio: ours to theirs, `better` than it when "higher" or
    "lower". reach: what the design asks for; met: whether that was reached. load: the machine's load average as the
    run began: above 1, others were working on it too.
    """

    name: str
    size: str
    measured: dict[str, Any]
    peer: str
    peer_measured: dict[str, Any]
    ratio: float
    better: str
    reach: str
    met: bool
    note: str = ""
    date: str = ""
    command: str = ""
    machine: str = ""
    load: float = 0.0


def shown(numbers: dict[str, Any]) -> str:
    """Numbers in one line."""
    return ", ".join(
        f"{name} {value:,}" if isinstance(value, int | float) else f"{name} {value}" for name, value in numbers.items()
    )


def say(figure: Figure) -> None:
    """Print a figure."""
    print(f"{figure.name} [{figure.size}], load {figure.load:.1f}")
    print(f"  ours:  {shown(figure.measured)}")
    print(f"  peer:  {figure.peer}: {shown(figure.peer_measured)}")
    met = "met" if figure.met else "NOT met"
    print(f"  ratio: {figure.ratio:.3f} ({figure.better} is better); reach: {figure.reach}: {met}")
    if figure.note:
        print(f"  note:  {figure.note}")


def record(figure: Figure) -> None:
    """Keep a figure in place of an earlier one of the same name and size, and write the table anew."""
    kept = [one for one in recorded() if (one.name, one.size) != (figure.name, figure.size)]
    kept.append(figure)
    RECORDED.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in kept))
    TABLE.write_text(table(kept), encoding="utf-8")


def recorded() -> list[Figure]:
    """Every figure that was kept."""
    if not RECORDED.exists():
        return []
    return [msgspec.convert(json.loads(line), Figure) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


def table(figures: list[Figure]) -> str:
    """The table as Markdown."""
    order = {name: number for number, name in enumerate(dict.fromkeys(one.name for one in figures))}
    lines = [_HEAD]
    for one in sorted(figures, key=lambda one: order[one.name]):
        met = "yes" if one.met else "**no**"
        lines.append(
            f"| {one.name} | {one.size} | {shown(one.measured)} | {one.peer}: {shown(one.peer_measured)} | "
            f"{one.ratio:.2f} | {one.reach} | {met} | {one.note} | {one.date}, load {one.load:.1f} | "
            f"`{one.command}` |\n"
        )
    machines = sorted({one.machine for one in figures})
    return "".join(lines) + "\nMachine: " + "; ".join(machines) + ".\n"


_HEAD = """# Figures

Each is measured by one command against a peer, or a limit of the machine, in the same run. "Load" is the machine's
load average as the run began: above 1, others worked on it too and absolute numbers are low; ratios hold better.
`python -m bench NAME --record` writes a line anew; why things are as they are: `docs/decisions/0008-figures.md`.

| Figure | Size | Measured | Peer in the same run | Ratio | To reach | Met | Note | When | Command |
|---|---|---|---|---|---|---|---|---|---|
"""
