"""The data part of a backup as a stream: every table but those of keys, and which ciphertext belongs to it.

    part  = frame …
    frame = length (4 bytes, big-endian) ‖ MessagePack of an array, whose first element is its letter:

    k  format, backup id, revision, signed head       first
    t  table, columns                                 what the rows that follow are of
    r  rows                                           each an array in the order of the columns
    s  subjects, bare row or nil, sealed row          a row that opens with all these subjects' keys together
    b  [storage key, object, size, SHA-256] …         ciphertext
    e  rows in all                                    last: without it the stream was cut off

A row about subjects is sealed once more under a key that follows from the wrapped keys of all of them, as the keys
part has them: with one of them gone, nobody opens it, whatever else he holds. A bare row is what is left then.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, MetaData, Table, inspect, select

from keten.backup.model import FORMAT, LEFT_OUT, Blob
from keten.core.crypto import NONCE_BYTES, derive
from keten.core.errors import Corrupt, Invalid
from keten.ledger.merkle import Edge, leaf_hash
from keten.ledger.reading import raw, size
from keten.ledger.sealing import commitment, leaf_bytes

ROWS = 500
MAX_FRAME = 1 << 28  # no row is longer: it came to the keeper in a frame of an operator's, which is no longer either
ENTRIES = "entries"
_LENGTH = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class _About(msgspec.Struct, frozen=True, gc=False):
    actor: str = ""
    subjects: tuple[str, ...] = ()


_about = msgspec.json.Decoder(_About).decode


class Blinds:
    """Seals and opens rows under the wrapped keys of their subjects, taken together."""

    def __init__(self, wrapped: Mapping[str, bytes]) -> None:
        self._wrapped = wrapped
        self._of = lru_cache(4096)(self._key)

    def known(self, subjects: Sequence[str]) -> tuple[str, ...]:
        """Those of these subjects that have a key, each once, in order."""
        return tuple(sorted(each for each in {*subjects} if each in self._wrapped))

    def seal(self, table: str, subjects: tuple[str, ...], row: Sequence[Any]) -> bytes:
        """A row, sealed: nonce ‖ ciphertext ‖ tag."""
        nonce = os.urandom(NONCE_BYTES)
        aead = self._of(subjects)
        if aead is None:
            raise KeyError(subjects)
        return nonce + aead.encrypt(nonce, _encode(row), table.encode())

    def open(self, table: str, subjects: tuple[str, ...], sealed: bytes) -> list[Any] | None:
        """What was sealed; None when a subject's key is gone. Raises `Corrupt` ("backup-damaged")."""
        aead = self._of(subjects)
        if aead is None:
            return None
        try:
            row: list[Any] = _decode(aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], table.encode()))
        except (InvalidTag, ValueError) as error:
            raise Corrupt("backup-damaged", "A sealed row of the backup is damaged.", table) from error
        return row

    def _key(self, subjects: tuple[str, ...]) -> AESGCM | None:
        if not subjects or any(each not in self._wrapped for each in subjects):
            return None
        return AESGCM(derive(b"".join(self._wrapped[each] for each in subjects), "backup-subjects"))


class Snapshot:
    """One moment of a database, read in the transaction that `connection` is in; checks what it reads.

    `faults`: what does not hold; it is in the backup as it is. `edge`: the tree over the entries.
    """

    def __init__(self, connection: Connection, told: Callable[[int, int], None]) -> None:
        self._connection = connection
        self._told = told
        self.edge = Edge()
        self.faults: list[str] = []
        self.rows = 0
        keys = _reflected(connection, "subject_keys")
        wrapped = connection.execute(select(keys.c.subject, keys.c.wrapped).where(keys.c.wrapped.is_not(None)))
        self._blinds = Blinds({row.subject: bytes(row.wrapped) for row in wrapped})
        people = _reflected(connection, "people")
        self._people = frozenset(connection.execute(select(people.c.id)).scalars())

    def frames(self) -> Iterator[bytes]:
        """Every table but those that are left out."""
        for name in sorted(inspect(self._connection).get_table_names()):
            if name not in LEFT_OUT:
                yield from self._table(_reflected(self._connection, name))

    def _table(self, table: Table) -> Iterator[bytes]:
        names = [str(column.name) for column in table.columns]
        yield frame("t", str(table.name), names)
        entries = table.name == ENTRIES
        total = size(self._connection) if entries else 0
        chosen = select(*(raw(column) for column in table.columns)).order_by(*table.primary_key.columns)
        # A row of the register is about itself; what a person signs in with, and its sessions, are about the person.
        about = [names.index("id")] if "body" in names and "id" in names else []
        about += [names.index("person")] if "person" in names else []
        for rows in self._connection.execute(chosen.execution_options(yield_per=ROWS)).partitions(ROWS):
            clear: list[Sequence[Any]] = []
            for found in rows:
                row = list(found)
                if entries:
                    self._entry(row)
                    subjects = self._blinds.known(self._subjects_of(row[4]))
                    bare: list[Any] | None = [*row[:4], None, None, row[6]]
                else:
                    subjects = self._blinds.known([row[at] for at in about])
                    bare = None
                if not subjects:
                    clear.append(row)
                    continue
                if clear:  # in their order, which the tree is over
                    yield from row_frames(clear)
                    clear = []
                yield frame("s", subjects, bare, self._blinds.seal(table.name, subjects, row))
            self.rows += len(rows)
            if clear:
                yield from row_frames(clear)
            if entries:
                self._told(self.edge.size, total)

    def _subjects_of(self, payload: Any) -> tuple[str, ...]:
        """Whom an entry is about, and the person who acted in it: what goes with either when it is erased."""
        try:
            about = _about(payload) if payload is not None else _About()
        except (msgspec.DecodeError, msgspec.ValidationError, TypeError):
            return ()  # named as a fault already: it is not what its leaf commits to
        return (*about.subjects, about.actor) if about.actor in self._people else about.subjects

    def _entry(self, row: Sequence[Any]) -> None:
        """An entry is the next one, and its payload is what its leaf commits to."""
        index, entry_id, _time, _kind, payload, salt, leaf = row
        if index != self.edge.size or not isinstance(leaf, bytes):
            raise Corrupt("entry-missing", f"Entry {self.edge.size} of the ledger is missing or damaged.")
        self.edge = self.edge.append_many([leaf_hash(leaf)])
        if payload is None and salt is None:
            return
        holds = isinstance(payload, bytes) and isinstance(salt, bytes)
        if not holds or leaf_bytes(entry_id, commitment(salt, entry_id, payload)) != leaf:
            self.faults.append(f"entry {index}: its payload is not what its leaf commits to")


