"""Events to a real rsyslog over TLS: from an access to the line in the receiver's file, and how many a second."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figure import Figure
from bench.place import Place
from bench.prefill import fill
from keten.core.clock import from_rfc3339, wall_us
from tests.receivers import Rsyslog, Trust

if TYPE_CHECKING:
    from bench.__main__ import Asked

PATIENCE_SECONDS = 600.0


def figures(asked: Asked) -> Iterator[Figure]:
    """A backlog of so many entries first, and then accesses one by one."""
    size = asked.size or (3_000 if asked.quick else 50_000)
    accesses = 50 if asked.quick else 1000
    if shutil.which("rsyslogd") is None:
        raise RuntimeError("rsyslog is not installed")
    with tempfile.TemporaryDirectory(prefix="keten-bench-") as made:
        folder = Path(made)
        trust = Trust(folder / "trust")
        with Rsyslog(folder / "rsyslog", trust) as rsyslog:
            table = (
                f'[[export.destinations]]\nname = "soc"\nkind = "syslog"\nurl = "{rsyslog.url}"\nca = "{trust.ca}"\n'
            )
            with Place(1, before=lambda place: fill(place.settings, size), settings=table) as place:
                place.start()
                backlog = _backlog(place, rsyslog, size)
                latency = _latency(place, rsyslog, accesses)
            bare = _bare(Rsyslog(folder / "bare", trust), trust, rsyslog.out, size)
    yield Figure(
        name="export",
        size=f"{size:,} entries waiting, then {accesses} accesses",
        measured={**backlog, **latency},
        peer="the same messages, ready-made, over a bare TLS socket to another rsyslog",
        peer_measured=bare,
        ratio=round(backlog["per_second"] / bare["per_second"], 3),
        better="higher",
        reach="event → at rsyslog over TLS: p99 ≤ 5 s",
        met=latency["p99_ms"] <= 5000 and latency["missing"] == 0,
        note="events a second: read through the keeper, told, and sent again by a replay",
    )


def _backlog(place: Place, rsyslog: Rsyslog, size: int) -> dict[str, Any]:
    """Once everything has arrived, all of it once more: from the first line to the last."""
    _arrived(rsyslog.out, 0, size)
    offset = rsyslog.out.stat().st_size
    place.keten.run("export", "replay", "soc", "--from", "0")
    began, ended = _arrived(rsyslog.out, offset, size)
    return {"per_second": round(size / (ended - began))}


def _arrived(out: Path, offset: int, size: int) -> tuple[float, float]:
    """The moments at which a file has its first, and so many, lines after an offset."""
    until = time.monotonic() + PATIENCE_SECONDS
    count, began = 0, 0.0
    while not out.exists():
        time.sleep(0.01)
    with out.open("rb") as lines:
        lines.seek(offset)
        while count < size:
            count += lines.read(1 << 24).count(b"\n")
            began = began or (time.monotonic() if count else 0.0)
            if time.monotonic() > until:
                raise RuntimeError(f"{count} of {size} events arrived")
            time.sleep(0.01)
    return began, time.monotonic()


def _bare(rsyslog: Rsyslog, trust: Trust, lines: Path, size: int) -> dict[str, Any]:
    """A sender that does nothing but send."""
    frames = bytearray()
    with lines.open("rb") as file:
        for line in islice(file, size):
            text = b"<110>1 2026-01-01T00:00:00Z host keten - - - " + line.rstrip()
            frames += b"%d %s" % (len(text), text)
    with rsyslog:
        context = ssl.create_default_context(cafile=str(trust.ca))
        with (
            socket.create_connection(("localhost", rsyslog.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            began = time.monotonic()
            connection.sendall(frames)
            _began, ended = _arrived(rsyslog.out, 0, size)
            return {"per_second": round(size / (ended - began))}


def _latency(place: Place, rsyslog: Rsyslog, accesses: int) -> dict[str, Any]:
    """From the entry's own time to the moment at which its line is there, by the same clock."""
    system = place.system(0)
    took: list[float] = []
    seen: set[str] = set()
    with rsyslog.out.open("rb") as lines:
        lines.seek(0, 2)
        rest = b""

        def look() -> None:
            nonlocal rest
            now_us = wall_us()
            *whole, rest = (rest + lines.read()).split(b"\n")
            for line in whole:
                metadata = json.loads(line)["metadata"]
                if metadata["event_code"] == "exchange.shares.listed" and metadata["uid"] not in seen:
                    seen.add(metadata["uid"])
                    took.append((now_us - from_rfc3339(metadata["original_time"])) / 1000)

        for _time in range(accesses):
            system.get("/v1/shares")
            until = time.monotonic() + 0.02
            while time.monotonic() < until:
                look()
                time.sleep(0.001)
        until = time.monotonic() + 10
        while len(took) < accesses and time.monotonic() < until:
            look()
            time.sleep(0.001)
    ordered = sorted(took)
    return {
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)], 1),
        "worst_ms": round(ordered[-1], 1),
        "missing": accesses - len(took),
    }
