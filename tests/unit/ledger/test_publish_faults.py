"""Publishing: what is left after a power cut, a full disk or a failed fsync at any step, and how it goes on."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from keten.core.errors import FsyncFailed, KetenError, Unavailable
from keten.ledger.publish import Publisher
from keten.ledger.treefiles import TreeFiles
from tests.unit.ledger.published_log import Log, assert_published, assert_tidy


class PowerCut(BaseException):
    """The machine is gone; nothing of the writer runs on."""


class Faults(TreeFiles):
    """Counts the steps of a writer and lets one of them go wrong. Knows what a power cut may take back."""

    def __init__(self, staging: Path, at: int = -1, fault: Callable[[], None] | None = None) -> None:
        super().__init__(staging)
        self.at = at
        self.fault = fault
        self.steps: list[str] = []
        self.synced: set[bytes] = set()
        self.not_durable: list[tuple[Path, bytes | None]] = []

    def step(self, what: str) -> None:
        self.steps.append(what)
        if self.fault and len(self.steps) - 1 == self.at:
            self.fault()

    def make_folder(self, folder: Path, mode: int = 0o755) -> None:
        if not folder.exists():
            self.step("make_folder")
        super().make_folder(folder, mode)

    def write_new(self, path: Path, content: bytes) -> None:
        if self.fault and len(self.steps) == self.at:
            path.write_bytes(content[: len(content) // 2])
        self.step("write")
        super().write_new(path, content)
        self.synced.add(content)

    def sync(self, stream: BinaryIO) -> None:
        self.step("fsync")
        super().sync(stream)

    def replace(self, source: Path, target: Path) -> None:
        self.step("rename")
        assert source.read_bytes() in self.synced, "renamed before its content was durable"
        self.not_durable.append((target, target.read_bytes() if target.exists() else None))
        super().replace(source, target)

    def sync_folder(self, folder: Path) -> None:
        self.step("fsync_folder")
        super().sync_folder(folder)
        self.not_durable = [each for each in self.not_durable if each[0].parent != folder]

    def remove_folder(self, folder: Path) -> None:
        if folder.exists():
            self.step("remove")
        super().remove_folder(folder)

    def lose(self, chance: random.Random, share: float) -> None:
        """Take back renames that were not made durable, each with this chance."""
        for target, before in reversed(self.not_durable):
            if chance.random() >= share:
                continue
            if before is None:
                target.unlink(missing_ok=True)
            else:
                target.write_bytes(before)


def raising(error: BaseException) -> Callable[[], None]:
    def fault() -> None:
        raise error

    return fault


def prepared(log: Log) -> tuple[int, int]:
    """250 entries published; the next step fills two bundles and begins a third: 601."""
    log.grow([250])
    log.publisher.close()
    log.seal(601)
    return 250, 601


def count_steps(log: Log, old: int, new: int) -> list[str]:
    files = Faults(log.root / ".staging")
    publisher = Publisher(log.root, files)
    log.publish(new, old, publisher)
    publisher.close()
    return files.steps


STEPS = range(39)


def test_the_number_of_steps_is_what_the_crash_tests_cover(log: Log) -> None:
    steps = count_steps(log, *prepared(log))
    assert len(steps) == len(STEPS)
    assert {"make_folder", "write", "fsync", "rename", "fsync_folder", "remove"} == set(steps)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("at", STEPS)
def test_a_power_cut_at_any_step(log: Log, at: int, share: float) -> None:
    old, new = prepared(log)
    files = Faults(log.root / ".staging", at, raising(PowerCut()))
    publisher = Publisher(log.root, files)
    with pytest.raises(PowerCut):
        log.publish(new, old, publisher)
    publisher.close()  # as the end of its process would
    files.lose(random.Random(at), share)
    seen = assert_published(log)
    assert seen in {old, new}
    log.seal(700)
    publisher = Publisher(log.root)
    log.publish(700, seen, publisher)
    assert assert_published(log) == 700
    assert_tidy(log)


@pytest.mark.parametrize("at", STEPS)
def test_a_full_disk_at_any_step_changes_nothing(log: Log, at: int) -> None:
    old, new = prepared(log)
    files = Faults(log.root / ".staging", at, raising(OSError(errno.ENOSPC, "No space left on device")))
    publisher = Publisher(log.root, files)
    error: KetenError | None = None
    try:
        log.publish(new, old, publisher)
    except Unavailable as caught:
        error = caught
    if files.steps[at] == "remove":
        assert error is None  # published already; the old partial tiles go later
        assert assert_published(log) == new
    else:
        assert error is not None
        assert error.code == "disk-full"
        assert list((log.root / ".staging").iterdir()) == []
    seen = assert_published(log)
    assert seen in {old, new}
    log.seal(700)
    log.publish(700, seen, publisher)
    assert assert_published(log) == 700
    assert_tidy(log)


@pytest.mark.parametrize("at", STEPS)
def test_a_failed_fsync_is_final(log: Log, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = prepared(log)
    real = os.fsync

    def fail() -> None:
        def failing(_: int) -> None:
            monkeypatch.setattr(os, "fsync", real)
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", failing)

    files = Faults(log.root / ".staging", at, fail)
    publisher = Publisher(log.root, files)
    stopped = False
    try:
        log.publish(new, old, publisher)
    except FsyncFailed:
        stopped = True
    monkeypatch.setattr(os, "fsync", real)
    assert stopped or files.steps[at] == "remove"
    if stopped:
        with pytest.raises(FsyncFailed):
            log.publish(new, old, publisher)
    publisher.close()
    assert assert_published(log) in {old, new}
    log.publish(new, 0, Publisher(log.root))
    assert assert_published(log) == new


def test_partial_tiles_left_by_a_crash_go_when_a_writer_starts(log: Log) -> None:
    log.grow([250, 600])
    log.publisher.close()
    for name in ("tile/0/000.p/9", "tile/entries/001.p/9"):
        (log.root / name).parent.mkdir(parents=True)
        (log.root / name).write_bytes(b"left behind")
    log.publisher = Publisher(log.root)
    log.grow([601])
    assert_tidy(log)
