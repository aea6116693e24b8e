"""The store of blobs: durable, all or nothing, and what a killed put left is found and removed."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Corrupt, FsyncFailed, Invalid, Unavailable
from keten.core.files import Files, umask
from keten.core.ids import new_id
from keten.core.storage import LocalStore

KEY = "a" * 26


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def files(store: LocalStore) -> list[Path]:
    return [path for path in store._root.rglob("*") if path.is_file()]


def test_put_and_read(store: LocalStore) -> None:
    assert store.put(KEY, [b"one", b"", b"two"]) == 6
    blob = store.open(KEY)
    assert blob.size == 6
    for at, count, found in ((0, 6, b"onetwo"), (2, 2, b"et"), (5, 9, b"o"), (6, 1, b"")):
        assert blob.read_at(at, count) == found
    blob.close()
    blob.close()
    assert list(store.keys()) == [KEY]
    (path,) = files(store)
    assert path.parent.name == KEY[:2]
    assert not stat.S_IMODE(path.stat().st_mode) & 0o027


def test_a_folder_that_a_killed_put_made_is_durable_before_the_answer(tmp_path: Path) -> None:
    synced: list[Path] = []

    class Noting(Files):
        def sync_folder(self, folder: Path) -> None:
            super().sync_folder(folder)
            synced.append(folder)

    root = tmp_path / "store"
    (root / KEY[:2]).mkdir(parents=True)
    LocalStore(root, Noting()).put(KEY, [b"x"])
    assert synced == [root, root / KEY[:2]]


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_the_group_reads_whatever_the_shell_forbids(store: LocalStore, mask: int) -> None:
    with umask(mask):
        store.put(KEY, [b"x"])
        assert os.umask(mask) == mask, "and the shell's own is as before"
    (path,) = files(store)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)] == [0o640, 0o750]


@given(st.lists(st.binary(max_size=5000), max_size=5), st.integers(0, 30_000), st.integers(0, 30_000))
def test_any_range_of_any_content(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], at: int, n: int
) -> None:
    store, key, whole = LocalStore(tmp_path_factory.getbasetemp() / "ranges"), new_id(), b"".join(parts)
    assert store.put(key, parts) == len(whole)
    blob = store.open(key)
    assert blob.read_at(at, n) == whole[at : at + n]
    blob.close()
    assert store.delete(key)


def test_several_readers_of_one_handle(store: LocalStore) -> None:
    content = os.urandom(200_000)
    store.put(KEY, [content])
    blob = store.open(KEY)
    wrong: list[int] = []

    def read(start: int) -> None:
        wrong.extend(at for at in range(start, 199_000, 997) if blob.read_at(at, 500) != content[at : at + 500])

    threads = [threading.Thread(target=read, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    blob.close()
    assert wrong == []


@pytest.mark.parametrize(
    "key", ["", "../etc/passwd", "a" * 25 + "/", "a" * 27, "A" * 26, "a" * 25 + "\0", f".{KEY}.tmp"]
)
def test_a_key_is_never_a_path(store: LocalStore, key: str) -> None:
    for attempt in (lambda: store.put(key, [b"x"]), lambda: store.open(key), lambda: store.delete(key)):
        with pytest.raises(Invalid):
            attempt()
    assert not store._root.exists()


def test_what_is_not_there(store: LocalStore) -> None:
    with pytest.raises(Corrupt) as caught:
        store.open(KEY)
    assert caught.value.code == "content-missing"
    assert not store.delete(KEY)
    assert list(store.keys()) == []


def test_a_link_is_not_followed(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "store" / KEY[:2]).mkdir(parents=True)
    (tmp_path / "store" / KEY[:2] / KEY).symlink_to(tmp_path / "secret")
    with pytest.raises(Unavailable, match=os.strerror(errno.ELOOP)):
        store.open(KEY)


def test_content_that_fails_while_it_is_read(store: LocalStore) -> None:
    def parts() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put(KEY, parts())
    assert files(store) == []
    assert list(store.keys()) == []


class Full(Files):
    def sync(self, stream: BinaryIO) -> None:
        stream.flush()
        raise OSError(errno.ENOSPC, "No space left on device")


class Lost(Files):
    def sync(self, stream: BinaryIO) -> None:
        stream.flush()
        raise FsyncFailed("fsync-failed", "The disk failed.")


@pytest.mark.parametrize(("failing", "code"), [(Full(), "disk-full"), (Lost(), "fsync-failed")])
def test_a_disk_that_fails_leaves_nothing(tmp_path: Path, failing: Files, code: str) -> None:
    store = LocalStore(tmp_path / "store", failing)
    with pytest.raises(Unavailable) as caught:
        store.put(KEY, [b"x" * 100_000])
    assert caught.value.code == code
    assert files(store) == []


KILLED = """
import os, sys, time
from pathlib import Path
from keten.core.storage import LocalStore

def parts():
    yield b"x" * 300_000
    print("writing", flush=True)
    time.sleep(60)

LocalStore(Path(sys.argv[1])).put(sys.argv[2], parts())
"""


def test_what_a_killed_put_left_is_found_and_removed(store: LocalStore) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store._root), KEY], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    assert len(files(store)) == 1
    assert list(store.keys()) == [KEY]
    with pytest.raises(Corrupt):
        store.open(KEY)
    assert store.delete(KEY)
    assert files(store) == []
    assert list(store.keys()) == []
    assert not store.delete(KEY)


def test_other_files_are_nobodys_blob(store: LocalStore) -> None:
    store.put(KEY, [b"x"])
    folder = store._root / KEY[:2]
    for name in ("notes.txt", ".hidden", f"{KEY}.tmp.old", f"..{KEY}.tmp", "b" * 26, f".{KEY}"):
        (folder / name).write_bytes(b"")
    (store._root / "lost+found").mkdir()
    (store._root / "file").touch()
    assert sorted(store.keys()) == [KEY]
