"""From the end of a client's access to the reset of its connection, and the bytes that still came.

Ended by a revocation, one client after the other; and by the clock, all at the second at which their contract ends.
"""

from __future__ import annotations

import multiprocessing
import select
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import msgspec

from bench.figure import Figure
from bench.place import Place
from keten.drills.reader import Reader
from keten.keeper import protocol as said

if TYPE_CHECKING:
    from bench.__main__ import Asked

TOGETHER = 8
SPEED = 2 * 2**20
AT_ONCE_SPEED = 2**18  # of each, where all read at once: reading is not to be what the machine is busy with
CONTENT = 64 * 2**20
REACH = "p99 ≤ 10 ms; a reader at 2 MiB/s receives ≤ 256 KiB afterwards, a stalled one nothing"


def figures(asked: Asked) -> Iterator[Figure]:
    """With 40 transfers and with 200, by revocation and by the clock."""
    for count in [asked.size] if asked.size else [8] if asked.quick else [40, 200]:
        yield from _by_revocation(count)
        yield from _by_the_clock(count)


def _by_the_clock(count: int) -> Iterator[Figure]:
    ours = measure_clock(count)
    yield Figure(
        name="cut",
        size=f"{count} transfers at once, at the second their contract ends",
        measured=ours,
        peer="the bytes that a reader at 256 KiB/s takes in 10 ms",
        peer_measured={"kib": round(AT_ONCE_SPEED / 1024 / 100, 2)},
        ratio=round(ours["after_p99_kib"] / (AT_ONCE_SPEED / 1024 / 100), 2),
        better="lower",
        reach="p99 ≤ 10 ms",
        met=ours["reset_p99_ms"] <= 10 and ours["early"] == 0,
        note="reset: at the client's socket, after the contract's last moment; early: how many came before it",
    )


def _by_revocation(count: int) -> Iterator[Figure]:
    ours = measure(count)
    worst = ours["after_p99_kib"]
    yield Figure(
        name="cut",
        size=f"{count} transfers, {TOGETHER} at a time, every fourth stalled",
        measured=ours,
        peer="the bytes that a reader at 2 MiB/s takes in 10 ms",
        peer_measured={"kib": round(SPEED / 1024 / 100, 1)},
        ratio=round(worst / (SPEED / 1024 / 100), 2),
        better="lower",
        reach=REACH,
        met=ours["reset_p99_ms"] <= 10 and worst <= 256 and ours["stalled_after_max_kib"] <= 128,
        note="reset: at the client's socket; seen: by its reader, at its speed; recorded: by the ledger; "
        "after a stall: what its own 128 KiB held",
    )


def measure(count: int) -> dict[str, Any]:
    """Revoke client after client while each downloads."""
    resets: list[float] = []
    seen: list[float] = []
    after: list[int] = []
    stalled_after: list[int] = []
    with Place(count) as place:
        place.start()
        path = f"/v1/objects/{place.put(CONTENT)}"
        with place.keten.keeper() as keeper:
            for first in range(0, count, TOGETHER):
                numbers = range(first, min(first + TOGETHER, count))
                readers = {}
                for number in numbers:
                    stalls = number % 4 == 3
                    speed, stall = (0, 256 * 1024) if stalls else (SPEED, 0)
                    readers[number] = Reader(place.system(number), path, bytes_per_second=speed, stall_after=stall)
                    readers[number].start()
                for reader in readers.values():
                    if not reader.began.wait(30):
                        raise RuntimeError(f"a download did not begin: {reader.failure} {reader.refused_status}")
                time.sleep(0.4)
                for number, reader in readers.items():
                    revoke = said.Revoke("client", f"client-{number}", "measured")
                    revoked = keeper.call("revocation.revoke", revoke, said.Revoked)
                    ended = _time(place, revoked.entry)
                    if number % 4 == 3:
                        before = reader.received
                        reader.resume.set()
                        reader.join(30)
                        stalled_after.append(reader.received - before)
                        continue
                    reader.join(30)
                    if not reader.reset_at or not reader.cut_at:
                        raise RuntimeError("a download was not cut")
                    resets.append((reader.cut_at - ended) * 1000)
                    seen.append((reader.reset_at - ended) * 1000)
                    after.append(reader.received_after(ended))
        time.sleep(0.5)
        recorded = _recorded(place)
    return {
        "reset_p50_ms": _at(resets, 0.5),
        "reset_p99_ms": _at(resets, 0.99),
        "seen_p50_ms": _at(seen, 0.5),
        "recorded_p50_ms": _at(recorded, 0.5),
        "recorded_p99_ms": _at(recorded, 0.99),
        "after_p50_kib": round(_at([float(one) for one in after], 0.5) / 1024, 1),
        "after_p99_kib": round(_at([float(one) for one in after], 0.99) / 1024, 1),
        "stalled_after_max_kib": round(max(stalled_after, default=0) / 1024, 1),
        "cut": len(recorded),
    }


