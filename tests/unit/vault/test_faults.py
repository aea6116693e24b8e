"""Disks that fail or fill up while content is put: what is there stays readable, what is not whole is not there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from sqlalchemy.exc import DBAPIError

from keten.core.db import database_error
from keten.core.errors import Corrupt, FsyncFailed, KetenError, Unavailable
from keten.core.files import Files
from keten.core.ids import new_id
from keten.core.storage import LocalStore
from keten.vault import service as vault
from keten.vault import sweeping
from tests.unit.vault.house import DAY, House, Set

CONTENT = b"bsn,naam\n" + b"1,Jan\n" * 200_000  # two frames


class Failing(Files):
    """Fails one kind of operation, with one error; counts how often it was reached."""

    def __init__(self, operation: str, number: int) -> None:
        self._operation = operation
        self._number = number
        self.reached = 0

    def _maybe(self, operation: str) -> None:
        if operation == self._operation:
            self.reached += 1
            raise OSError(self._number, os.strerror(self._number))

    def sync(self, stream: BinaryIO) -> None:
        try:
            self._maybe("sync")
        except OSError as error:
            raise FsyncFailed("fsync-failed", "The disk failed; the process stops.", str(error)) from error
        super().sync(stream)

    def rename(self, source: Path, target: Path) -> None:
        self._maybe("rename")
        super().rename(source, target)

    def sync_folder(self, folder: Path) -> None:
        if self._operation == "sync_folder" and folder.name != "store":  # not yet when the folder itself is made
            self.reached += 1
            raise FsyncFailed("fsync-failed", "The disk failed; the process stops.", "injected")
        super().sync_folder(folder)

    def make_folder(self, folder: Path, mode: int = 0o755) -> None:
        self._maybe("make_folder")
        super().make_folder(folder, mode)


def everything_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("operation", ["make_folder", "sync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES])
def test_a_put_that_fails_leaves_nothing_and_can_be_done_again(house: House, operation: str, number: int) -> None:
    sound = house.store
    failing = Failing(operation, number)
    house.store = LocalStore(house.path.parent / "store", failing)
    dataset = Set(new_id())
    ready = house.begin(dataset, "kiezers.csv", CONTENT)
    with pytest.raises(KetenError) as caught:
        house.seal(ready, CONTENT)
    assert failing.reached == 1
    if operation == "sync":
        assert isinstance(caught.value, FsyncFailed)
    else:
        full = number in (errno.ENOSPC, errno.EDQUOT)
        assert (type(caught.value), caught.value.code) == (Unavailable, "disk-full" if full else "write-failed")
    assert everything_in(house.path.parent / "store") == []
    with house.reading() as connection:
        put = vault.put_of(connection, ready.object)
        assert put is not None
        assert vault.objects_of(connection, dataset.id) == []
        with pytest.raises(Corrupt):
            vault.check_stored(house.store, put, len(CONTENT))
    house.store = sound
    found = house.put(dataset, "kiezers.csv", CONTENT)  # a new put, beside the one that failed
    assert house.open(found) == CONTENT
    house.now += DAY
    with house.writing() as writing:
        assert sweeping.abandon_puts(writing, house.now) == (ready.storage,)


def test_after_an_fsync_of_the_folder_failed_the_blob_is_a_leftover(house: House) -> None:
    """The process stops (law 13); what it may have left is found by the next sweep, once the put is abandoned."""
    house.store = LocalStore(house.path.parent / "store", Failing("sync_folder", errno.EIO))
    (house.path.parent / "store").mkdir()
    ready = house.begin(Set(new_id()), "kiezers.csv", CONTENT)
    (house.path.parent / "store" / ready.storage[:2]).mkdir()
    with pytest.raises(FsyncFailed):
        house.seal(ready, CONTENT)
    house.store = LocalStore(house.path.parent / "store")
    assert list(sweeping.orphans(house.reader, house.store)) == []
    with house.writing() as writing:
        vault.abort_put(writing, ready.object)
    assert list(sweeping.orphans(house.reader, house.store)) == list(house.store.keys())


def test_a_disk_that_fills_up_within_a_frame_leaves_nothing(tmp_path: Path) -> None:
    """A real limit of the operating system on the size of a file, in a process of its own."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from keten.core.errors import Unavailable\n"
        "from keten.core.ids import new_id\n"
        "from keten.core.storage import LocalStore\n"
        "from keten.vault.frames import encrypt, new_header\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))\n"
        "try:\n"
        "    parts = encrypt([bytes(3_000_000)], bytes(32), new_header(new_id()))\n"
        "    LocalStore(Path(sys.argv[1])).put(new_id(), parts)\n"
        "except Unavailable as error:\n"
        "    print(error.code)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "store")], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "write-failed\n"
    assert everything_in(tmp_path / "store") == []


def filled(house: House, work: Callable[[], object]) -> None:
    """Do work in a database that has no page left to grow into; it must fail as a full disk does."""
    with house.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    def until_it_fails() -> None:
        for _ in range(2000):
            work()

    with pytest.raises(DBAPIError) as caught:
        until_it_fails()
    assert database_error(caught.value).code == "disk-full"
    with house.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1073741823")


def test_a_full_database_takes_no_put_and_loses_none(house: House) -> None:
    dataset = Set(new_id())
    kept = [house.put(dataset, f"{number}.csv", b"x") for number in range(3)]
    begun = []
    filled(house, lambda: begun.append(house.begin(dataset, f"begun-{len(begun)}.csv", b"x")))
    for found in kept:
        assert house.open(found) == b"x"
    with house.reading() as connection:
        assert [found.id for found in vault.objects_of(connection, dataset.id)] == [found.id for found in kept]
        assert all(vault.put_of(connection, ready.object) is not None for ready in begun)
    house.seal(begun[-1], b"x")
    assert house.open(house.commit(begun[-1], b"x").object) == b"x"


def test_a_full_database_commits_a_put_wholly_or_not_at_all(house: House) -> None:
    dataset = Set(new_id())
    old = house.put(dataset, "a.csv", b"0")
    contents = [b"0"]

    def replace() -> None:
        contents.append(b"%d" % len(contents))
        house.put(dataset, "a.csv", contents[-1], replace=True)

    filled(house, replace)
    with house.reading() as connection:
        [present] = vault.objects_of(connection, dataset.id)
    assert house.open(present) == contents[-2]  # the last one that was committed
    with house.reading() as connection:
        gone = vault.object(connection, old.id)
    assert gone is not None
    assert gone.state == "destroyed"
    assert house.kinds().count("vault.object.stored") == len(contents) - 1
    assert house.kinds().count("vault.object.destroyed") == len(contents) - 2
