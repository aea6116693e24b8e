"""`keten put` into a table: rows are read by a process of their own, sorted, and sealed here; none is kept readable."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO

from keten.cli.operator.content import Content, Source
from keten.cli.progress import Counted
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.core.settings import Settings
    from keten.keeper.protocol import PutReady, TableShape

_SHOWN_EVERY = 10_000


def write_table(
    settings: Settings, source: Source, stream: BinaryIO, ready: PutReady, shape: TableShape
) -> tuple[Content, int]:
    """The sealed form of a table, in the store; its size, digest and records, and the size of the blob.

    1. The source has every declared column; what else it has stays out.
    2. Every row has a key of its own; and there are some: an export that failed would hide every record.
    3. Sealed in the order of record ids, encrypted, durable.

    Raises `Invalid` (table-file, table-columns, record-key, record-keys, record-too-large), `Unavailable`.
    """
    from keten.core.storage import LocalStore
    from keten.vault import frames
    from keten.vault.layouts import TABLE_EXPONENT
    from keten.vault.rules import digest_text
    from keten.vault.sealed_table import Columns
    from keten.vault.table_building import TableBuilder
    from keten.vault.table_rows import TableRows

    columns = Columns(shape.columns, shape.columns.index(shape.key))
    hashed = sha256()
    size = 0

    def counted(content: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal size
        for block in content:
            hashed.update(block)
            size += len(block)
            yield block

    with TableRows(stream, source.path.name) as rows, Counted("rows") as shown:
        places = _places(source, rows.names, shape.columns)  # 1
        with TableBuilder(shape.records_key, columns, settings.paths.store) as building:
            for number, values in enumerate(rows, start=2):
                building.add(number, [values[place] for place in places])  # 2
                if number % _SHOWN_EVERY == 0:
                    shown.move_to(number - 1)
            _require_rows(source, building.records)
            header = frames.new_header(ready.object, TABLE_EXPONENT)  # 3
            blob = frames.encrypt(counted(building.content()), ready.key, header)
            stored = LocalStore(settings.paths.store).put(ready.storage, blob)
            records = building.records
    return Content(size, digest_text(hashed.digest()), records), stored


def _require_rows(source: Source, count: int) -> None:
    if not count:
        raise Invalid("table-file", f"{source.path} has no rows: with it nobody would find anything. Nothing was put.")


def _places(source: Source, names: list[str], columns: tuple[str, ...]) -> list[int]:
    missing = [name for name in columns if name not in names]
    if missing:
        public = f"{source.path} has no column {', '.join(missing)}; its first row names {', '.join(names[:20])}."
        raise Invalid("table-columns", public)
    return [names.index(name) for name in columns]
