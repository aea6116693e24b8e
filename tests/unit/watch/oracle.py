"""What SQLite finds with pySigma's own backend, for comparing: it shares nothing with the watch but Sigma's parser."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from sigma.backends.sqlite.sqlite import sqliteBackend
from sigma.collection import SigmaCollection

from keten.watch.model import Event
from keten.watch.rules.model import FIELDS

COLUMNS = [*FIELDS]


def recorded(events: Iterable[Event]) -> sqlite3.Connection:
    """Events in a table; what is not known is NULL."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE logs (idx INTEGER, time_us INTEGER, {', '.join(f'`{c}`' for c in COLUMNS)})")
    holes = ", ".join("?" * (len(COLUMNS) + 2))
    connection.executemany(f"INSERT INTO logs VALUES ({holes})", (_row(event) for event in events))
    return connection


def _row(event: Event) -> list[Any]:
    row: list[Any] = [event.index, event.time_us]
    for column, kind in FIELDS.items():
        value = ",".join(event.reasons) if column == "reasons" else getattr(event, column)
        row.append((value or None) if kind is str else int(value))
    return row


def queries(written: str) -> list[str]:
    """SQL for the rules of a file that tell for themselves."""
    untyped: Any = sqliteBackend
    backend = untyped(timestamp_field="time_us", timestamp_format="unix_us", event_id_field="idx", collate_nocase=True)
    found = backend.convert(SigmaCollection.from_yaml(written))
    assert all(isinstance(query, str) for query in found)
    return list(found)


def matching(connection: sqlite3.Connection, query: str) -> set[int]:
    """Indexes of the events that a plain rule matches."""
    return {row[0] for row in connection.execute(query)}


def fulfilled(connection: sqlite3.Connection, query: str, group: Sequence[str]) -> dict[tuple[Any, ...], float]:
    """For a correlation: the group and the moment (microseconds) at which it is fulfilled, and what was counted."""
    found = {}
    for row in connection.execute(query):
        keys = json.loads(row[1])
        found[(*(keys[name] for name in group), round(row[2] * 1_000_000))] = row[6]
    return found
