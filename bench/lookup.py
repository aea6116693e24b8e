"""One lookup over HTTPS, whole: a DPoP proof of its own, decision, budgets, entry, and a record that nobody had yet."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import machine
from bench.access import CONNECTIONS, PROOFS_LUA, SAFE_SECONDS, wrk
from bench.figure import Figure
from keten.drills.register import Register, key_of

if TYPE_CHECKING:
    from bench.__main__ import Asked

CLIENTS = 16
PROOFS_A_SECOND = 4000
REACH = "p99 ≤ 15 ms, ≥ 1,000/s at 37 M rows"
_ENOUGH = 10**9
_SETTINGS = "[limits]\nparallel_per_client = 10000\nconnections = 10000\n"
_FEW = 8  # connections at which the time of one lookup shows, and not that of a queue


def figures(asked: Asked) -> Iterator[Figure]:
    """At two sizes of the register, and at 37 million with `full`."""
    seconds = 1 if asked.quick else 5
    sizes = [asked.size] if asked.size else [1000, 10_000] if asked.quick else [100_000, 1_000_000]
    if asked.full and not asked.size:
        sizes.append(37_000_000)
    for people in sizes:
        ours, peer = measure(people, seconds)
        yield Figure(
            name="lookup",
            size=f"{people:,} people",
            measured=ours,
            peer="the same keys by SELECT in a plain SQLite table, in one process, unrecorded",
            peer_measured=peer,
            ratio=round(ours["per_second"] / peer["per_second"], 4),
            better="higher",
            reach=REACH,
            met=ours["few_p99_ms"] <= 15 and ours["per_second"] >= 1000 and not ours["failed"],
            note=f"few: with {_FEW} connections; else {CONNECTIONS}. Sealing: of `keten put`, the whole command",
        )


def measure(people: int, seconds: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ours, then the peer's."""
    register = Register(
        people, CLIENTS, lambda _what: None, limits=(_ENOUGH, _ENOUGH, _ENOUGH), settings=_SETTINGS
    )
    with register.keten:
        register.start()
        chance = random.Random(people)
        ours: dict[str, Any] = {}
        few = _load(register, chance, 2 if seconds > 1 else 1, _FEW)
        ours = _load(register, chance, seconds, CONNECTIONS)
        ours["few_p50_ms"], ours["few_p99_ms"], ours["few_per_second"] = (
            few["p50_ms"],
            few["p99_ms"],
            few["per_second"],
        )
        ours["failed"] += few["failed"]
        ours["sealed_rows_a_second"] = round(people / register.sealing_seconds)
        peer = plain(people, register.keten.folder / "plain.db")
    return ours, peer


def _load(register: Register, chance: random.Random, seconds: int, connections: int) -> dict[str, Any]:
    folder = register.keten.folder
    script = folder / "proofs.lua"
    script.write_text(PROOFS_LUA, encoding="utf-8")
    systems = [register.system(number) for number in range(CLIENTS)]
    for system in systems:
        answer = register.look_up(system, key_of(0))
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(f"{answer.status} {answer.body!r}")
    began = time.monotonic()
    proofs = folder / "proofs"
    with proofs.open("w", encoding="ascii") as file:
        for number in range(PROOFS_A_SECOND * seconds):
            system = systems[number % CLIENTS]
            path = register.path_of(key_of(chance.randrange(register.people)))
            proof = system.proof("GET", system.url + path.partition("?")[0], system.token)
            file.write(f"{system.token} {proof} {path}\n")
    if time.monotonic() - began > SAFE_SECONDS:
        raise RuntimeError("making the proofs took so long that the first ones have expired")
    pids = [register.keten.pid(name) for name in ("gateway", "keeper")]
    before = sum(map(machine.cpu_seconds, pids))
    found = wrk(register.keten.ready["gateway"] + register.path_of(key_of(0)), seconds, script, proofs, at=connections)
    used = sum(map(machine.cpu_seconds, pids)) - before
    found["cpu_s_per_1000"] = round(used / max(1, int(found.pop("requests"))) * 1000, 3)
    return found


def plain(people: int, path: Path) -> dict[str, Any]:
    """The same rows by their keys, in a table with a primary key."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE people (nir TEXT PRIMARY KEY, name TEXT, phone TEXT) WITHOUT ROWID")
        rows = ((key_of(n), f"Persoon {n}", f"06{n:08d}") for n in range(people))
        database.executemany("INSERT INTO people VALUES (?, ?, ?)", rows)
        chance = random.Random(1)
        keys = [key_of(chance.randrange(people)) for _ in range(20_000)]
        began = time.perf_counter()
        for key in keys:
            database.execute("SELECT name, phone FROM people WHERE nir = ?", (key,)).fetchone()
        took = time.perf_counter() - began
    return {"per_second": round(len(keys) / took)}
