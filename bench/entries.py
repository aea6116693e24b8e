"""Durable, acknowledged entries a second through the keeper: 256 callers, each opens an object and reports its end."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import uvloop

from bench import machine
from bench.figure import Figure
from bench.keeperload import Callers, Load, connected, ssh_sign_in
from bench.place import Place
from bench.prefill import fill, publish
from keten.keeper import protocol as said

if TYPE_CHECKING:
    from bench.__main__ import Asked

CALLERS = 256
CLIENTS = 64
REACH = "≥ 20,000/s, p99 ≤ 20 ms; ≥ 0.6 × plain SQLite"


def figures(asked: Asked) -> Iterator[Figure]:
    """At several sizes of the ledger; the last ones against the first."""
    sizes = [asked.size] if asked.size else [2_000, 20_000] if asked.quick else [50_000, 500_000]
    if asked.full and not asked.size:
        sizes.append(10_000_000)
    base = 0.0
    for size in sizes:
        ours, peer = measure(size, 2.0 if asked.quick else 15.0)
        base = base or ours["per_second"]
        ratio = ours["per_second"] / peer["per_second"]
        ours["cost_against_the_smallest"] = round(base / ours["per_second"], 2)
        yield Figure(
            name="entries",
            size=f"{size:,} entries",
            measured=ours,
            peer="plain SQLite (WAL, FULL), same bytes and batches",
            peer_measured=peer,
            ratio=ratio,
            better="higher",
            reach=REACH,
            met=ours["per_second"] >= 20_000 and ours["p99_ms"] <= 20 and ratio >= 0.6,
        )


def measure(size: int, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fill the ledger to `size` entries, then measure: ours and the peer's."""

    def before(place: Place) -> None:
        fill(place.settings, size)
        publish(place.settings)  # or the keeper would do it first, which takes minutes at ten million

    with Place(CLIENTS, before=before) as place:
        first, ours = loaded(place, seconds)
        ours["fdatasync_ms"] = round(machine.fsync_ms(place.folder), 2)
        place.keten.down()
        peer = plain(place.keten.paths.database, first, place.folder / "plain.db")
    return ours, peer


def loaded(place: Place, seconds: float) -> tuple[int, dict[str, Any]]:
    """How many entries there were before the load, and what the load measured."""
    place.start()
    found = place.put(1024)
    place.watched()
    first = place.size()
    keeper = place.keten.pid("keeper")
    used = machine.cpu_seconds(keeper)
    ours = uvloop.run(load_keeper(place, found, seconds))
    ours["keeper_cpu_us_per_entry"] = round((machine.cpu_seconds(keeper) - used) / ours.pop("entries") * 1e6, 1)
    return first, ours


async def load_keeper(place: Place, found: str, seconds: float) -> dict[str, Any]:
    """256 callers for so many seconds; "entries": with those of the warm-up."""
    callers = await connected(place.keten.paths.gateway_socket)
    bodies = []
    for number in range(CLIENTS):
        signed = ssh_sign_in(place.client(number), place.keys[number])
        opened: said.SessionOpened = await callers.ask("identity.ssh_sign_in", signed, said.SessionOpened)
        caller = said.Caller("127.0.0.1", session=said.SessionProof(opened.session))
        bodies.append(msgspec.msgpack.encode(said.OpenObject(caller, found)))
    warm = Load()
    await warm.run(CALLERS, min(2.0, seconds / 4), _cycle(callers, bodies))
    load = Load()
    await load.run(CALLERS, seconds, _cycle(callers, bodies))
    return load.summary() | {"entries": len(load.milliseconds) + len(warm.milliseconds)}


def _cycle(callers: Callers, bodies: list[bytes]) -> Any:
    encode = msgspec.msgpack.Encoder().encode
    decode = msgspec.msgpack.Decoder(said.Opened).decode
    turn = 0

    async def one(load: Load) -> None:
        nonlocal turn
        turn += 1
        began = time.perf_counter()
        answer = await callers.call("exchange.open", bodies[turn % len(bodies)])
        load.note(began)
        if not answer.ok:
            raise AssertionError(msgspec.msgpack.decode(answer.body))
        opened = decode(answer.body)
        began = time.perf_counter()
        body = encode(said.Delivered(opened.opening, opened.length, "complete"))
        answer = await callers.call("exchange.delivered", body)
        load.note(began)
        if not answer.ok:
            raise AssertionError(msgspec.msgpack.decode(answer.body))

    return one


def plain(database: Path, first: int, elsewhere: Path) -> dict[str, Any]:
    """The same rows in the same batches into a table of their own: SQLite, WAL, synchronous=FULL, nothing else."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as source:
        rows = source.execute(
            "SELECT idx, id, time_us, kind, payload, salt, leaf FROM entries WHERE idx >= ? ORDER BY idx", (first,)
        ).fetchall()
    batches: list[int] = []
    last = None
    for row in rows:  # the entries of one commit have one time
        if row[2] != last:
            batches.append(0)
            last = row[2]
        batches[-1] += 1
    target = sqlite3.connect(elsewhere, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536", "wal_autocheckpoint=4000"):
        target.execute(f"PRAGMA {pragma}")
    target.execute(
        "CREATE TABLE entries "
        "(idx INTEGER PRIMARY KEY, id TEXT, time_us INTEGER, kind TEXT, payload BLOB, salt BLOB, leaf BLOB)"
    )
    each = iter(rows)
    began = time.perf_counter()
    for count in batches:
        target.execute("BEGIN IMMEDIATE")
        target.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", islice(each, count))
        target.execute("COMMIT")
    took = time.perf_counter() - began
    target.close()
    size = sum(len(row[4] or b"") + len(row[5] or b"") + len(row[6]) for row in rows)
    return {
        "per_second": round(len(rows) / took),
        "entries_a_commit": round(len(rows) / len(batches), 1),
        "bytes_an_entry": size // len(rows),
    }


async def profile_target() -> None:  # pragma: no cover  # for a profiler's eyes: `python -m bench.entries`
    """Run the load for half a minute and print the keeper's process id first."""
    with Place(CLIENTS) as place:
        place.start()
        found = place.put(1024)
        print("keeper", place.keten.pid("keeper"), "bench", os.getpid(), flush=True)
        print(await load_keeper(place, found, float(os.environ.get("SECONDS_", "20"))))


if __name__ == "__main__":
    asyncio.run(profile_target())