class Loading:
    """Takes the plain data part, piece by piece, and gives what it holds to what restores it (`into`)."""

    def __init__(self, backup: str, blinds: Blinds, into: Loader) -> None:
        self._backup = backup
        self._blinds = blinds
        self._into = into
        self._held = bytearray()
        self._table = ""
        self._rows = 0
        self.ended = False

    def write(self, piece: bytes) -> int:
        """Take a piece. Raises `Corrupt` ("backup-damaged"), and what `into` raises."""
        self._held += piece
        at = 0
        while len(self._held) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held, at)
            if length > MAX_FRAME:
                raise _malformed("a frame is too long")
            end = at + _LENGTH.size + length
            if len(self._held) < end:
                break
            self._frame(bytes(self._held[at + _LENGTH.size : end]))
            at = end
        del self._held[:at]
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def _frame(self, data: bytes) -> None:
        try:
            letter, *rest = _decode(data)
            if self.ended:
                raise _malformed("something follows its end")
            if letter == "k":
                version, backup, _revision, _note = rest
                if version != FORMAT:
                    raise Invalid("backup-newer", "This backup was made by a newer version of Keten; use that version.")
                if backup != self._backup:
                    raise _malformed("the data are of another backup than backup.json")
            elif letter == "t":
                self._table = str(rest[0])
                self._into.table(self._table, rest[1])
            elif letter == "r":
                self._rows += len(rest[0])
                self._into.rows(rest[0])
            elif letter == "s":
                self._rows += 1
                subjects, bare, sealed = tuple(rest[0]), rest[1], rest[2]
                self._into.opened(self._blinds.open(self._table, subjects, sealed), bare, subjects)
            elif letter == "b":
                self._into.blobs([Blob(*each) for each in rest[0]])
            elif letter == "e":
                if rest[0] != self._rows:
                    raise _malformed("rows are missing")
                self.ended = True
            else:
                raise _malformed("a frame is of no known kind")
        except (msgspec.DecodeError, TypeError, ValueError, IndexError, RecursionError) as error:
            raise _malformed(str(error)) from error


class Loader(Protocol):
    """What a loading gives its content to."""

    def table(self, name: str, columns: Sequence[str]) -> None:
        """Rows of this table follow."""

    def rows(self, rows: Sequence[Sequence[Any]]) -> None:
        """Rows of the table named last."""

    def opened(self, row: Sequence[Any] | None, bare: Sequence[Any] | None, subjects: tuple[str, ...]) -> None:
        """A row that was sealed; None when a subject's key is gone: then `bare` is what is left of it, if anything."""

    def blobs(self, blobs: Sequence[Blob]) -> None:
        """Ciphertext that belongs to the backup."""


def frame(letter: str, *parts: Any) -> bytes:
    """One frame."""
    data = _encode((letter, *parts))
    return _LENGTH.pack(len(data)) + data


def row_frames(rows: Sequence[Sequence[Any]]) -> Iterator[bytes]:
    """Rows of the table named last, in as many frames as it takes for none to be too long."""
    made = frame("r", rows)
    if len(made) <= MAX_FRAME or len(rows) == 1:
        yield made
        return
    half = len(rows) // 2
    yield from row_frames(rows[:half])
    yield from row_frames(rows[half:])


def _reflected(connection: Connection, name: str) -> Table:
    """A table as the database has it, of whatever revision."""
    return Table(name, MetaData(), autoload_with=connection)


def _malformed(what: str) -> Corrupt:
    return Corrupt("backup-damaged", "The backup is damaged: its data cannot be read.", what)
