"""Durable files: all or nothing at every failing step, and nothing unfinished is left."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

import pytest

from keten.core.errors import FsyncFailed, Unavailable
from keten.core.files import Files, disk_error
from keten.core.ids import new_id
from keten.core.sqlite import before_upgrade
from keten.core.storage import LocalStore
from keten.core.upgrade import upgrade
from keten.ledger.treefiles import TreeFiles


class Failing(Files):
    """Fails at one step."""

    def __init__(self, step: str, number: int = errno.ENOSPC) -> None:
        self.step = step
        self.number = number

    def _fail(self, step: str) -> None:
        if step == self.step:
            raise OSError(self.number, os.strerror(self.number))

    def sync(self, stream: BinaryIO) -> None:
        self._fail("sync")
        super().sync(stream)

    def rename(self, source: Path, target: Path) -> None:
        self._fail("rename")
        super().rename(source, target)


def test_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    Files().write(path, b"one", mode=0o600)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"one", 0o600)
    Files().write(path, b"two" * 100_000)
    assert path.read_bytes() == b"two" * 100_000
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208 - the hidden ones, too


@pytest.mark.parametrize("step", ["sync", "rename"])
@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "disk-full"), (errno.EDQUOT, "disk-full"), (errno.EACCES, "write-failed")]
)
def test_a_step_that_fails_leaves_the_old(tmp_path: Path, step: str, number: int, code: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(Unavailable) as caught:
        Failing(step, number).write(path, b"new")
    assert caught.value.code == code
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


class Dying(Files):
    """A disk of which no fsync succeeds any more."""

    def sync(self, stream: BinaryIO) -> None:  # noqa: ARG002  # whichever it is
        raise FsyncFailed("fsync-failed", "The disk failed; the process stops.")


def test_a_failed_fsync_is_final_also_when_nothing_can_be_removed_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DyingTree(Dying, TreeFiles):
        pass

    def unlink(_path: Path, **_how: bool) -> None:
        raise OSError(errno.EIO, "Input/output error")

    database = tmp_path / "keten.db"
    upgrade(database)
    monkeypatch.setattr(Path, "unlink", unlink)
    for attempt in (
        lambda: Dying().write(tmp_path / "file", b"new"),
        lambda: LocalStore(tmp_path / "store", Dying()).put(new_id(), [b"x"]),
        lambda: DyingTree(tmp_path).write_all([(tmp_path / "tile", b"x")]),
        lambda: before_upgrade(database, "0001", Dying()),
    ):
        with pytest.raises(FsyncFailed):
            attempt()


def test_a_failed_fsync_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(FsyncFailed):
        Files().write(path, b"new")
    with pytest.raises(FsyncFailed):
        Files().sync_folder(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_folders_are_made_with_their_parents(tmp_path: Path) -> None:
    Files().make_folder(tmp_path / "a" / "b" / "c", 0o750)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o750
    Files().make_folder(tmp_path / "a" / "b" / "c", 0o700)
    assert stat.S_IMODE((tmp_path / "a" / "b" / "c").stat().st_mode) == 0o750, "what is there stays as it is"


def test_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Files().write(tmp_path / "nowhere" / "file", b"")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        Files().make_folder(tmp_path / "file" / "below")


def test_what_a_disk_error_says() -> None:
    assert disk_error(OSError(errno.ENOSPC, "x"), Path("/a")).code == "disk-full"
    assert disk_error(OSError(errno.EIO, "x"), Path("/a")).code == "write-failed"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the disk was told, in order: fsyncs and renames, with the name of the file or folder."""
    told: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        told.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        told.append(("rename", f"{Path(source).name} {Path(target).name}"))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    return told


def test_content_is_durable_before_its_name_and_its_name_before_the_answer(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    Files().write(tmp_path / "root.key", b"key")
    temporary = calls[0][1]
    assert calls == [("fsync", temporary), ("rename", f"{temporary} root.key"), ("fsync", tmp_path.name)]
    assert temporary != "root.key"


def test_the_same_of_a_blob_and_of_its_removal(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    key = new_id()
    store = LocalStore(tmp_path)
    store.put(key, [b"a", b"b"])
    folder = ("fsync", key[:2])
    assert calls == [("fsync", tmp_path.name), ("fsync", f".{key}.tmp"), ("rename", f".{key}.tmp {key}"), folder]
    calls.clear()
    assert store.delete(key)
    assert calls == [folder]
