"""Inclusion proofs a second, warm, and the full verification, against bare SHA-256 of the same bytes."""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from bench.figure import Figure
from bench.place import Place
from bench.prefill import fill
from keten.core.db import reading_engine
from keten.ledger.notes import Verifier
from keten.ledger.proofs import prove_inclusion
from keten.ledger.publishing import Publishing
from keten.ledger.tiles import TileReader
from keten.ledger.verify import verify

if TYPE_CHECKING:
    from bench.__main__ import Asked


def figures(asked: Asked) -> Iterator[Figure]:
    """With 100,000 entries and with a million."""
    for size in [asked.size] if asked.size else [5_000, 20_000] if asked.quick else [100_000, 1_000_000]:
        with Place() as place:
            fill(place.settings, size)
            key = (place.keten.paths.ledger / "key.pub").read_text(encoding="utf-8").strip()
            reader = reading_engine(place.keten.paths.database)
            publishing = Publishing(place.keten.paths.ledger, Verifier.parse(key), reader)
            began = time.monotonic()
            publishing.catch_up()
            published = time.monotonic() - began
            reader.dispose()
            proofs, hashing = _proofs(place, size, 500 if asked.quick else 20_000)
            yield Figure(
                name="proofs",
                size=f"{size:,} entries",
                measured=proofs,
                peer="bare SHA-256 of as many tree nodes, in Python",
                peer_measured=hashing,
                ratio=round(proofs["per_second"] / hashing["per_second"], 3),
                better="higher",
                reach="≥ 20,000/s warm",
                met=proofs["per_second"] >= 20_000,
                note=f"pymerkle is not installed here; the tree was published in {published:.1f} s",
            )
            whole, limit = _verification(place, size)
            yield Figure(
                name="verification",
                size=f"{size:,} entries",
                measured=whole,
                peer="SHA-256 of the same payloads, salts and leaves, one core",
                peer_measured=limit,
                ratio=round(whole["seconds"] / limit["seconds"], 1),
                better="lower",
                reach="≤ 10 s for 1 M",
                met=whole["seconds"] <= 10 * max(1, size / 1_000_000) and not whole["faults"],
            )


def _proofs(place: Place, size: int, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    reader = TileReader(place.keten.paths.ledger, size)
    drawn = random.Random(2)
    indexes = [drawn.randrange(size) for _ in range(count)]
    for index in indexes:
        prove_inclusion(reader, index)
    began = time.perf_counter()
    length = sum(len(prove_inclusion(reader, index).path) for index in indexes)
    took = time.perf_counter() - began
    node = bytes(65)
    began = time.perf_counter()
    for _ in range(length):
        hashlib.sha256(node).digest()
    bare = time.perf_counter() - began
    ours = {"per_second": round(count / took), "hashes_a_proof": round(length / count, 1)}
    return ours, {"per_second": round(count / bare)}


def _verification(place: Place, size: int) -> tuple[dict[str, Any], dict[str, Any]]:
    paths = place.keten.paths
    began, used = time.perf_counter(), sum(os.times()[:4])
    report = verify(paths.database, paths.ledger)
    took, cpu = time.perf_counter() - began, sum(os.times()[:4]) - used
    with closing(sqlite3.connect(f"file:{paths.database}?mode=ro", uri=True)) as database:
        hashed, total = 0.0, 0
        for row in database.execute("SELECT payload, salt, leaf FROM entries ORDER BY idx"):
            data = [part for part in row if part is not None]
            began = time.perf_counter()
            for part in data:
                hashlib.sha256(part).digest()
            hashed += time.perf_counter() - began
            total += sum(map(len, data))
    whole = {
        "seconds": round(took, 2),
        "cpu_seconds": round(cpu, 2),
        "entries_per_second": round(size / took),
        "faults": len(report.faults),
    }
    return whole, {"seconds": round(hashed, 2), "mib": round(total / 2**20)}