def measure_clock(count: int) -> dict[str, Any]:
    """All under one contract, which ends while all of them download."""
    with Place(count) as place:
        ends = int(time.time()) + 15 + count // 5
        place.start(ends=f'"{datetime.fromtimestamp(ends, UTC).isoformat()}"')
        path = f"/v1/objects/{place.put(CONTENT)}"
        readers = [Reader(place.system(number), path, bytes_per_second=AT_ONCE_SPEED) for number in range(count)]
        for reader in readers:
            reader.start()
        for reader in readers:
            if not reader.began.wait(30):
                raise RuntimeError(f"a download did not begin: {reader.failure} {reader.refused_status}")
        if time.time() > ends:
            raise RuntimeError("the contract ended before every download had begun")
        moments = _watched([reader.descriptor for reader in readers])
        for reader in readers:
            reader.join(60)
        time.sleep(0.5)
        cut = len(_ended(place))
    resets = [(moment - ends) * 1000 for moment in moments]
    after = [reader.received_after(ends) / 1024 for reader in readers]
    return {
        "reset_p50_ms": _at(resets, 0.5),
        "reset_p99_ms": _at(resets, 0.99),
        "reset_max_ms": round(max(resets), 2),
        "early": sum(one < 0 for one in resets),
        "after_p50_kib": round(_at(after, 0.5), 1),
        "after_p99_kib": round(_at(after, 0.99), 1),
        "recorded": cut,
    }


def _watched(descriptors: list[int]) -> list[float]:
    """When each connection was reset: noted by a process of its own, which waits for none of the readers' threads."""
    told, tell = multiprocessing.Pipe(duplex=False)
    watching = multiprocessing.get_context("fork").Process(target=_watch, args=(descriptors, tell))
    watching.start()
    tell.close()
    moments: list[float] = told.recv()
    watching.join()
    return moments


def _watch(descriptors: list[int], tell: Connection) -> None:
    resets: dict[int, float] = {}
    waiting = select.epoll()
    for descriptor in descriptors:
        waiting.register(descriptor, 0)  # EPOLLERR and EPOLLHUP are always reported
    while len(resets) < len(descriptors):
        for descriptor, _events in waiting.poll():
            resets[descriptor] = time.time()
            waiting.unregister(descriptor)
    tell.send([resets[descriptor] for descriptor in descriptors])


def _ended(place: Place) -> list[int]:
    """The deliveries of which the ledger says that their time was over."""
    with closing(sqlite3.connect(f"file:{place.keten.paths.database}?mode=ro", uri=True)) as database:
        chosen = "SELECT idx, payload FROM entries WHERE kind = ?"
        found = database.execute(chosen, ("exchange.object.delivered",))
        return [index for index, payload in found if msgspec.json.decode(payload)["details"]["end"] == "ended"]


def _time(place: Place, entry: str) -> float:
    """When an entry was made, in seconds."""
    with closing(sqlite3.connect(f"file:{place.keten.paths.database}?mode=ro", uri=True)) as database:
        chosen = "SELECT time_us FROM entries WHERE id = ? AND idx > (SELECT size - 200 FROM head)"
        return float(database.execute(chosen, (entry,)).fetchone()[0]) / 1e6


def _recorded(place: Place) -> list[float]:
    """By the ledger: from the entry that a client ended to the entry that its transfer was cut, in milliseconds."""
    with closing(sqlite3.connect(f"file:{place.keten.paths.database}?mode=ro", uri=True)) as database:
        ended: dict[str, int] = {}
        found: list[float] = []
        chosen = "SELECT time_us, kind, payload FROM entries WHERE kind IN (?, ?) ORDER BY idx"
        for time_us, kind, payload in database.execute(chosen, ("identity.client.ended", "exchange.object.delivered")):
            what = msgspec.json.decode(payload)
            if kind == "identity.client.ended":
                ended[what["refs"]["client"]] = time_us
            elif what["details"]["end"] == "cut":
                found.append((time_us - ended[what["actor"]]) / 1000)
    return found


def _at(numbers: list[float], part: float) -> float:
    return round(sorted(numbers)[int(len(numbers) * part)], 2) if numbers else 0.0
