"""What operators ask about records of tables, on their socket (see `keeper.protocol`)."""

from __future__ import annotations

import msgspec


class AskRecord(msgspec.Struct, frozen=True):
    """What is the record with this key called? `dataset`: name or id."""

    dataset: str
    key: str


class RecordId(msgspec.Struct, frozen=True):
    """Its id, whether or not there is such a record."""

    id: str


RECORD_VERBS: dict[str, tuple[type, type]] = {"subjects.record": (AskRecord, RecordId)}
