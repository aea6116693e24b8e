"""Inclusion proofs a second, warm and cold, and the full verification, against bare SHA-256 of the same bytes."""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figure import Figure
from bench.place import Place
from bench.prefill import fill, publish
from keten.ledger.prooffile import ProofFile
from keten.ledger.proofs import prove_inclusion
from keten.ledger.tiles import TileReader
from keten.ledger.verify import verify

if TYPE_CHECKING:
    from bench.__main__ import Asked

WARM = 4000  # proofs that are asked for again and again: their tiles fit into the reader's memory
VERIFIER = Path(__file__).resolve().parent.parent / "keten-verify.py"


def figures(asked: Asked) -> Iterator[Figure]:
    """With 100,000 entries and with a million; ten million with `--full`."""
    sizes = [asked.size] if asked.size else [5_000, 20_000] if asked.quick else [100_000, 1_000_000]
    if asked.full and not asked.size:
        sizes.append(10_000_000)
    for size in sizes:
        with Place() as place:
            fill(place.settings, size)
            published = publish(place.settings)
            proofs, hashing = _proofs(place, size, 500 if asked.quick else 20_000)
            yield Figure(
                name="proofs",
                size=f"{size:,} entries",
                measured=proofs,
                peer="bare SHA-256 of as many tree nodes, in Python",
                peer_measured=hashing,
                ratio=round(proofs["per_second"] / hashing["per_second"], 3),
                better="higher",
                reach="≥ 20,000/s warm, ≥ 2,500/s cold, ≤ 800 bytes",
                met=proofs["per_second"] >= 20_000
                and proofs["cold_per_second"] >= 2_500
                and proofs["bytes_a_proof"] <= 800,
                note=f"pymerkle is not installed here; the tree was published in {published:.1f} s",
            )
            whole, limit = _verification(place, size)
            allowed = 10 if size <= 1_000_000 else 90 * size / 10_000_000
            yield Figure(
                name="verification",
                size=f"{size:,} entries",
                measured=whole,
                peer="SHA-256 of the same payloads, salts and leaves, one core",
                peer_measured=limit,
                ratio=round(whole["seconds"] / limit["seconds"], 1),
                better="lower",
                reach="≤ 10 s for 1 M, ≤ 90 s for 10 M; keten-verify.py ≤ 10 × that",
                met=whole["seconds"] <= allowed
                and whole["keten_verify_seconds"] <= 10 * allowed
                and not whole["faults"],
            )


def _proofs(place: Place, size: int, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Warm: each proof once more. Cold: the first time, by a reader that has read no tile yet."""
    reader = TileReader(place.keten.paths.ledger, size)
    drawn = random.Random(2)
    indexes = [drawn.randrange(size) for _ in range(count)]
    began = time.perf_counter()
    for index in indexes[: count // 10]:
        prove_inclusion(reader, index)
    cold = time.perf_counter() - began
    for index in indexes[-WARM:]:
        prove_inclusion(reader, index)
    indexes = (indexes[-WARM:] * (count // WARM + 1))[:count]
    began = time.perf_counter()
    length = sum(len(prove_inclusion(reader, index).path) for index in indexes)
    took = time.perf_counter() - began
    node = bytes(65)
    began = time.perf_counter()
    for _ in range(length):
        hashlib.sha256(node).digest()
    bare = time.perf_counter() - began
    note = (place.keten.paths.ledger / "checkpoint").read_text(encoding="utf-8")
    ours = {
        "per_second": round(count / took),
        "cold_per_second": round(count // 10 / cold),
        "hashes_a_proof": round(length / count, 1),
        "bytes_a_proof": round(32 * length / count),
        "file_bytes": len(ProofFile(indexes[0], prove_inclusion(reader, indexes[0]).path, note).encode()),
    }
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
    began = time.perf_counter()
    copy = place.folder / "copy"
    place.keten.command("ledger", "export", str(copy))
    exported = time.perf_counter() - began
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", str(VERIFIER), str(copy)], stdout=subprocess.DEVNULL, check=True)
    by_auditor = time.perf_counter() - began
    whole = {
        "keten_verify_seconds": round(by_auditor, 2),
        "export_seconds": round(exported, 2),
        "seconds": round(took, 2),
        "cpu_seconds": round(cpu, 2),
        "entries_per_second": round(size / took),
        "faults": len(report.faults),
    }
    return whole, {"seconds": round(hashed, 2), "mib": round(total / 2**20)}
