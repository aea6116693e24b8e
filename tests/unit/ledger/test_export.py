"""An export is a consistent copy, or none at all."""

from __future__ import annotations

import base64
import errno
import hashlib
import hmac
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from keten.core.errors import Conflict, Corrupt, Invalid, KetenError, Unavailable
from keten.core.files import Files
from keten.ledger import export as module
from keten.ledger.export import UNFINISHED, export
from keten.ledger.model import Draft
from keten.ledger.notes import parse_checkpoint
from keten.ledger.tiles import TileReader, tiles_between
from tests.made_ledger import OPENED, MadeLedger


@pytest.fixture
def made(tmp_path: Path) -> MadeLedger:
    ledger = MadeLedger.create(tmp_path / "made")
    ledger.fill(600)
    return ledger


def _export(made: MadeLedger, target: Path, **options: Any) -> module.Exported:
    with made.reading() as connection:
        return export(connection, made.folder, target, **options)


def _lines(target: Path) -> list[dict[str, Any]]:
    text = (target / "entries.jsonl").read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def _files(target: Path) -> set[str]:
    return {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()}


def test_an_export_is_the_ledger_at_one_checkpoint(made: MadeLedger, tmp_path: Path) -> None:
    target = tmp_path / "audit" / "2026"
    progress: list[tuple[int, int]] = []
    done = _export(made, target, progress=lambda *at: progress.append(at))
    head = made.head()
    assert (done.origin, done.size, done.root) == (made.signer.name, 600, head.root.hex())
    assert (target / "key.pub").read_text(encoding="utf-8") == made.key + "\n"
    checkpoint = parse_checkpoint((target / "checkpoint").read_bytes(), made.verifier)
    assert (checkpoint.size, checkpoint.root) == (600, head.root)
    tree = {tile.path() for tile in tiles_between(0, 600)}
    assert _files(target) == {"checkpoint", "key.pub", "entries.jsonl"} | tree
    assert progress[-1] == (600, 600)
    assert target.stat().st_mode & 0o077 == 0
    assert (target / "entries.jsonl").stat().st_mode & 0o077 == 0


def test_every_payload_is_the_one_its_leaf_commits_to(made: MadeLedger, tmp_path: Path) -> None:
    target = tmp_path / "audit"
    _export(made, target)
    reader = TileReader(target, 600, made.head().root)
    lines = _lines(target)
    assert [line["index"] for line in lines] == list(range(600))
    for line in lines:
        assert set(line) == {"index", "id", "payload", "salt", "state"}
        assert line["state"] == "present"
        message = line["id"].encode() + b"\0" + line["payload"].encode()
        commitment = hmac.new(base64.b64decode(line["salt"]), message, hashlib.sha256).hexdigest()
        leaf = json.loads(reader.leaf(line["index"]))
        assert leaf == {"id": line["id"], "v": 1, "commitment": commitment}


def test_it_is_consistent_while_entries_are_recorded(made: MadeLedger, tmp_path: Path) -> None:
    target = tmp_path / "audit"

    def record(_done: int, _total: int) -> None:
        made.record(Draft(OPENED, "keeper"))

    _export(made, target, progress=record)
    assert made.head().size > 600
    assert len(_lines(target)) == 600
    assert parse_checkpoint((target / "checkpoint").read_bytes(), made.verifier).size == 600


def test_an_erased_entry_has_no_payload(made: MadeLedger, tmp_path: Path) -> None:
    _damage(made, "UPDATE entries SET payload = NULL, salt = NULL WHERE idx = 9")
    target = tmp_path / "audit"
    _export(made, target)
    line = _lines(target)[9]
    assert (line["payload"], line["salt"], line["state"]) == (None, None, "erased")


def test_an_empty_folder_is_used(made: MadeLedger, tmp_path: Path) -> None:
    target = tmp_path / "audit"
    target.mkdir()
    _export(made, target)
    assert len(_lines(target)) == 600


