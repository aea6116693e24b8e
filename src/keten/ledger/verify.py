"""Verification of everything: entries, tree, signatures, published files, derived tables and the register.

Reads only: the database through read-only connections, and the public folder. The keeper may be running; what it
records meanwhile is not looked at. Everything that does not hold is named, not only the first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from keten.core.db import database_error, reading_engine
from keten.core.errors import Unavailable
from keten.core.places import Place
from keten.ledger.blame import blamed
from keten.ledger.derived import surplus
from keten.ledger.erasures import erasure_faults
from keten.ledger.faults import Check, Fault, Faults, Report
from keten.ledger.headfaults import StoredHead, Tree, cursor_faults, outside_faults, read_head
from keten.ledger.listfaults import surplus_lists
from keten.ledger.notes import Checkpoint, Verifier
from keten.ledger.postings import posted
from keten.ledger.ranges import EARLIER, Range, Result, Task, change_refs, posting_refs, run
from keten.ledger.reading import UNREADABLE
from keten.ledger.reading import size as stored_size
from keten.ledger.registerfaults import row_count, row_faults, shapes
from keten.ledger.schemafaults import schema_faults
from keten.ledger.successionfaults import SuccessionCheck, read_heads, root_faults
from keten.ledger.tables import changes
from keten.ledger.tilefaults import (
    last_leaf,
    list_tiles,
    missing_tiles,
    read_checkpoint,
    read_verifier,
    upper_tiles,
    verifier_key,
)
from keten.ledger.tiles import ENTRIES, WIDTH, Tile

__all__ = ["Check", "Fault", "Report", "verify"]

RANGE = 65_536  # entries in one task: 256 blocks of 256
_ALONE = 32_768  # up to so many entries, starting processes takes longer than doing it oneself
_SMALLEST = 4096

Progress = Callable[[int, int], None]


def verify(
    database: Place,
    folder: Path,
    *,
    key: str = "",
    checks: Sequence[Check] = (),
    newest: int | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Verify the ledger in `database` and its public tree in `folder`.

    1. The published key is the trusted one (`key`: a verifier key; left out, the published one is believed), and the
       published checkpoint is signed by it.
    2. The stored head is signed by it; its parts agree. From here on: one moment of the database.
    3. The entries are those from 0 up to the head's size; each payload is what its leaf commits to, ids, times and
       kinds are those of the payload, and times never fall. A payload that is gone was erased by an entry that names
       it, with the kind and time that it still has.
    4. The tree over the leaves has the signed root; that of the published checkpoint is a part of it.
    5. Every published bundle and tile holds what the leaves say; none is missing, none is too many.
    6. `changes` and `postings` (as far as they have come) are those of the entries.
    7. Every row of the register is what its last entry says, and none is missing or without entry.
    8. Tables, columns, keys and indexes are as this version makes them.
    9. The `checks` of other rooms; and that the logs that this one goes on from are those that its entries name, each
       signed for the next one's key, and begin it.

    newest: only the head and about that many newest entries, with their leaves in the published tiles ("quick").
    processes: how many to share the work out to; 1 does all of it here. `progress(done, total)` counts entries.
    Raises `Unavailable` when the database cannot be opened or one of the processes was killed, and `Corrupt`
    ("database-damaged") when not even the head can be read.
    """
    return _Verification(database, folder, key, tuple(checks), newest, progress).run(
        processes or min(os.cpu_count() or 1, 8)
    )


