"""What is said when content is put, on the operator's socket (see `keeper.protocol`)."""

from __future__ import annotations

import msgspec


class PutBegin(msgspec.Struct, frozen=True):
    """Ask for a key and a place for new content. `dataset`: name or id."""

    dataset: str
    name: str
    media_type: str
    digest: str  # lets the keeper say "already there" before anything is written
    size: int
    replace: bool = False


class TableShape(msgspec.Struct, frozen=True):
    """What a table is sealed by: its columns, the one that records are found by, and the key that makes their ids."""

    columns: tuple[str, ...]
    key: str
    records_key: bytes


class PutReady(msgspec.Struct, frozen=True):
    """`unchanged`: the same content is there under that name; nothing to do, `object` is its id.

    table: for a dataset that is one; what is put into it is its sealed form.
    """

    object: str
    storage: str
    key: bytes
    unchanged: bool = False
    table: TableShape | None = None


class PutCommit(msgspec.Struct, frozen=True):
    """The ciphertext is durable in the store. `records`: rows of a tabular file, else 1."""

    object: str
    size: int
    stored: int
    digest: str
    records: int


class PutAbort(msgspec.Struct, frozen=True):
    """Forget a put that was begun."""

    object: str
