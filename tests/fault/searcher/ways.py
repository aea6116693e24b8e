"""The ways in which the searcher looks. It shares nothing with the code that erases, but the names of the keys.

It holds the root key, and so every key that is still stored; every file of the instance byte by byte, at every offset;
and what it noted before: stored keys as they were, which are random, so that no other bytes can stand for them.
"""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keten.core.crypto import derive
from tests.fault.searcher.backups import open_backups

_SEALED = re.compile(rb"[A-Za-z0-9+/]{40,}={0,2}")
_PACKED = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_FRAME, _HEADER = 1 << 20, 29
_MOST_UNPACKED = 1 << 20


class Found(msgspec.Struct, frozen=True, order=True):
    """A value that was found: its name, by which way, and where."""

    name: str
    way: str
    where: str


def forms(value: bytes) -> dict[str, bytes]:
    """The forms in which a text may lie somewhere; base64 in each of its three alignments, without its edges."""
    text = value.decode()
    made = {
        "utf-8": value,
        "utf-16-le": text.encode("utf-16-le"),
        "utf-16-be": text.encode("utf-16-be"),
        "utf-32-le": text.encode("utf-32-le"),
        "hex": value.hex().encode(),
        "HEX": value.hex().upper().encode(),
        "json": "".join(f"\\u{ord(each):04x}" for each in text).encode(),
        "percent": "".join(f"%{each:02X}" for each in value).encode(),
        "backwards": value[::-1],
    }
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + value)
        core = whole[(8 * shift + 5) // 6 : len(whole) - 4]
        made[f"base64+{shift}"] = core
        made[f"base64url+{shift}"] = core.replace(b"+", b"-").replace(b"/", b"_")
    return made


class Searcher:
    """Looks for values in an instance, and in other folders that belong to it (backups, exports).

    identities: keys of the backups' recipients.
    """

    def __init__(self, home: Path, folders: Iterable[Path] = (), identities: Iterable[Any] = ()) -> None:
        self._home = home
        self._others = tuple(folders)
        self._identities = list(identities)
        root = (home / "keeper" / "root.key").read_bytes()
        wrapping = derive(root, "wrapping")
        self._over = {word: AESGCM(derive(wrapping, f"{word}-keys")) for word in ("dataset", "subject")}

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every file, byte by byte: database, its log and index, store, ledger, settings, keys."""
        for folder in (self._home, *self._others):
            above = "" if folder == self._home else f"{folder.name}/"
            for path in sorted(folder.rglob("*")):
                if path.is_file() and not path.is_symlink():
                    yield above + path.relative_to(folder).as_posix(), path.read_bytes()

    def stored_keys(self) -> dict[str, bytes]:
        """Every key that is stored, as it is stored: wrapped."""
        found: dict[str, bytes] = {}
        database = sqlite3.connect(f"file:{self._home}/db/keten.db?mode=ro", uri=True)
        try:
            for word, statement in (
                ("subject", "SELECT subject, wrapped FROM subject_keys WHERE wrapped IS NOT NULL"),
                ("dataset", "SELECT dataset, wrapped FROM dataset_keys WHERE wrapped IS NOT NULL"),
                ("content", "SELECT dataset || '/' || object, wrapped FROM content_keys"),
                ("put", "SELECT dataset || '/' || object, wrapped FROM puts"),
            ):
                found |= {f"{word}/{name}": bytes(wrapped) for name, wrapped in database.execute(statement)}
        finally:
            database.close()
        return found

    def search(self, wanted: Mapping[str, bytes], noted: Mapping[str, bytes] | None = None) -> list[Found]:
        """Where these values can still be had, by every way. noted: keys as they were stored earlier, by name.

        1. A key that was stored earlier is still in some file: then it opens again what it opened.
        2. Literally, in every form, at every offset of every file, and of every part and row of a backup that opens;
           and in whatever unpacks there.
        3. By every key that there is: whatever looks sealed, and every frame of content.
        """
        found: set[Found] = set()
        backups = open_backups(self._others, self._identities)
        keys = backups.keys | self.stored_keys()
        files = [*self.files(), *backups.parts]
        for _where, content in files:  # 1
            for name, wrapped in (noted or {}).items():
                if wrapped in content:
                    keys.setdefault(name, wrapped)
        files += backups.rows(keys)
        shapes = {name: forms(value) for name, value in wanted.items()}
        for where, content in files:  # 2
            for name, made in shapes.items():
                found |= {Found(name, way, where) for way, form in made.items() if form in content}
            for plain in _unpacked(content):
                found |= {Found(name, "packed", where) for name, value in wanted.items() if value in plain}
        for where, opened, way in self._opened(files, keys):  # 3
            found |= {Found(name, way, where) for name, value in wanted.items() if value in opened}
        return sorted(found)

    def _opened(self, files: list[tuple[str, bytes]], keys: Mapping[str, bytes]) -> Iterator[tuple[str, bytes, str]]:
        """Whatever a key opens, with where it was."""
        sealed = {(where, each) for where, content in files for each in _SEALED.findall(content)}
        over: dict[str, AESGCM] = {}
        for name, wrapped in keys.items():
            word, _, owner = name.partition("/")
            if word in self._over and (key := _open(self._over[word], wrapped, f"{word}-key/{owner}")):
                over[name] = AESGCM(key)
        for name, cipher in over.items():
            word, _, owner = name.partition("/")
            if word == "subject":
                for where, text in sealed:
                    if (plain := _open(cipher, _unbase64(text), f"personal/{owner}")) is not None:
                        yield where, plain, "sealed"
        for name, wrapped in keys.items():
            word, _, owner = name.partition("/")
            dataset = over.get(f"dataset/{owner.partition('/')[0]}")
            if word in ("content", "put") and dataset and (key := _open(dataset, wrapped, f"content-key/{owner}")):
                for where, content in files:
                    if content.startswith(b"KTN1"):
                        yield where, _frames(AESGCM(key), content), "content"


def _open(cipher: AESGCM, blob: bytes, context: str) -> bytes | None:
    try:
        return cipher.decrypt(blob[:12], blob[12:], context.encode())
    except (InvalidTag, ValueError):
        return None


def _unbase64(text: bytes) -> bytes:
    text = text.rstrip(b"=")
    return base64.b64decode(text[: len(text) // 4 * 4 + (len(text) % 4 if len(text) % 4 > 1 else 0)] + b"==")


def _frames(cipher: AESGCM, blob: bytes) -> bytes:
    """The content of a blob, as far as this key opens it (docs/formats/vault.md)."""
    header, rest = blob[:_HEADER], blob[_HEADER:]
    plain = []
    for number in range(len(rest) // (_FRAME + 16) + 1):
        frame = rest[number * (_FRAME + 16) : (number + 1) * (_FRAME + 16)]
        for last in (0, 1):
            try:
                nonce = header[22:29] + number.to_bytes(4, "big") + bytes([last])
                plain.append(cipher.decrypt(nonce, frame, header))
            except (InvalidTag, ValueError):
                continue
    return b"".join(plain)


def _unpacked(content: bytes) -> Iterator[bytes]:
    """Whatever is a container of zlib or gzip, wherever it begins."""
    for match in _PACKED.finditer(content):
        kind = zlib.MAX_WBITS | (16 if match[0].startswith(b"\x1f") else 0)
        try:
            plain = zlib.decompressobj(kind).decompress(content[match.start() :], _MOST_UNPACKED)
        except zlib.error:
            continue
        if len(plain) > 16:
            yield plain


def report(found: Iterable[Found]) -> str:
    """What was found, for people and machines."""
    return json.dumps([msgspec.to_builtins(one) for one in found], indent=1)
