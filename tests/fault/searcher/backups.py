"""Backups in the searcher's hands: it has their recipient's key, and tries every key that is left on their rows.

As `ways`, it shares nothing with what makes or erases them, but the names of the keys (docs/formats/backup.md).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyrage
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keten.core.crypto import derive

_LENGTH = struct.Struct(">I")


class Opened(msgspec.Struct):
    """What of a folder of backups opens: parts as they are inside, and the wrapped keys in them, by name."""

    parts: list[tuple[str, bytes]]
    keys: dict[str, bytes]
    sealed: list[tuple[str, str, tuple[str, ...], bytes]]

    def rows(self, keys: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
        """The rows that were sealed and that these keys open."""
        for where, table, subjects, sealed in self.sealed:
            wrapped = [keys.get(f"subject/{subject}") for subject in subjects]
            if all(wrapped):
                cipher = AESGCM(derive(b"".join(filter(None, wrapped)), "backup-subjects"))
                try:
                    yield where, cipher.decrypt(sealed[:12], sealed[12:], table.encode())
                except InvalidTag:
                    continue


def open_backups(folders: Iterable[Path], identities: list[Any]) -> Opened:
    """Everything that the recipients' keys open."""
    found = Opened([], {}, [])
    for folder in folders:
        for path in sorted((*folder.glob("*/*.age"), *folder.glob("*/*.plain"))):
            data = path.read_bytes()
            plain = pyrage.decrypt(data, identities) if path.suffix == ".age" else data
            where = f"{folder.name}/{path.relative_to(folder).as_posix()}, opened"
            found.parts.append((where, plain))
            if path.stem == "keys":
                found.keys |= _keys(plain)
            else:
                found.sealed += _sealed(where, plain)
    return found


def _keys(plain: bytes) -> dict[str, bytes]:
    tables = msgspec.msgpack.decode(plain)["tables"]
    found = {}
    for row in tables["subject_keys"]:
        found[f"subject/{row['subject']}"] = row["wrapped"]
    for row in tables["dataset_keys"]:
        found[f"dataset/{row['dataset']}"] = row["wrapped"]
    for row in tables["content_keys"]:
        found[f"content/{row['dataset']}/{row['object']}"] = row["wrapped"]
    return {name: wrapped for name, wrapped in found.items() if wrapped is not None}


def _sealed(where: str, plain: bytes) -> Iterator[tuple[str, str, tuple[str, ...], bytes]]:
    at, table = 0, ""
    while at < len(plain):
        (length,) = _LENGTH.unpack_from(plain, at)
        letter, *rest = msgspec.msgpack.decode(plain[at + 4 : at + 4 + length])
        at += 4 + length
        if letter == "t":
            table = rest[0]
        elif letter == "s":
            yield f"{where}, row of {table}", table, tuple(rest[0]), rest[2]
