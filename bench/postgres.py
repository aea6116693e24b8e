"""Durable, acknowledged entries a second through the keeper on PostgreSQL, against COPY of the same rows and batches.

The server is the machine's own PostgreSQL, in a temporary folder, on a Unix socket, with fsync on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from bench.entries import CLIENTS, loaded
from bench.figure import Figure
from bench.place import Place
from bench.prefill import fill
from keten.core.db import metadata, reading_engine
from tests.cluster import Cluster, own

if TYPE_CHECKING:
    from bench.__main__ import Asked

REACH = "≥ 0.3 × COPY"


def figures(asked: Asked) -> Iterator[Figure]:
    """At two sizes of the ledger."""
    sizes = [asked.size] if asked.size else [2_000, 20_000] if asked.quick else [50_000, 500_000]
    with own() as cluster:
        for size in sizes:
            ours, peer = measure(cluster, size, 2.0 if asked.quick else 15.0)
            ratio = ours["per_second"] / peer["per_second"]
            yield Figure(
                name="postgres",
                size=f"{size:,} entries",
                measured=ours,
                peer="COPY of the same rows in the same batches, a commit each",
                peer_measured=peer,
                ratio=ratio,
                better="higher",
                reach=REACH,
                met=ratio >= 0.3,
            )


def measure(cluster: Cluster, size: int, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fill the ledger to `size` entries, then measure: ours and the peer's."""

    def before(place: Place) -> None:
        fill(place.settings, size)

    name = cluster.fresh()
    with Place(CLIENTS, before=before, database=cluster.url(name)) as place:
        first, ours = loaded(place, seconds)
        place.keten.down()
        rows = _rows(place, first)
    peer = copied(cluster, rows)
    return ours, peer


def _rows(place: Place, first: int) -> list[tuple[Any, ...]]:
    engine = reading_engine(place.keten.place)
    entries = metadata.tables["entries"]
    with engine.connect() as connection:
        found = connection.execute(select(entries).where(entries.c.idx >= first).order_by(entries.c.idx))
        rows = [tuple(row) for row in found]
    engine.dispose()
    return rows


def copied(cluster: Cluster, rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    """The same rows in the same batches into a table of their own, each batch a COPY and a commit."""
    import psycopg

    batches: list[int] = []
    last = None
    for row in rows:  # the entries of one commit have one time
        if row[2] != last:
            batches.append(0)
            last = row[2]
        batches[-1] += 1
    with psycopg.connect(cluster.url(cluster.fresh())) as connection:
        connection.execute(
            "CREATE TABLE entries (idx bigint PRIMARY KEY, id varchar(26), time_us bigint, kind varchar(80), "
            "payload bytea, salt bytea, leaf bytea)"
        )
        connection.commit()
        each = iter(rows)
        began = time.perf_counter()
        for count in batches:
            with connection.cursor() as cursor, cursor.copy("COPY entries FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int8", "text", "int8", "text", "bytea", "bytea", "bytea"])
                for row in islice(each, count):
                    copy.write_row(row)
            connection.commit()
        took = time.perf_counter() - began
    return {"per_second": round(len(rows) / took), "entries_a_commit": round(len(rows) / len(batches), 1)}