class _Verification:
    """One verification under way."""

    def __init__(
        self,
        database: Place,
        folder: Path,
        key: str,
        checks: tuple[Check, ...],
        newest: int | None,
        progress: Progress | None,
    ) -> None:
        self._database = database
        self._folder = folder
        self._key = key
        self._checks: tuple[Check, ...] = (*checks, SuccessionCheck(folder)) if newest is None else ()
        self._before: tuple[Checkpoint, ...] = ()
        self._newest = newest
        self._progress = progress
        self._faults = Faults()
        self._notes: list[str] = []
        self._checked: dict[str, int] = {}

    def run(self, processes: int) -> Report:
        verifier, faults = read_verifier(self._folder, self._key)  # 1
        self._faults.extend(faults)
        published = self._published(verifier)
        if verifier is not None and self._newest is None:
            self._before, faults = read_heads(self._folder, verifier_key(self._folder))
            self._faults.extend(faults)
        engine = reading_engine(self._database)
        try:
            with engine.connect() as connection:
                head, tree, strangers = self._one_moment(connection, verifier, published, processes)
            with engine.connect() as connection:
                self._too_new(connection, strangers)
        except DBAPIError as error:
            raise database_error(error) from error
        finally:
            engine.dispose()
        root = head.root or tree.root(head.size)
        return Report(
            verifier.name if verifier else "",
            head.size,
            root.hex() if root else "",
            published.size if published else None,
            self._faults.found(),
            self._faults.more(),
            self._checked,
            tuple(self._notes),
            quick=self._newest is not None,
        )

    def _published(self, verifier: Verifier | None) -> Checkpoint | None:
        """Step 1; before the database is looked at, which is never behind what is published."""
        if verifier is None:
            return None
        published, faults = read_checkpoint(self._folder, verifier)
        self._faults.extend(faults)
        return published

    def _one_moment(
        self, connection: Connection, verifier: Verifier | None, published: Checkpoint | None, processes: int
    ) -> tuple[StoredHead, Tree, list[Tile]]:
        """Steps 2 to 8, in one transaction; what other processes read is bounded by its head."""
        head = read_head(connection, verifier, published)  # 2
        self._faults.extend(head.faults)
        if published is not None and published.size > head.size:
            what = f"it is of {published.size} entries, the database has {head.size}: the database is an older copy"
            self._faults.add(Fault("checkpoint", what, file="checkpoint"))
        size = head.size
        first = 0 if self._newest is None else max(0, size - self._newest) // WIDTH * WIDTH
        tiles, faults = list_tiles(self._folder)
        self._faults.extend(faults)
        here = [tile for tile in tiles if last_leaf(tile) <= size]
        strangers = [tile for tile in tiles if last_leaf(tile) > size]
        lists_end = None if self._newest is not None else min(posted(connection), size)
        tasks = self._tasks(first, size, lists_end, here, published, processes)
        results = list(self._results(tasks, connection, processes))  # 3
        tree = Tree(
            [block for result in results for block in result.blocks],
            {block: kept for result in results for block, kept in result.kept.items()},
        )
        self._faults.extend(fault for result in results for fault in result.faults)
        erased = [gone for result in results for gone in result.erased]
        self._faults.extend(erasure_faults(erased, [each for result in results for each in result.said], first))
        self._times(results, head)
        different = [each for result in results for each in result.differences]
        sound = False
        if self._newest is None:
            sound = self._tree(tree, head, published)  # 4
            self._faults.extend(root_faults([each for each in self._before if each.size <= size], tree.root))
            different += upper_tiles(self._folder, here, tree.blocks, size)
            self._whole(connection, head, here, published, results, lists_end)
        self._faults.extend(blamed(self._folder, different, here, sound=sound))  # 5
        for number, check in enumerate(self._checks):  # 9
            gathered = [result.gathered[number] for result in results]
            if None not in gathered or check.name not in self._faults:
                self._look(check.name, check.faults(connection, gathered))
        self._checked |= {"entries": size - first, "files": len(here), "erased": len(erased)}
        return head, tree, strangers

    def _whole(
        self,
        connection: Connection,
        head: StoredHead,
        tiles: Sequence[Tile],
        published: Checkpoint | None,
        results: Sequence[Result],
        lists_end: int | None,
    ) -> None:
        """What only a look at everything can tell: nothing is too many, nothing is missing."""
        size = head.size
        self._look("entries", outside_faults(connection, size))  # 3
        covered = min(published.size, size) if published else max(map(last_leaf, tiles), default=0)
        for tile in missing_tiles(tiles, covered):  # 5
            where = "bundle" if tile.level == ENTRIES else "tile"
            self._faults.add(Fault(where, "it is missing", file=tile.path()))
        if covered < size:
            self._notes.append(f"{size - covered} entries are not published yet")
        listed = sum(result.posted for result in results)  # 6
        noted = sum(result.changed for result in results)
        self._look("postings", surplus_lists(connection, listed, lists_end or 0, posting_refs))
        self._look("changes", surplus(connection, changes, noted, size, change_refs))
        self._look("cursors", cursor_faults(connection, size))
        self._look("register", row_faults(connection))  # 7
        self._look("schema", schema_faults(connection))  # 8
        self._checked |= {"postings": listed, "changes": noted, "rows": row_count(connection)}
        if lists_end is not None and lists_end < size:
            self._notes.append(f"the newest {size - lists_end} entries are in no posting list yet, as is usual")

    def _look(self, what: str, faults: Iterable[Fault]) -> None:
        """Collect faults; what cannot be read is one too."""
        try:
            self._faults.extend(faults)
        except DBAPIError as error:
            self._faults.add(Fault("database", f"{what} cannot be read: {error.orig}", unreadable=True))
        except UNREADABLE as error:
            self._faults.add(Fault("database", f"{what} cannot be read: {error}", unreadable=True))

    def _tasks(
        self,
        first: int,
        size: int,
        lists_end: int | None,
        tiles: Sequence[Tile],
        published: Checkpoint | None,
        processes: int,
    ) -> list[Task]:
        """Ranges of equal length, aligned to blocks of 256, each with the files over it."""
        share = -(-(size - first) // (processes * 4))
        step = min(RANGE, max(_SMALLEST, -(-share // WIDTH) * WIDTH))
        signed = [*self._before, *((published,) if published else ())]
        cut = tuple({size // WIDTH} | {each.size // WIDTH for each in signed})
        register = shapes()
        by_range: dict[int, list[Tile]] = {}
        for tile in tiles:
            if tile.level <= 0 and tile.index * WIDTH >= first:
                by_range.setdefault((tile.index * WIDTH - first) // step, []).append(tile)
        return [
            Task(
                self._database,
                str(self._folder),
                at,
                min(at + step, size),
                size,
                lists_end,
                tuple(by_range.get((at - first) // step, ())),
                cut,
                register,
                self._checks,
            )
            for at in range(first, size, step)
        ]

    def _results(self, tasks: Sequence[Task], connection: Connection, processes: int) -> Iterator[Result]:
        total = sum(task.end - task.first for task in tasks)
        done = 0
        for result in self._run(tasks, connection, processes, total):
            done += result.end - result.first
            if self._progress is not None:
                self._progress(done, total)
            yield result

    def _run(
        self, tasks: Sequence[Task], connection: Connection, processes: int, total: int
    ) -> Iterable[Result]:
        if processes == 1 or total <= _ALONE:
            yield from (Range(task, connection).verify() for task in tasks)
            return
        try:
            with ProcessPoolExecutor(min(processes, len(tasks)), mp_context=get_context("spawn")) as pool:
                yield from pool.map(run, tasks)
        except BrokenProcessPool as error:
            raise Unavailable(
                "verify-interrupted", "A process of the verification was killed; it may lack memory.", str(error)
            ) from error

    def _times(self, results: Sequence[Result], head: StoredHead) -> None:
        """Step 3, across ranges: times never fall, and the head has that of the newest entry."""
        last = None
        for result in results:
            if result.first_time is not None and last is not None and result.first_time < last:
                self._faults.add(Fault("time", EARLIER, index=result.first))
            if result.last_time is not None:
                last = result.last_time
        if last is not None and head.time_us is not None and head.time_us != last:
            self._faults.add(Fault("head", "column time_us is not the time of the newest entry"))

    def _tree(self, tree: Tree, head: StoredHead, published: Checkpoint | None) -> bool:
        """Step 4; whether the leaves are those that were signed."""
        root = tree.root(head.size)
        sound = root is not None and root == head.root
        if root is not None and head.own and not sound:
            self._faults.add(Fault("tree", f"the root over the {head.size} entries is not the one that was signed"))
        if published is not None and published.size <= head.size:
            same = head.own and published.size == head.size
            part = head.root if same else tree.root(published.size)
            if part is not None and part != published.root:
                what = f"its root is not that of the first {published.size} entries in the database"
                self._faults.add(Fault("checkpoint", what, file="checkpoint"))
        return sound

    def _too_new(self, connection: Connection, strangers: Sequence[Tile]) -> None:
        """Files beyond the moment that was verified are of entries recorded since, or of none."""
        size = stored_size(connection)
        for tile in strangers:
            if last_leaf(tile) > size:
                self._faults.add(Fault("file", f"it is beyond the ledger of {size} entries", file=tile.path()))
