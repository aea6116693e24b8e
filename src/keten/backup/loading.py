"""Rows of a backup into a new, empty database, checked against the signed head on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, Table, insert, inspect, text
from sqlalchemy.exc import DBAPIError

from keten.backup import age
from keten.backup.model import KEY_TABLES, Blob, Keys, Manifest, Place
from keten.backup.stream import ENTRIES, Blinds, Loading
from keten.core.db import database_error
from keten.core.errors import Corrupt
from keten.ledger.merkle import Edge, leaf_hash
from keten.ledger.notes import Checkpoint

_AT_ONCE = 20_000


class Loaded:
    """Writes rows; what it could not open is named.

    edge: the tree over the entries. unreadable: indexes of entries whose payload is gone with a subject's key. gone:
    ids of whom rows are gone likewise.
    """

    def __init__(self, engine: Engine, told: Callable[[int], None]) -> None:
        self._engine = engine
        self._told = told
        self._connection: Connection = engine.connect()
        self._tables = frozenset(inspect(self._connection).get_table_names())
        self._table: Table | None = None
        self._columns: list[str] = []
        self._written = 0
        self.edge = Edge()
        self.unreadable: list[int] = []
        self.gone: dict[str, None] = {}
        self.content: list[Blob] = []

    def table(self, name: str, columns: Sequence[str]) -> None:
        """Rows of this table follow. Raises `Corrupt` for one that the revision does not have."""
        if name not in self._tables or name in KEY_TABLES:
            raise Corrupt("backup-damaged", "The backup has a table that is not of its revision.", name[:80])
        self._table = Table(name, MetaData(), autoload_with=self._connection)
        self._columns = [str(column) for column in columns]
        if set(self._columns) != {column.name for column in self._table.columns}:
            raise Corrupt("backup-damaged", "A table of the backup is not of its revision.", name[:80])

    def rows(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows."""
        if self._table is None:
            raise Corrupt("backup-damaged", "The backup has rows of no table.")
        if self._table.name == ENTRIES:
            at, leaf = self._columns.index("idx"), self._columns.index("leaf")
            for row in rows:
                if row[at] != self.edge.size:
                    raise Corrupt("backup-damaged", f"Entry {self.edge.size} is missing from the backup.")
                self.edge = self.edge.append_many([leaf_hash(row[leaf])])
            self._told(self.edge.size)
        if rows:
            self._connection.execute(insert(self._table), [dict(zip(self._columns, row, strict=True)) for row in rows])
        self._written += len(rows)
        if self._written >= _AT_ONCE:
            self._connection.commit()
            self._written = 0

    def opened(self, row: Sequence[Any] | None, bare: Sequence[Any] | None, subjects: tuple[str, ...]) -> None:
        """Write a row that was sealed, or what is left of it."""
        if row is not None:
            self.rows([row])
        elif bare is not None:
            self.unreadable.append(int(bare[0]))
            self.rows([bare])
        else:
            self.gone.update(dict.fromkeys(subjects))

    def blobs(self, blobs: Sequence[Blob]) -> None:
        """Remember which content there is."""
        self.content.extend(blobs)

    def finish(self) -> None:
        """Everything is durable."""
        self._connection.commit()
        self._connection.close()


def load(
    engine: Engine,
    place: Place,
    manifest: Manifest,
    keys: Keys,
    head: Checkpoint,
    by: list[Any],
    told: Callable[[int], None] = lambda _entries: None,
) -> Loaded:
    """Load a backup's data part and its keys into a new database of the backup's revision; `told`: entries so far.

    1. The file is the one that the manifest names; it opens with the identity; it has an end.
    2. The entries have the root of `head`, which is signed.
    3. Keys of what is not in the data part are left out.

    Raises `Corrupt` ("backup-damaged"), `Denied` ("wrong-identity"), `Unavailable` ("disk-full", …).
    """
    found = Loaded(engine, told)
    rows = keys.tables.get("subject_keys", ())
    wrapped = {str(row["subject"]): _bytes(row["wrapped"]) for row in rows if row["wrapped"] is not None}
    loading = Loading(manifest.id, Blinds(wrapped), found)
    try:
        read = age.unseal(place.data, loading, by)  # 1
        if not loading.ended or (read.digest, read.size) != (manifest.data, manifest.data_size):
            raise Corrupt("backup-damaged", f"{place.data} is not the file that was written, or was cut off.")
        if (found.edge.size, found.edge.root()) != (head.size, head.root):  # 2
            raise Corrupt("backup-damaged", "The entries in the backup do not have the root that was signed.")
        found.finish()
        with engine.begin() as connection:
            _insert_keys(connection, keys.tables)  # 3
    except DBAPIError as error:
        raise database_error(error) from error
    return found


def _insert_keys(connection: Connection, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    for name in KEY_TABLES:
        table = Table(name, MetaData(), autoload_with=connection)
        owner = next(iter(table.primary_key.columns)).name
        known = _owners(connection, name)
        rows = [dict(row) for row in tables.get(name, ()) if row[owner] in known]
        if rows:
            connection.execute(insert(table), rows)


def _owners(connection: Connection, name: str) -> frozenset[str]:
    return frozenset(connection.execute(text(_OWNED[name])).scalars())


_OWNED = {
    "subject_keys": "SELECT id FROM people UNION SELECT id FROM clients",
    "dataset_keys": "SELECT id FROM datasets",
    "content_keys": "SELECT id FROM objects WHERE state = 'present'",
}


def _bytes(value: Any) -> bytes:
    return bytes(value) if value is not None else b""


def in_ranges(indexes: Sequence[int]) -> list[list[int]]:
    """Rising indexes as ranges [first, last]."""
    ranges: list[list[int]] = []
    for index in indexes:
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return ranges

