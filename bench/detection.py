"""Detection on one core: events a second of few principals and of very many, whose states are mostly in the file."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from bench import machine
from bench.figure import Figure
from keten.watch.detectors import default
from keten.watch.detectors.detector import HOUR_US, MINUTE_US, SECOND_US
from keten.watch.engine import Engine
from keten.watch.model import Event
from keten.watch.states import NAME

if TYPE_CHECKING:
    from bench.__main__ import Asked

FEW, MANY = 10_000, 1_000_000
EVENTS = 240_000
TEAM, SUPPLIERS = 30, 2_000
"""Principals of a supplier, and how many suppliers there are at most."""
AT_ONCE = 300
"""Sessions under way at once; each is of a sign-in, a listing and ten lookups."""
REACH = "≥ 10,000/s, and at a million principals ≤ 1.2 × the cost of an event"
_LOOKUPS = 10
_BEGIN_US = 1_780_300_000 * SECOND_US
_ATTEMPTS = 3


def figures(asked: Asked) -> Iterator[Figure]:
    """With 10,000 principals and with 100,000, or with a million (`full`), each in a process of its own."""
    many = asked.size or (2_000 if asked.quick else MANY if asked.full else 100_000)
    few = 1_000 if asked.quick else FEW
    peer, ours = (_run(size, 6_000 if asked.quick else EVENTS) for size in (few, many))
    ratio = round(ours["us_an_event"] / peer["us_an_event"], 2)
    yield Figure(
        name="detection",
        size=f"{many:,} principals, {len(default())} detectors, sessions of {_LOOKUPS + 2} events",
        measured=ours,
        peer=f"the same of {few:,} principals, all in memory",
        peer_measured=peer,
        ratio=ratio,
        better="lower",
        reach=REACH,
        met=min(ours["events_per_s"], peer["events_per_s"]) >= 10_000 and ratio <= 1.2,
        note="us: processor time of the one process; its file is on the local disk; saved once at the end, apart",
    )


def _run(principals: int, events: int) -> dict[str, Any]:
    line = [sys.executable, "-m", "bench.detection", str(principals), str(events)]
    found: dict[str, Any] = json.loads(subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return found


def _event(index: int, who: int, time_us: int, step: int) -> Event:
    supplier = who // TEAM % SUPPLIERS
    said: dict[str, Any] = {"what": "sign-in", "key": f"SHA256:{who:040d}"}
    if step == 1:
        said = {"what": "list", "country": "NL"}
    elif step > 1:
        said = {
            "what": "lookup",
            "dataset": f"{supplier % 50:026d}",
            "purpose": "benefits",
            "records": int(step != 5),
            "asked": 1,
            "missed": int(step == 5 and index % 5 == 0),
            "country": "NL",
            "dataset_records": 1_000_000,
            "contract_ends_us": _BEGIN_US + 10_000 * HOUR_US,
        }
    return Event(
        index=index,
        id=f"{index:026d}",
        time_us=time_us,
        allowed=True,
        principal=f"{who:026d}",
        supplier=f"{supplier:026d}",
        network=f"{supplier:016d}",
        **said,
    )


def sessions(principals: int, events: int, first: int, rng: Random) -> list[Event]:
    """Sessions of principals drawn at random, some hundreds at once, each event a second after the one before."""
    under_way = [[rng.randrange(principals), rng.randrange(_LOOKUPS + 2)] for _ in range(AT_ONCE)]
    found: list[Event] = []
    for number in range(events):
        one = under_way[rng.randrange(AT_ONCE)]
        found.append(_event(first + number, one[0], _BEGIN_US + (first + number) * SECOND_US, one[1]))
        one[1] += 1
        if one[1] == _LOOKUPS + 2:
            one[:] = [rng.randrange(principals), 0]
    return found


def measure(principals: int, events: int) -> dict[str, Any]:
    """Show each principal once, then measure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = Engine(default(), folder)
        for who in range(principals):
            engine.step(_event(2 * who, who, _BEGIN_US - 40 * 24 * HOUR_US + who * MINUTE_US // 100, 0))
            engine.step(_event(2 * who + 1, who, _BEGIN_US - 40 * 24 * HOUR_US + who * MINUTE_US // 100 + 1, 2))
        engine.save(2 * principals)
        stream = sessions(principals, events, 2 * principals, Random(1))
        gc.collect()
        gc.freeze()
        best, wall = 1e9, 1e9
        part = events // _ATTEMPTS
        for attempt in range(_ATTEMPTS):
            some = stream[attempt * part : (attempt + 1) * part]
            used, began = time.process_time(), time.perf_counter()
            for one in some:
                engine.step(one)
            best = min(best, (time.process_time() - used) / part)
            wall = min(wall, (time.perf_counter() - began) / part)
        began = time.perf_counter()
        engine.save(2 * principals + events)
        saved = time.perf_counter() - began
        engine.close()
        began = time.perf_counter()
        Engine(default(), folder).close()
        opened = time.perf_counter() - began
        size = (folder / NAME).stat().st_size
    return {
        "events_per_s": round(1 / wall),
        "us_an_event": round(best * 1e6, 1),
        "file_bytes_a_principal": round(size / principals),
        "memory_mib": round(machine.resident_mib(_own())),
        "save_s": round(saved, 2),
        "start_s": round(opened, 2),
    }


def _own() -> int:
    return int(Path("/proc/self").resolve().name)


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
