"""Backups and restores that are killed, and disks that are full or damaged while they run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from tests.fault.small_disk import MIB, small_disk
from tests.town import Town

pytestmark = pytest.mark.slow  # a minute of processor time; `make fault` runs them
FILES, SIZE = 12, 3 * MIB


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A stopped instance with some content."""
    folder = tmp_path_factory.mktemp("faults")
    made = Town(folder)
    with made.keten:
        made.apply()
        (folder / "content").mkdir()
        for number in range(FILES):
            (folder / "content" / f"{number}.bin").write_bytes(os.urandom(SIZE))
        made.keten.run("put", "voters", *(str(path) for path in sorted((folder / "content").iterdir())))
        (folder / "identity.txt").write_text(f"{pyrage.x25519.Identity.generate()}\n")
        yield made


def recipient(town: Town) -> str:
    text = (town.keten.folder / "identity.txt").read_text().strip()
    return str(pyrage.x25519.Identity.from_str(text).to_public())


def started(town: Town, *words: str, home: Path | None = None) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "keten", *words, "--home", str(home or town.keten.home), "--json"]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed_when(process: subprocess.Popen[str], ready: Path, lines: int) -> bool:
    """Kill -9 once a file has so many lines; whether it came to that before the process ended."""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and process.poll() is None:
        if ready.exists() and ready.read_bytes().count(b"\n") >= lines:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    process.communicate(timeout=100)
    return process.returncode == -signal.SIGKILL


def restored(town: Town, backup: str, home: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "keten", "restore", backup, "--identity", str(town.keten.folder / "identity.txt")]
    return subprocess.run([*line, "--home", str(home), "--json"], capture_output=True, text=True, check=False)


def test_a_backup_that_is_killed_goes_on_where_its_content_was(town: Town, tmp_path: Path) -> None:
    target = tmp_path / "bk"
    process = started(town, "backup", str(target), "--to", recipient(town))
    killed = killed_when(process, target / "content" / "digests.jsonl", 3)
    assert killed
    [unfinished] = [path for path in target.iterdir() if path.name not in ("content", ".lock")]
    assert not (unfinished / "backup.json").exists()
    refused = restored(town, str(unfinished), tmp_path / "no")
    assert (refused.returncode, (tmp_path / "no").exists()) == (2, False)
    again = town.keten.run("backup", str(target), "--to", recipient(town))
    assert again["ok"]
    assert again["kept"] >= 3
    assert again["kept"] + again["copied"] == FILES
    (known,) = town.keten.run("backup", "--list")  # what was not finished is no backup, and forgotten
    assert (known["folder"], known["state"], known["size"]) == (again["folder"], "complete", again["size"])
    assert restored(town, again["folder"], tmp_path / "yes").returncode == 0


def test_a_full_target_is_said_and_nothing_that_looks_like_a_backup_is_left(town: Town, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 16):
        process = started(town, "backup", str(tmp_path / "small"), "--to", recipient(town))
        _out, said = process.communicate(timeout=200)
        assert process.returncode == 3
        assert "full" in said
        assert not list((tmp_path / "small").glob("*/backup.json"))
        assert not list((tmp_path / "small").glob("*/.*.tmp"))
    made = town.keten.command("backup", str(tmp_path / "large"), "--to", recipient(town))
    assert (made.returncode, f"{recipient(town)[:40]}…" in made.stdout) == (0, True), made.stdout


def test_content_that_is_cut_off_or_gone_in_the_store_is_named(town: Town, tmp_path: Path) -> None:
    blobs = sorted(path for path in town.keten.paths.store.glob("*/*") if path.stat().st_size > SIZE)
    kept = blobs[0].read_bytes()
    try:
        blobs[0].write_bytes(kept[:MIB])
        cut = town.keten.run("backup", str(tmp_path / "cut"), "--to", recipient(town), expect=1)
        assert len(cut["faults"]) == 1
        assert "bytes instead of" in cut["faults"][0]
        blobs[0].unlink()
        gone = town.keten.run("backup", str(tmp_path / "gone"), "--to", recipient(town), expect=1)
        assert "missing" in gone["faults"][0]
    finally:
        blobs[0].write_bytes(kept)
    back = restored(town, gone["folder"], tmp_path / "restored")
    assert back.returncode == 1
    assert len(json.loads(back.stdout)["missing"]) == 1


