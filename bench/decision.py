"""One decision, cold (nothing cached) and warm, with many grants, in a process with what the keeper has."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import machine
from bench.figure import Figure
from bench.place import Place
from keten.core.clock import SECOND, wall_us
from keten.core.db import reading_engine, writing_engine
from keten.core.ids import new_id
from keten.core.settings import Settings
from keten.datasets.model import Dataset
from keten.identity.model import Client
from keten.keeper.main import collect_seldom
from keten.keeper.rootkey import load_root_key
from keten.keeper.trusted import ledger_sealer, ledger_signer, read_origin
from keten.ledger.notes import Verifier
from keten.ledger.writing import Writing, load_head
from keten.policy.engine import Engine
from keten.policy.model import Allow
from keten.policy.service import Decisions
from keten.suppliers import rows
from keten.suppliers.model import Contract, Grant, Supplier
from keten.suppliers.register import Register

if TYPE_CHECKING:
    from bench.__main__ import Asked

SUPPLIERS = 5_000
CLIENTS_EACH = 20
DATASETS = 1_000
REACH = "cold p99 ≤ 1.5 ms"
_AT_ONCE = 20_000
_YEAR_US = 365 * 24 * 3600 * SECOND
_ROW = "SELECT r.body, r.entry, e.payload, e.salt, e.leaf FROM {} r JOIN entries e ON e.idx = r.entry WHERE "
_READS = tuple(_ROW.format(table) + "r.id = ?" for table in ("clients", "suppliers", "datasets", "contracts"))
_GRANTS = _ROW.format("grants") + "r.dataset = ? AND r.supplier = ?"


def figures(asked: Asked) -> Iterator[Figure]:
    """With 10,000 grants and with 100,000; `full`: with a million."""
    sizes = [asked.size] if asked.size else [1_000, 2_000] if asked.quick else [10_000, 100_000]
    if asked.full and not asked.size:
        sizes.append(1_000_000)
    suppliers = 100 if asked.quick else SUPPLIERS
    for size in sizes:
        with Place() as place:
            began = time.monotonic()
            declare(place.settings, suppliers, size)
            filled = time.monotonic() - began
            words = (str(place.keten.paths.database), "200" if asked.quick else "3000")
            line = [sys.executable, "-m", "bench.decision", *words]
            done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        ours, peer = found["ours"], found["peer"]
        yield Figure(
            name="decision",
            size=f"{size:,} grants, {suppliers:,} suppliers, {suppliers * CLIENTS_EACH:,} clients",
            measured=ours,
            peer="the same rows and entries read by plain sqlite3, unchecked",
            peer_measured=peer,
            ratio=round(ours["cold_p50_ms"] / peer["p50_ms"], 2),
            better="lower",
            reach=REACH,
            met=ours["cold_p99_ms"] <= 1.5,
            note=f"declared in {filled:.0f} s; cpu: processor time, which others on the machine can't take away; "
            "memory: of a process with full caches, above one without",
        )


def declare(settings: Settings, suppliers: int, grants: int) -> None:
    """Declare everything through the register's own rows, in big transactions."""
    root = load_root_key(settings, None)
    origin = read_origin(settings.paths.ledger / "key.pub")
    sealer = ledger_sealer(root, origin)
    verifier = Verifier.parse(ledger_signer(root, origin).verifier_key())
    engine = writing_engine(settings.paths.database)
    each = _declarations(suppliers, grants)
    more = True
    while more:
        with engine.begin() as connection:
            head = load_head(connection, verifier)
            if head is None:
                raise RuntimeError("not an instance")
            writing = Writing(connection, sealer, head, wall_us())
            more = False
            for write in each:
                write(writing)
                if writing.mark()[0] >= _AT_ONCE:
                    more = True
                    break
            writing.seal(low_water=writing.next_index)
    engine.dispose()


