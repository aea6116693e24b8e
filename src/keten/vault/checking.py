"""For verification: the content of every present object is in the store with its size, and its key is kept.

Whether it is unchanged shows when it is opened, frame by frame: that needs its key, which verification has not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import Connection, func, select

from keten.core.errors import KetenError
from keten.core.storage import LocalStore
from keten.ledger.faults import Fault
from keten.ledger.model import Payload
from keten.vault.frames import HEADER_BYTES
from keten.vault.layouts import blob_size, header_of
from keten.vault.model import Object
from keten.vault.tables import content_keys, dataset_keys, objects

CONTENT = "content"  # where these faults are


class ContentCheck:
    """Looks at each present object's blob below `store`: there, of the right size, beginning with its own header."""

    name = CONTENT
    kinds: frozenset[str] = frozenset()
    reads: type[msgspec.Struct] = Payload

    def __init__(self, store: Path) -> None:
        self._store = store

    def gather(self, entries: Sequence[tuple[int, Payload]]) -> None:  # noqa: ARG002  # it needs nothing of the entries
        """Nothing."""
        return

    def faults(self, connection: Connection, gathered: Sequence[None]) -> Iterator[Fault]:  # noqa: ARG002  # as above
        """Objects whose content is missing, cut off, grown or another's, or whose key is missing."""
        yield from content_faults(connection, self._store)


def content_faults(connection: Connection, folder: Path, most: int | None = None) -> Iterator[Fault]:
    """Objects whose content below `folder` is missing, cut off, grown or another's, or whose key is missing.

    most: look at so many of those that were put in last; else at all.
    """
    store = LocalStore(folder)
    kept = objects.outerjoin(content_keys, content_keys.c.object == objects.c.id).outerjoin(
        dataset_keys, dataset_keys.c.dataset == objects.c.dataset
    )
    present = (
        select(objects.c.id, objects.c.body, content_keys.c.wrapped, dataset_keys.c.wrapped.label("over"))
        .select_from(kept)
        .where(objects.c.state == "present")
        .order_by(objects.c.id if most is None else objects.c.entry.desc())
        .limit(most)
    )
    for row in connection.execute(present):
        if row.wrapped is None or row.over is None:
            yield Fault(CONTENT, "its key is missing", table="objects", row=row.id)
        what = _wrong(store, row.id, row.body)
        if what:
            yield Fault(CONTENT, what, table="objects", row=row.id)


def present_count(connection: Connection) -> int:
    """How many objects should have content in the store."""
    return int(connection.execute(select(func.count()).where(objects.c.state == "present")).scalar() or 0)


def _wrong(store: LocalStore, object_id: str, body: object) -> str:
    try:
        found = msgspec.json.decode(body, type=Object)  # type: ignore[call-overload]  # whatever the column holds
    except (msgspec.DecodeError, msgspec.ValidationError, TypeError):
        return ""  # a row that cannot be read is named as such, with the register
    try:
        blob = store.open(found.storage)
    except KetenError as error:
        return str(error.public)
    except OSError as error:
        return f"its content cannot be read: {error.strerror}"
    try:
        expected = blob_size(found.size, found.media_type)
        if blob.size != expected:
            return f"its content is {blob.size} bytes instead of {expected}"
        begins = blob.read_at(0, HEADER_BYTES)
    finally:
        blob.close()
    begun = begins.startswith(header_of(object_id, found.media_type))
    return "" if begun else "its content begins with another header"