def test_what_is_damaged_in_the_backup_is_copied_again(town: Town, tmp_path: Path) -> None:
    target = tmp_path / "bk"
    town.keten.run("backup", str(target), "--to", recipient(town))
    blob = next(path for path in (target / "content").glob("*/*") if path.stat().st_size > SIZE)
    data = bytearray(blob.read_bytes())
    data[SIZE // 2] ^= 1
    blob.write_bytes(data)
    again = town.keten.run("backup", str(target), "--to", recipient(town), expect=1)
    assert (again["copied"], again["kept"]) == (1, FILES - 1)
    assert "damaged in the backup" in again["faults"][0]
    assert blob.read_bytes() != bytes(data)


def test_a_restore_that_is_killed_is_no_instance(town: Town, tmp_path: Path) -> None:
    made = town.keten.run("backup", str(tmp_path / "bk"), "--to", recipient(town))
    home = tmp_path / "home"
    words = ("restore", made["folder"], "--identity", str(town.keten.folder / "identity.txt"))
    process = started(town, *words, home=home)
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and process.poll() is None and len(list((home / "store").glob("*/*"))) < 3:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=100)
    assert process.returncode == -signal.SIGKILL
    line = [sys.executable, "-m", "keten", "ledger", "verify", "--home", str(home)]
    assert subprocess.run(line, capture_output=True, check=False).returncode == 3
    whole = {path: path.stat().st_mtime_ns for path in (home / "store").glob("*/[!.]*")}
    assert whole
    other = town.keten.run("backup", str(tmp_path / "other"), "--to", recipient(town))
    refused = restored(town, other["folder"], home)
    assert (refused.returncode, "was begun" in refused.stderr) == (2, True)
    again = restored(town, made["folder"], home)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in whole} == whole, "content that was there is not copied again"
    assert len(list((home / "store").glob("*/*"))) == FILES
    assert subprocess.run(line, capture_output=True, check=False).returncode == 0
    assert not (home / "restore.json").exists()
    assert restored(town, made["folder"], home).returncode == 2, "now it is an instance"


def test_a_move_that_is_killed_is_given_again(tmp_path: Path) -> None:
    made = Town(tmp_path)
    with made.keten:
        made.apply()
        made.keten.run("put", "voters", str(made.voters))
        (tmp_path / "identity.txt").write_text(f"{pyrage.x25519.Identity.generate()}\n")
        process = started(made, "backup", str(tmp_path / "bk"), "--to", recipient(made), "--move")
        assert killed_when(process, tmp_path / "bk" / "content" / "digests.jsonl", 1) or process.returncode == 0
        refused = made.keten.command("ledger", "export", str(tmp_path / "export"))
        assert "was moved" in refused.stderr
        moved = made.keten.run("backup", str(tmp_path / "again"), "--to", recipient(made), "--move")
        assert moved["moved"]
        old_key = (made.keten.paths.ledger / "key.pub").read_text()
        line = ["restore", moved["folder"], "--identity", str(tmp_path / "identity.txt"), "--move"]
        there = tmp_path / "there"
        done = subprocess.run(
            [sys.executable, "-m", "keten", *line, "--home", str(there)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert (there / "ledger" / "key.pub").read_text() == old_key
        shown = subprocess.run(
            [sys.executable, "-m", "keten", "ledger", "show", "--json", "--home", str(there)],
            capture_output=True,
            text=True,
            check=True,
        )
        kinds = [json.loads(line)["kind"] for line in shown.stdout.splitlines()]
        assert kinds[-2:] == ["keeper.instance.moved", "keeper.instance.arrived"]
        verified = [sys.executable, "-m", "keten", "ledger", "verify", "--home", str(there)]
        assert subprocess.run(verified, capture_output=True, check=False).returncode == 0
