"""What a backup is made of. Byte by byte: docs/formats/backup.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

FORMAT = 1
CONTENT = "content"
KEY_TABLES = ("subject_keys", "dataset_keys", "content_keys")
"""What the keys part holds, and the data part does not."""
LEFT_OUT = frozenset({*KEY_TABLES, "puts", "alembic_version"})
"""Tables that the data part leaves out: keys, and puts under way, which are nobody's once the instance is gone."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`backup.json`, in the clear: nothing personal. Written last: a folder without it is no backup.

    format: of this version. revision: of the database. made: when it was begun (RFC 3339). origin, key, note: the
    ledger's name, verifier key and signed head. recipients: empty for one in the clear. data, data_size: SHA-256 and
    size of the data file. content: bytes of content. moved: the instance was sealed for it, and goes on where this is
    restored.
    """

    format: int
    id: str
    version: str
    revision: str
    made: str
    origin: str
    key: str
    note: str
    size: int
    recipients: tuple[str, ...]
    data: str
    data_size: int
    objects: int
    content: int
    moved: bool = False


class Place:
    """Where the files of one backup are. `content` is shared by the backups that lie beside each other."""

    def __init__(self, folder: Path, *, plain: bool) -> None:
        ending = "plain" if plain else "age"
        self.folder = folder
        self.data = folder / f"data.{ending}"
        self.keys = folder / f"keys.{ending}"
        self.manifest = folder / "backup.json"
        self.ended = folder / "ended.jsonl"
        self.ended_head = folder / "ended.head"
        self.content = folder.parent / CONTENT


class Blob(msgspec.Struct, frozen=True):
    """Ciphertext that a backup has: its key in the store, size in bytes, SHA-256 in hexadecimal ("" not copied)."""

    storage: str
    object: str
    size: int
    digest: str


class Known(msgspec.Struct, frozen=True):
    """A backup that the instance knows of. `made_us`: microseconds since 1970 UTC."""

    id: str
    folder: str
    recipients: tuple[str, ...]
    made_us: int
    size: int
    state: Literal["begun", "complete", "forgotten"]

    @property
    def place(self) -> Place:
        """Where its files are."""
        return Place(Path(self.folder), plain=not self.recipients)


class Keys(msgspec.Struct, frozen=True):
    """The keys part. `tables`: rows of `KEY_TABLES` as (column → value). `root_kind`: bare, passphrase or credential.

    root: the root key as the instance has it; empty for a credential, which the service manager holds.
    files: further secrets and settings of the instance, path below its folder → content.
    """

    format: int
    id: str
    root_kind: str
    root: bytes
    tables: dict[str, list[dict[str, Any]]]
    files: dict[str, bytes] = {}
