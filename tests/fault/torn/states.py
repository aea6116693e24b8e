"""Which states a disk may hold after a crash.

The model is harsher than ext4, and than what SQLite asks for:

- Between two fsyncs of a file, any subset of its writes may have reached the disk, in any order, and each of them whole
  or up to any block of 512 bytes. (Blocks of 4096 are among those.)
- An fsync makes durable what was done to that file before it began, and nothing else: not its name.
- Names are a folder's own: any subset of what was done to different names since the folder's last fsync; what was done
  to one name, in its order. A rename is atomic; from one folder to another, the old name may be left as well, until
  the new one is durable.
- Of SQLite's shared memory ("-shm") and of locks nothing is left: nobody reads them after a start.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import msgspec

from tests.fault.torn.recorded import Event, What

SECTOR = 512
SUBSETS_OF = 6  # up to so many pending operations, every subset of them
DRAWN = 12  # of more, so many subsets are drawn, besides the special ones
FOLDER, FILE = "folder", "file"
FLEETING = ("-shm", ".lock")


class Operation(msgspec.Struct, frozen=True):
    """One change. `node`: of the file or folder that it belongs to. `name`: in a folder, the name it changes.

    `target`: the node that gets the name, -1 when the name goes. `after`: an operation without which it can't be.
    """

    number: int
    node: int
    name: str = ""
    target: int = -1
    offset: int = 0
    data: bytes = b""
    cut: bool = False  # a truncate, to `offset`
    after: int = -1


class State(msgspec.Struct, frozen=True):
    """A crash: after `moment` events, these of the operations under way on the disk; `torn`: how much of the last."""

    moment: int
    applied: tuple[int, ...]
    torn: tuple[tuple[int, int], ...]
    marks: int


class History:
    """A recorded run over what was there before it."""

    def __init__(self, base: Path | None, events: list[Event]) -> None:
        self.kinds: list[str] = [FOLDER]
        self._base: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {0: {}}  # as the running processes see it
        self._inodes: dict[int, int] = {}
        self.operations: list[Operation] = []
        self.pending_at: list[tuple[tuple[int, ...], int]] = []  # after each event: what is pending, and marks so far
        self.marks: list[str] = []
        if base is not None:
            self._read(base, 0)
        self._start = {node: dict(names) for node, names in self._names.items()}
        self._pending: dict[int, list[int]] = {}
        self._syncing: dict[int, tuple[int, int]] = {}
        for event in events:
            if event.path.endswith(FLEETING):
                continue
            self._take(event)
            pending = tuple(sorted(number for some in self._pending.values() for number in some))
            self.pending_at.append((pending, len(self.marks)))

    def _read(self, folder: Path, node: int) -> None:
        for path in sorted(folder.iterdir()):
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                continue
            made = self._node(FOLDER if path.is_dir() else FILE)
            self._names[node][path.name] = made
            if path.is_dir():
                self._read(path, made)
            else:
                self._base[made] = path.read_bytes()

    def _node(self, kind: str) -> int:
        self.kinds.append(kind)
        if kind == FOLDER:
            self._names[len(self.kinds) - 1] = {}
        return len(self.kinds) - 1

    # ---- what was recorded -----------------------------------------------------------------------------------

    def _at(self, path: str) -> tuple[int, str]:
        """The folder of a path, and its name in it."""
        *folders, name = path.split("/")
        node = 0
        for folder in folders:
            node = self._names[node][folder]
        return node, name

    def _find(self, event: Event) -> int:
        if event.inode in self._inodes:
            return self._inodes[event.inode]
        if not event.path:
            return 0
        folder, name = self._at(event.path)
        node = self._names[folder][name]
        self._inodes[event.inode] = node
        return node

    def _add(self, operation: Operation) -> int:
        self.operations.append(operation)
        self._pending.setdefault(operation.node, []).append(operation.number)
        return operation.number

    def _name(self, path: str, target: int, after: int = -1) -> int:
        folder, name = self._at(path)
        if target < 0:
            self._names[folder].pop(name, None)
        else:
            self._names[folder][name] = target
        return self._add(Operation(len(self.operations), folder, name, target, after=after))

    def _take(self, event: Event) -> None:
        number = len(self.operations)
        match event.what:
            case What.MARK:
                self.marks.append(event.data.decode())
            case What.CREATE | What.MKDIR:
                if not event.path:  # the recorded folder itself
                    self._inodes[event.inode] = 0
                    return
                made = self._node(FILE if event.what is What.CREATE else FOLDER)
                self._inodes[event.inode] = made
                self._name(event.path, made)
            case What.WRITE:
                self._add(Operation(number, self._find(event), offset=event.offset, data=event.data))
            case What.TRUNCATE:
                self._add(Operation(number, self._find(event), offset=event.offset, cut=True))
            case What.RENAME:
                folder, name = self._at(event.path)
                node = self._names[folder][name]
                added = self._name(event.other, node)
                self._name(event.path, -1, after=added)
            case What.UNLINK | What.RMDIR:
                self._name(event.path, -1)
                self._inodes.pop(event.inode, None)
            case What.BEGIN:
                self._syncing[event.offset] = (self._find(event), number)
            case What.END:
                node, before = self._syncing.pop(event.offset)
                synced = {one for one in self._pending.get(node, []) if one < before}
                for each, some in self._pending.items():
                    self._pending[each] = [
                        one for one in some if one not in synced and self.operations[one].after not in synced
                    ]

    # ---- states ----------------------------------------------------------------------------------------------

    def states(self, seed: int) -> list[State]:
        """All of them, each once, with the most that was acknowledged by a moment at which it can be."""
        found: dict[int, State] = {}
        for moment, (pending, marks) in enumerate(self.pending_at):
            choice = random.Random(f"{seed}/{moment}")
            durable = self._durable(moment)
            for applied, torn in self._subsets(pending, choice):
                key = hash((durable.union(applied), torn))
                found[key] = State(moment, applied, torn, marks)
        return list(found.values())

    def _made(self, moment: int) -> int:
        """How many operations had begun by a moment."""
        pending = [some[-1] + 1 for some, _marks in self.pending_at[: moment + 1] if some]
        return max(pending, default=0)

    def _durable(self, moment: int) -> frozenset[int]:
        pending, _marks = self.pending_at[moment]
        return frozenset(range(self._made(moment))) - frozenset(pending)

    def _subsets(
        self, pending: tuple[int, ...], choice: random.Random
    ) -> Iterator[tuple[tuple[int, ...], tuple[tuple[int, int], ...]]]:
        if len(pending) <= SUBSETS_OF:
            for count in range(len(pending) + 1):
                for some in combinations(pending, count):
                    yield self._legal(some, pending), ()
                    yield from self._tears(self._legal(some, pending))
            return
        chosen = [pending, (), *(pending[:-count] for count in (1, 2, len(pending) // 2))]
        chosen += [tuple(one for one in pending if one != without) for without in choice.sample(pending, 3)]
        chosen += [tuple(one for one in pending if choice.random() < share) for share in [0.5, 0.9] * (DRAWN // 2)]
        for some in chosen:
            legal = self._legal(some, pending)
            yield legal, ()
            if legal:
                tears = list(self._tears(legal))
                yield from choice.sample(tears, min(2, len(tears)))

    def _legal(self, some: tuple[int, ...], pending: tuple[int, ...]) -> tuple[int, ...]:
        """Without what can't be there: later changes of a name without the earlier ones, and old names taken alone."""
        chosen, missing, legal = set(some), set(), []
        for number in pending:
            one = self.operations[number]
            key = (one.node, one.name)
            if number not in chosen or (one.name and key in missing):
                if one.name:
                    missing.add(key)
                chosen.discard(number)
                continue
            if one.after in pending and one.after not in chosen:
                chosen.discard(number)
                missing.add(key)
                continue
            legal.append(number)
        return tuple(legal)

    def _tears(self, applied: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[tuple[int, int], ...]]]:
        """The last write of these, only in part: up to a sector, or up to a page."""
        writes = [one for one in applied if self.operations[one].data]
        if not writes:
            return
        last = self.operations[writes[-1]]
        sectors = len(last.data) // SECTOR
        for kept in sorted({1, sectors // 2, sectors - 1, sectors, 8 * (sectors // 16)}):
            if 0 < kept * SECTOR < len(last.data):
                yield applied, ((last.number, kept * SECTOR),)

    def write(self, state: State, target: Path) -> None:
        """Make that state of the disk as a folder."""
        wanted = self._durable(state.moment).union(state.applied)
        torn = dict(state.torn)
        names = {node: dict(found) for node, found in self._start.items()}
        contents = {node: bytearray(content) for node, content in self._base.items()}
        for one in self.operations:
            if one.number not in wanted:
                continue
            if one.name:
                folder = names.setdefault(one.node, {})
                if one.target < 0:
                    folder.pop(one.name, None)
                else:
                    folder[one.name] = one.target
                continue
            content = contents.setdefault(one.node, bytearray())
            if one.cut:
                content[:] = content[: one.offset].ljust(one.offset, b"\0")
            else:
                data = one.data[: torn.get(one.number, len(one.data))]
                if len(content) < one.offset:
                    content.extend(bytes(one.offset - len(content)))
                content[one.offset : one.offset + len(data)] = data
        self._write(0, target, names, contents)

    def _write(self, node: int, target: Path, names: dict[int, dict[str, int]], contents: dict[int, bytearray]) -> None:
        target.mkdir(exist_ok=True)
        for name, child in names.get(node, {}).items():
            if self.kinds[child] == FOLDER:
                self._write(child, target / name, names, contents)
            else:
                path = target / name
                path.write_bytes(contents.get(child, b""))
                path.chmod(0o600)
