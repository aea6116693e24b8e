"""Logs that grow, are rotated, compressed, cut short, half written or damaged: each line once."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import msgspec
import pytest

from keten.watch.flows.following import HEAD, Cursor, Following
from keten.watch.flows.lines import LONGEST


class Log:
    """A log, and who follows it."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        self.names = [folder / name for name in names or ("flows.log",)]
        self.path = self.names[0]
        self.following = Following(self.names)
        self._number = 0

    def write(self, count: int = 1, *, length: int = 60) -> list[str]:
        """Lines that are each another one."""
        lines = []
        for _ in range(count):
            self._number += 1
            lines.append(f"{self._number} ".ljust(length, "x"))
        with self.path.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))
        return lines

    def new(self, most: int = 2**60) -> list[str]:
        """What has not been read."""
        return [line for part in self.following.parts(most) for line in part.lines]

    def again(self) -> None:
        """Whoever follows it was killed, and goes on from what was kept."""
        kept = msgspec.msgpack.decode(msgspec.msgpack.encode(self.following.cursors), type=list[Cursor])
        self.following.close()
        self.following = Following(self.names, kept)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


@pytest.mark.parametrize("length", [60, 3 * HEAD], ids=["short", "long"])
@pytest.mark.parametrize("killed", [False, True])
def test_it_grows_and_is_rotated(log: Log, length: int, killed: bool) -> None:
    written = log.write(3, length=length)
    assert log.new() == written
    assert log.new() == []
    last = log.write(2, length=length)
    log.path.rename(log.path.with_name("flows.log.1"))
    first = log.write(2, length=length)
    if killed:
        log.again()
    assert sorted(log.new()) == sorted(last + first)
    assert log.new() == []


@pytest.mark.parametrize("killed", [False, True])
def test_it_is_compressed_with_lines_that_nobody_had_read(log: Log, killed: bool) -> None:
    written = log.write(200)
    assert log.new() == written
    last = log.write(300)
    packed = log.path.with_name("flows.log.1.gz")
    packed.write_bytes(gzip.compress(log.path.read_bytes()))
    log.path.unlink()
    if killed:
        log.again()
    assert log.new() == last
    log.again()
    assert log.new() == []


def test_it_is_copied_and_truncated(log: Log) -> None:
    written = log.write(200)
    assert log.new() == written
    last = log.write(100)
    log.path.with_name("flows.log.1").write_bytes(log.path.read_bytes())
    os.truncate(log.path, 0)
    assert log.new() == last
    fresh = log.write(300)
    assert log.new() == fresh
    os.truncate(log.path, 100 * 61)  # somebody cut it
    assert log.new() == []
    assert log.new() == []
    assert log.write(1) == log.new()


def test_half_a_line_waits_for_the_rest(log: Log) -> None:
    log.path.write_bytes(b"one\ntw")
    assert log.new() == ["one"]
    assert log.new() == []
    log.again()
    with log.path.open("ab") as file:
        file.write(b"o\xff\nthree\n")
    assert log.new() == ["two\N{REPLACEMENT CHARACTER}", "three"]


def test_a_line_without_an_end_is_left_out_and_takes_no_memory(log: Log) -> None:
    with log.path.open("wb") as file:
        file.write(b"first\n" + b"x" * (5 * 1024 * 1024))
    assert log.new() == ["first"]
    log.again()
    assert log.following.cursors[0].skipping
    with log.path.open("ab") as file:
        file.write(b"x" * LONGEST + b"\nlast\n" + b"y" * (LONGEST + 1) + b"\nreally\n")
    parts = list(log.following.parts(2**60))
    assert [line for part in parts for line in part.lines] == ["last", "really"]
    assert sum(part.too_long for part in parts) == 2


def test_a_compressed_file_that_is_being_written_or_damaged(log: Log) -> None:
    content = "".join(f"{number} some line of it\n" for number in range(30_000)).encode()
    packed = gzip.compress(content)
    path = log.folder / "flows.log.1.gz"
    path.write_bytes(packed[: len(packed) // 2])
    read = log.new()
    assert str(path) in log.following.trouble
    assert log.new() == []  # and is not unpacked again until it changes
    assert str(path) in log.following.trouble
    path.write_bytes(packed)
    read += log.new()
    assert read == content.decode().splitlines()
    assert log.following.trouble == {str(log.path): "there is no such file"} or not log.following.trouble
    other = log.folder / "flows.log.2.gz"
    other.write_bytes(b"\x1f\x8b rubbish that is none")
    assert log.new() == []
    assert str(other) in log.following.trouble


def test_much_is_read_in_parts_also_when_it_is_compressed(log: Log) -> None:
    content = "".join(f"{number} some line of it\n" for number in range(120_000)).encode()
    (log.folder / "flows.log.1.gz").write_bytes(gzip.compress(content))
    read: list[str] = []
    rounds = 0
    while some := log.new(1):
        read += some
        rounds += 1
    assert read == content.decode().splitlines()
    assert rounds >= 3


def test_folders_patterns_and_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "inner").mkdir()
    os.mkfifo(tmp_path / "logs" / "pipe")
    (tmp_path / "logs" / "a.csv").write_text("a\n")
    (tmp_path / "logs" / "empty.csv").write_text("")
    (tmp_path / "b.json").write_text("b\n")
    (tmp_path / "secret.json").write_text("never\n")
    (tmp_path / "logs" / "dangling").symlink_to("nowhere")
    log = Log(tmp_path, "logs", "b*.json", "missing.log")
    assert sorted(log.new()) == ["a", "b"]
    assert set(log.following.trouble) == {str(tmp_path / "missing.log"), str(tmp_path / "logs" / "dangling")}
    assert log.following.files == 3


def test_two_short_logs_that_begin_alike_are_two(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("the same header\n")
    log = Log(tmp_path, "*.csv")
    assert log.new() == ["the same header"] * 2
    for name in ("a.csv", "b.csv"):
        with (tmp_path / name).open("a") as file:
            file.write(f"of {name}\n")
    assert sorted(log.new()) == ["of a.csv", "of b.csv"]