def _declarations(suppliers: int, grants: int) -> Iterator[Callable[[Writing], int]]:
    now = wall_us()
    datasets = [
        Dataset(id=new_id(), name=f"dataset-{n}", owner=new_id(), classification="internal", retention_days=90)
        for n in range(DATASETS)
    ]
    for dataset in datasets:
        yield _of("dataset", dataset)
    for n in range(suppliers):
        supplier = Supplier(id=new_id(), name=f"supplier-{n}", title="Supplier", country="NL", tier="low")
        contract = Contract(
            id=new_id(),
            name=f"contract-{n}",
            supplier=supplier.id,
            starts_us=now - _YEAR_US,
            ends_us=now + _YEAR_US,
            starts="",
            ends="",
            purposes=("purpose",),
        )
        yield _of("supplier", supplier)
        yield _of("contract", contract)
        for m in range(CLIENTS_EACH):
            key = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{n:06}{m:02}"
            yield _of("client", Client(id=new_id(), name=f"client-{n}-{m}", supplier=supplier.id, keys=(key,)))
        for g in range(n * grants // suppliers, (n + 1) * grants // suppliers):
            yield _of(
                "grant",
                Grant(
                    id=new_id(),
                    name=f"grant-{g}",
                    dataset=datasets[g % DATASETS].id,
                    contract=contract.id,
                    supplier=supplier.id,
                    purpose="purpose",
                    form="file",
                    label=f"folder-{g}",
                ),
            )


def _of(word: str, row: Any) -> Callable[[Writing], int]:
    return lambda writing: rows.BY_WORD[word].declare(writing, row, "operator:bench")


def decide(database: Path, count: int) -> dict[str, Any]:
    """In this process: `count` decisions cold, as many warm, and the plain reads of the same rows."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as plain:
        plain.execute("PRAGMA mmap_size=1073741824")
        total = plain.execute("SELECT max(rowid) FROM grants").fetchone()[0]
        drawn = random.Random(1)
        asked = []
        for _ in range(count):
            place = drawn.randint(1, total)
            dataset, supplier, contract = plain.execute(
                "SELECT dataset, supplier, contract FROM grants WHERE rowid = ?", (place,)
            ).fetchone()
            some = plain.execute("SELECT id FROM clients WHERE supplier = ?", (supplier,)).fetchall()
            asked.append((drawn.choice(some)[0], dataset, supplier, contract))
        register, engine = Register(reading_engine(database)), Engine()
        decisions = Decisions(register, engine)
        at = wall_us()
        decisions.access(new_id(), new_id(), "open", "NL", at)  # a stranger: everything is loaded and prepared now
        collect_seldom()
        empty = machine.resident_mib(_own())
        cold, cpu, reads = [], [], []
        warm: list[float] = []
        for client, dataset, supplier, contract in asked:
            register.invalidate()
            used, began = time.thread_time(), time.perf_counter()
            outcome = decisions.access(client, dataset, "open", "NL", at)
            cold.append(time.perf_counter() - began)
            cpu.append(time.thread_time() - used)
            if not isinstance(outcome.decision, Allow):
                raise TypeError(f"denied: {outcome.decision}")
            began = time.perf_counter()
            for statement, row_id in zip(_READS, (client, supplier, dataset, contract), strict=True):
                plain.execute(statement, (row_id,)).fetchone()
            plain.execute(_GRANTS, (dataset, supplier)).fetchall()
            reads.append(time.perf_counter() - began)
        for _ in range(2):
            warm = []
            for client, dataset, _, _ in asked:
                began = time.perf_counter()
                decisions.access(client, dataset, "open", "NL", at)
                warm.append(time.perf_counter() - began)
        for (client,) in plain.execute("SELECT id FROM clients LIMIT 40000").fetchall():
            decisions.access(client, asked[0][1], "open", "NL", at)
        for (grant,) in plain.execute("SELECT id FROM grants LIMIT 20000").fetchall():
            register.grant(grant)
    return {
        "ours": {
            "cold_p50_ms": _at(cold, 0.5),
            "cold_p99_ms": _at(cold, 0.99),
            "cold_cpu_p50_ms": _at(cpu, 0.5),
            "cold_cpu_p99_ms": _at(cpu, 0.99),
            "warm_p50_ms": _at(warm, 0.5),
            "warm_p99_ms": _at(warm, 0.99),
            "caches_mib": round(machine.resident_mib(_own()) - empty, 1),
            "process_mib": round(machine.resident_mib(_own()), 1),
        },
        "peer": {"p50_ms": _at(reads, 0.5), "p99_ms": _at(reads, 0.99)},
    }


def _own() -> int:
    return int(Path("/proc/self").resolve().name)


def _at(seconds: list[float], part: float) -> float:
    return round(sorted(seconds)[int(len(seconds) * part)] * 1000, 4)


if __name__ == "__main__":
    print(json.dumps(decide(Path(sys.argv[1]), int(sys.argv[2]))))
