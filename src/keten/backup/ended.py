"""What ended after a backup was made, written beside it, so that a restore does not revive it (law 6).

`ended.jsonl` has a line for each row that ended, and each file whose key was destroyed, after the ledger had the size
at which the backup was begun. Each line is authenticated together with the one before it under a key that follows from
the root key; `ended.head` says, likewise, how many lines there are. So a stranger can neither add a line nor take one
away unnoticed. Who can write to the whole folder can put back both files of an earlier day; nothing in the folder can
show that, which is why a restored instance serves nobody until an operator has looked.
"""

from __future__ import annotations

import hmac
import logging
import os
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Engine

from keten.backup.model import Known, Place
from keten.core.clock import rfc3339
from keten.core.db import translated
from keten.core.errors import FsyncFailed, KetenError, Unavailable
from keten.core.files import Files, disk_error
from keten.ledger.query import Filter, find

log = logging.getLogger(__name__)
PURPOSE = "backup-ended"
_encode = msgspec.json.Encoder().encode

State = Literal["whole", "shortened", "damaged", "missing"]


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One end. `entry`: index of the entry that says so, in the log `origin`. `table`, `row`: of the register.

    time: RFC 3339. left: of a person or client that was erased, the row that is left (JSON): nothing personal.
    changed: it did not end, it changed in a way that a restore can't redo. data: no end either, but what the keeper
    that made the backup vouches for: the SHA-256 of its data part; `entry` is -1 then.
    """

    entry: int
    table: str
    row: str
    time: str
    origin: str = ""
    left: str = ""
    changed: bool = False
    data: str = ""


class _Signed(msgspec.Struct, frozen=True):
    number: int
    line: Line
    mac: str


class _Head(msgspec.Struct, frozen=True):
    lines: int
    mac: str


_APPENDING = threading.Lock()  # the keeper's own thread carries ends meanwhile


class Read(msgspec.Struct, frozen=True):
    """The lines that hold, in order, and whether that is all of them."""

    lines: tuple[Line, ...]
    state: State
    last: str = ""
    length: int = 0

    @property
    def ends(self) -> tuple[Line, ...]:
        """What ended, was destroyed or erased."""
        return tuple(line for line in self.lines if not line.changed and not line.data)

    @property
    def data(self) -> str:
        """The SHA-256 (hex) of the data part that belongs to it; "" when nothing says so: an older backup, or list."""
        return next((line.data for line in self.lines if line.data), "")

    @property
    def changes(self) -> tuple[Line, ...]:
        """What changed only."""
        return tuple(line for line in self.lines if line.changed)


def begin(place: Place, backup: str, key: bytes, files: Files | None = None) -> None:
    """Make the list of a new backup, empty. Raises `Unavailable`, `FsyncFailed`."""
    files = files or Files()
    files.write(place.ended, b"", mode=0o600)
    files.write(place.ended_head, _head(backup, key, 0, ""), mode=0o600)


def read(place: Place, backup: str, key: bytes) -> Read:
    """The list as it is. Raises `OSError` other than for files that are not there.

    1. Each line follows the one before it, and was written by the holder of the key; a last one without its end is
       what a crash left.
    2. There are as many as the head says, or more (it is written after them).
    """
    try:
        content, head = place.ended.read_bytes(), place.ended_head.read_bytes()
    except FileNotFoundError:
        return Read((), "missing")
    lines: list[Line] = []
    last, length = "", 0
    state: State = "whole"
    whole = content[: content.rfind(b"\n") + 1]
    for each in whole.splitlines(keepends=True):  # 1
        try:
            signed = msgspec.json.decode(each, type=_Signed)
        except (msgspec.DecodeError, msgspec.ValidationError):
            state = "damaged"
            break
        wanted = _mac(backup, key, len(lines), last, signed.line)
        if signed.number != len(lines) or not hmac.compare_digest(signed.mac.encode(), wanted.encode()):
            state = "damaged"
            break
        lines.append(signed.line)
        last, length = signed.mac, length + len(each)
    try:  # 2
        said = msgspec.json.decode(head, type=_Head)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return Read(tuple(lines), "damaged", last, length)
    at = _last_at(whole, said.lines)
    if at is None:
        state = "shortened" if state == "whole" else state
    elif not hmac.compare_digest(said.mac.encode(), _head_mac(backup, key, said.lines, at).encode()):
        state = "damaged"
    return Read(tuple(lines), state, last, length)


def vouch(place: Place, backup: str, key: bytes, data: str, at_us: int, files: Files | None = None) -> None:
    """Say which data part is this backup's: whoever writes to its disk has no key to say it of another.

    Raises as `append`.
    """
    append(place, backup, key, [Line(-1, "", "", rfc3339(at_us), data=data)], files)


def append(place: Place, backup: str, key: bytes, fresh: list[Line], files: Files | None = None) -> None:
    """Add lines durably, then say how many there are. Raises `Unavailable` ("ended-damaged", …), `FsyncFailed`."""
    with _APPENDING:
        _append(place, backup, key, fresh, files or Files())


def _append(place: Place, backup: str, key: bytes, fresh: list[Line], files: Files) -> None:
    there = read(place, backup, key)
    if there.state != "whole":
        raise Unavailable("ended-damaged", f"{place.ended} is {there.state}: ends cannot be added to it.")
    number, last = len(there.lines), there.last
    added = bytearray()
    for line in fresh:
        last = _mac(backup, key, number, last, line)
        added += _encode(_Signed(number, line, last)) + b"\n"
        number += 1
    try:
        descriptor = os.open(place.ended, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "r+b") as stream:
            stream.seek(there.length)
            stream.truncate()
            stream.write(added)
            files.sync(stream)
    except OSError as error:
        raise disk_error(error, place.ended) from error
    files.write(place.ended_head, _head(backup, key, number, last), mode=0o600)


class Carrying:
    """Carries ends to every reachable backup, in a thread of its own, after their commit: nothing waits for it.

    origin: of the log. begins: the size at which this life of the instance began. kinds: of entry that are carried, and
    whether a key may be gone with one; changes: those that say that something changed only. backups: which there are.
    renew: writes a backup's keys part anew, if it has one, once a key is gone. What could not be written is tried again
    when woken.
    """

    def __init__(
        self,
        reader: Engine,
        key: bytes,
        origin: str,
        begins: int,
        kinds: Mapping[str, bool],
        changes: Collection[str],
        backups: Callable[[Connection], list[Known]],
        renew: Callable[[Connection, Known], None],
    ) -> None:
        self._reader = reader
        self._key = key
        self._origin = origin
        self._begins = begins
        self._kinds = dict.fromkeys(changes, False) | dict(kinds)
        self._changes = frozenset(changes)
        self._backups = backups
        self._renew = renew
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._stopping = False
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._main, name="keten-backups", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something ended, perhaps."""
        self._idle.clear()
        self._wake.set()

    def carried(self, seconds: float) -> bool:
        """Wait until what was known when this was called has been carried, or cannot be; whether it was in time."""
        return self._idle.wait(seconds)

    def stop(self) -> None:
        """Carry what is known, and end the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _main(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                self._round()
            except Exception:
                log.exception("ends are not carried to backups yet")
            if not self._wake.is_set():
                self._idle.set()
            if self._stopping and not self._wake.is_set():
                return

    def _round(self) -> None:
        with translated(), self._reader.connect() as connection:
            for known in self._backups(connection):
                try:
                    self.carry(connection, known)
                    self._told.discard(known.id)
                except FsyncFailed as error:
                    self._say(known, error)  # a backup's disk is not the instance's: the backup is what suffers
                except (KetenError, OSError) as error:
                    self._say(known, error)

    def carry(self, connection: Connection, known: Known) -> int:
        """Add to one backup what ended and is not there yet; how many lines that were.

        Indexes are of one log: a backup from which this instance was restored has lines of the log before as well,
        about entries that this one does not have.
        """
        if not Path(known.folder).is_dir():
            raise Unavailable("backup-unreachable", f"The backup {known.folder} cannot be reached.")
        there = read(known.place, known.id, self._key)
        first = max((line.entry + 1 for line in there.lines if line.origin == self._origin), default=0)
        fresh, keys_went = self._ended_since(connection, max(first, known.size, self._begins))
        if keys_went:
            self._renew(connection, known)  # first: the line says that it was done
        if fresh:
            append(known.place, known.id, self._key, fresh)
        return len(fresh)

    def _ended_since(self, connection: Connection, first: int) -> tuple[list[Line], bool]:
        """The lines that are to be added, and whether a key may be gone with one of them."""
        lines = []
        keys_went = False
        for kind, with_key in self._kinds.items():
            for entry in find(connection, Filter(kind=kind, after=first - 1)):
                if entry.kind != kind or entry.payload is None:
                    continue
                said = entry.payload.details
                after = said.get("after")
                left = _encode(after).decode() if isinstance(after, dict) and after.get("erased") else ""
                table, row, moment = str(said["table"]), str(said["row"]), rfc3339(entry.time_us)
                changed = kind in self._changes
                lines.append(Line(entry.index, table, row, moment, self._origin, left, changed))
                keys_went = keys_went or with_key
        return sorted(lines, key=lambda line: line.entry), keys_went

    def _say(self, known: Known, error: Exception) -> None:
        if known.id not in self._told:
            log.warning("an end is not carried to the backup %s yet: %s", known.folder, error)
        self._told.add(known.id)


def _mac(backup: str, key: bytes, number: int, last: str, line: Line) -> str:
    message = b"\n".join((b"line", backup.encode(), str(number).encode(), last.encode(), _encode(line)))
    return hmac.digest(key, message, "sha256").hex()


def _head_mac(backup: str, key: bytes, lines: int, last: str) -> str:
    message = b"\n".join((b"head", backup.encode(), str(lines).encode(), last.encode()))
    return hmac.digest(key, message, "sha256").hex()


def _head(backup: str, key: bytes, lines: int, last: str) -> bytes:
    return _encode(_Head(lines, _head_mac(backup, key, lines, last))) + b"\n"


def _last_at(content: bytes, count: int) -> str | None:
    """The authentication of the line that was the last when there were `count`; None when there are fewer."""
    if count == 0:
        return ""
    lines = content.splitlines()
    if count > len(lines):
        return None
    try:
        found: Any = msgspec.json.decode(lines[count - 1], type=_Signed)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    return str(found.mac)