def test_a_folder_with_something_in_it_is_refused(made: MadeLedger, tmp_path: Path) -> None:
    target = tmp_path / "audit"
    target.mkdir()
    (target / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(Conflict) as refused:
        _export(made, target)
    assert refused.value.code == "not-empty"
    assert _files(target) == {"notes.txt"}


def test_an_export_is_never_written_over(made: MadeLedger, tmp_path: Path) -> None:
    target = tmp_path / "audit"
    _export(made, target)
    before = {path: (target / path).read_bytes() for path in _files(target)}
    with pytest.raises(Conflict):
        _export(made, target)
    assert {path: (target / path).read_bytes() for path in _files(target)} == before


def test_a_file_is_no_target(made: MadeLedger, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.touch()
    with pytest.raises(Invalid) as refused:
        _export(made, target)
    assert refused.value.code == "export-target"
    with pytest.raises((Invalid, Unavailable)):
        _export(made, target / "below")


def _damage(made: MadeLedger, statement: str) -> None:
    with closing(sqlite3.connect(made.database)) as connection:
        assert connection.execute(statement).rowcount
        connection.commit()


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DELETE FROM entries WHERE idx = 300", "entry-missing"),
        ("DELETE FROM entries WHERE idx = 599", "entry-missing"),
        ("UPDATE entries SET leaf = x'7b7d' WHERE idx = 300", "root-wrong"),
        ("UPDATE entries SET payload = x'ff' WHERE idx = 300", "entry-damaged"),
        ("UPDATE entries SET payload = 'text' WHERE idx = 300", "entry-damaged"),
        ("UPDATE entries SET salt = 12 WHERE idx = 300", "entry-damaged"),
        ("UPDATE head SET size = size - 1", "head-damaged"),
        ("DELETE FROM head", "head-missing"),
    ],
)
def test_what_is_damaged_is_not_exported(made: MadeLedger, tmp_path: Path, statement: str, code: str) -> None:
    _damage(made, statement)
    target = tmp_path / "audit"
    with pytest.raises(Corrupt) as refused:
        _export(made, target)
    assert refused.value.code == code
    assert not target.exists() or list(target.iterdir()) == []


def test_without_the_key_nothing_is_exported(made: MadeLedger, tmp_path: Path) -> None:
    (made.folder / "key.pub").write_bytes(b"\xff")
    with pytest.raises(Corrupt):
        _export(made, tmp_path / "audit")
    (made.folder / "key.pub").unlink()
    with pytest.raises(Unavailable):
        _export(made, tmp_path / "audit")
    assert not (tmp_path / "audit").exists()


class Full(Files):
    """A disk that is full when the payloads are made durable."""

    def sync(self, stream: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(stream.name))


def test_a_full_disk_leaves_nothing(made: MadeLedger, tmp_path: Path) -> None:
    target = tmp_path / "audit"
    with pytest.raises(Unavailable) as failed:
        _export(made, target, files=Full())
    assert failed.value.code == "disk-full"
    assert list(target.iterdir()) == []
    _export(made, target)  # and it can be done again


class Stopping(Files):
    """Killed at the n-th rename."""

    def __init__(self, after: int) -> None:
        self._left = after

    def rename(self, source: Path, target: Path) -> None:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        super().rename(source, target)


def test_half_an_export_is_never_taken_for_one(made: MadeLedger, tmp_path: Path) -> None:
    """Whenever it is stopped: no checkpoint, and the mark of an unfinished one, which is not written over."""
    for after in range(5):
        target = tmp_path / f"audit-{after}"
        with pytest.raises(KeyboardInterrupt):
            _export(made, target, files=Stopping(after))
        left = {path.name for path in target.iterdir()}
        assert "checkpoint" not in left
        assert (UNFINISHED in left) == bool(left)
        if left:
            with pytest.raises(KetenError, match="not finished"):
                _export(made, target)
