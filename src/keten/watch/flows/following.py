"""Follows log files: those that grow, are rotated, compressed, cut short or half written. Each line is read once.

A log is known by its first bytes, wherever it is by then and whether it was compressed meanwhile; as long as it is
shorter than those, by its inode as well. How far it was read is a `Cursor`, which whoever follows keeps durably
together with what was made of the lines.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from keten.watch.flows.lines import LONGEST, Form

HEAD = 4096
"""Bytes by which a log is known."""
CHUNK = 1024 * 1024
MOST_FILES = 4096
MOST_OPEN = 8
_GZIP = b"\x1f\x8b"


class Cursor(msgspec.Struct):
    """How far a log was read. head: digest of its first `head_size` bytes. offset: of the next line, uncompressed.

    inode, path: where it was last. end: size and time of change (ns) of a compressed file that was read to its end.
    skipping: within a line that is too long. form: how its lines are read.
    """

    path: str
    inode: int
    head: bytes
    head_size: int
    offset: int = 0
    end: tuple[int, int] = (0, 0)
    skipping: bool = False
    form: Form = msgspec.field(default_factory=Form)


class Part(NamedTuple):
    """Whole lines of a log, with its cursor behind them. too_long: how many lines were left out for their length."""

    cursor: Cursor
    lines: list[str]
    too_long: int


class _Looked(NamedTuple):
    path: Path
    inode: tuple[int, int]
    size: int
    changed_ns: int


class Following:
    """names: files, folders, or patterns with `*`. cursors: of before; they change while lines are read.

    beside: files beside a named one whose names begin with its own (`access.log.1`, `access.log.2.gz`) belong to it.
    trouble: path → why it can't be read.
    """

    def __init__(self, names: Sequence[Path], cursors: Iterable[Cursor] = (), *, beside: bool = True) -> None:
        self._names = tuple(names)
        self._beside = beside
        self.cursors = list(cursors)
        self.trouble: dict[str, str] = {}
        self.files = 0
        self._known: dict[tuple[int, int], tuple[_Looked, Cursor]] = {}
        self._broken: dict[Path, tuple[_Looked, str]] = {}
        self._open: dict[tuple[int, int], tuple[int, BinaryIO]] = {}

    def parts(self, most: int) -> Iterator[Part]:
        """What is new, the oldest file first, at most about so many bytes."""
        found = self._look()
        present: set[int] = set()
        for one in found:
            broken = self._broken.get(one.path)
            if broken is not None and broken[0] == one:
                self.trouble[str(one.path)] = broken[1]
                continue
            try:
                cursor = self._cursor_of(one)
                if cursor is None:
                    continue
                present.add(id(cursor))
                for part, size in self._read(one, cursor):
                    yield part
                    most -= size
                    if most <= 0:
                        return
            except (OSError, EOFError, zlib.error) as error:
                self._let_go(one.inode)
                why = getattr(error, "strerror", None) or str(error) or type(error).__name__
                self._broken[one.path] = (one, why)  # until it changes: a file may be compressed at this moment
                self.trouble[str(one.path)] = why
        if len(self.cursors) > 2 * MOST_FILES:
            self.cursors = [one for one in self.cursors if id(one) in present]

    def close(self) -> None:
        """Let go of all files."""
        for inode in list(self._open):
            self._let_go(inode)

    # ---- which files -----------------------------------------------------------------------------------------

    def _look(self) -> list[_Looked]:
        """The files that there are, the oldest first."""
        self.trouble = {}
        found: dict[tuple[int, int], _Looked] = {}
        for name in self._names:
            paths = _paths(name, beside=self._beside)
            if not paths:
                self.trouble[str(name)] = "there is no such file"
            for path in paths:
                try:
                    status = path.stat()
                except OSError as error:
                    self.trouble[str(path)] = error.strerror or "it can't be read"
                    continue
                if stat.S_ISREG(status.st_mode):
                    inode = (status.st_dev, status.st_ino)
                    found.setdefault(inode, _Looked(path, inode, status.st_size, status.st_mtime_ns))
        newest = sorted(found.values(), key=lambda one: (one.changed_ns, str(one.path)))
        if len(newest) > MOST_FILES:
            self.trouble["*"] = f"there are more than {MOST_FILES} files: the oldest are not read"
        self.files = min(len(newest), MOST_FILES)
        return newest[-MOST_FILES:]

    def _cursor_of(self, one: _Looked) -> Cursor | None:
        """The cursor of the log in a file; None for an empty one.

        1. Neither size nor time of change differ from those seen last: the same.
        2. It begins as a log that is known: that one, wherever it was. One that is shorter than what was read of it
           was cut off: it goes on at its end.
        3. Else a new one.
        """
        known = self._known.get(one.inode)
        if known is not None and known[0][2:] == one[2:]:  # 1
            return known[1]
        head = _head(one.path)
        if not head:
            return None
        cursor = next((each for each in self.cursors if _is_of(each, head, one.inode[1])), None)  # 2
        if cursor is None:  # 3
            self._let_go(one.inode)
            cursor = Cursor(str(one.path), one.inode[1], b"", 0)
            self.cursors.append(cursor)
        if cursor.head_size < len(head):
            cursor.head, cursor.head_size = _digest(head), len(head)
        cursor.path, cursor.inode = str(one.path), one.inode[1]
        self._known[one.inode] = (one, cursor)
        while len(self._known) > 2 * MOST_FILES:
            del self._known[next(iter(self._known))]
        return cursor

    # ---- reading ---------------------------------------------------------------------------------------------

    def _read(self, one: _Looked, cursor: Cursor) -> Iterator[tuple[Part, int]]:
        with one.path.open("rb") as file:
            packed = file.read(2) == _GZIP
        if packed:
            if cursor.end != (one.size, one.changed_ns):
                yield from self._from(self._unpacked(one, cursor), cursor, packed=True)
                cursor.end = (one.size, one.changed_ns)
            return
        if one.size < cursor.offset:
            cursor.offset, cursor.skipping = one.size, False
        if one.size > cursor.offset:
            with _opened(one.path) as file:
                file.seek(cursor.offset)
                yield from self._from(file, cursor, packed=False)

    def _from(self, file: BinaryIO, cursor: Cursor, *, packed: bool) -> Iterator[tuple[Part, int]]:
        rest = b""
        while True:
            more = file.read(CHUNK)
            if more and not more.endswith(b"\n"):  # so that a compressed file can go on from where it is
                more += file.readline(LONGEST)
            data = rest + more
            end = data.rfind(b"\n") + 1
            if not more and packed and data:  # nobody will ever write the rest of its last line
                data, end = data + b"\n", len(data) + 1
            if not end:
                if len(data) >= LONGEST:
                    cursor.skipping, cursor.offset, data = True, cursor.offset + len(data), b""
                if not more:
                    return
                rest = data
                continue
            lines = data[:end].decode("utf-8", "replace").split("\n")
            lines.pop()
            whole = len(lines)
            if cursor.skipping:
                lines.pop(0)
                cursor.skipping = False
            lines = [line for line in lines if len(line) <= LONGEST]
            cursor.offset += end
            rest = data[end:]
            yield Part(cursor, lines, whole - len(lines)), end
            if not more:
                return

    def _unpacked(self, one: _Looked, cursor: Cursor) -> BinaryIO:
        """A compressed file from where it was left; it stays open, for to get there all of it is unpacked anew."""
        kept = self._open.pop(one.inode, None)
        if kept is not None and kept[0] == one.changed_ns and kept[1].tell() == cursor.offset:
            file = kept[1]
        else:
            if kept is not None:
                kept[1].close()
            file = gzip.open(one.path)  # type: ignore[assignment]  # noqa: SIM115  # one that stays open
            file.seek(cursor.offset)
        self._open[one.inode] = (one.changed_ns, file)
        while len(self._open) > MOST_OPEN:
            self._let_go(next(iter(self._open)))
        return file

    def _let_go(self, inode: tuple[int, int]) -> None:
        kept = self._open.pop(inode, None)
        if kept is not None:
            kept[1].close()


def _paths(name: Path, *, beside: bool) -> list[Path]:
    """The files that a name of the settings stands for."""
    if glob.has_magic(str(name)):
        return [Path(found) for found in sorted(glob.glob(str(name)))]  # noqa: PTH207  # Path.glob takes no whole path
    if name.is_dir():
        return sorted(name.iterdir())
    found = [name] if name.exists() else []
    if beside:
        found += [Path(one) for one in sorted(glob.glob(f"{glob.escape(str(name))}.*"))]  # noqa: PTH207  # as above
    return found


def _opened(path: Path) -> BinaryIO:
    """A file that was regular when it was looked at; should it be a pipe by now, nobody waits for its other end."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")


def _head(path: Path) -> bytes:
    with _opened(path) as file:
        head = file.read(HEAD)
        if head[:2] != _GZIP:
            return head
        file.seek(0)
        with gzip.GzipFile(fileobj=file) as unpacked:
            return unpacked.read(HEAD)


def _digest(head: bytes) -> bytes:
    return hashlib.blake2b(head, digest_size=16).digest()


def _is_of(cursor: Cursor, head: bytes, inode: int) -> bool:
    if cursor.head_size < HEAD and cursor.inode != inode:
        return False
    return len(head) >= cursor.head_size and _digest(head[: cursor.head_size]) == cursor.head
