"""What may lie in the public folder: the log's own files, and what a power cut left of writing one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from keten.core.files import Files
from keten.ledger.tilefaults import list_tiles


def found(folder: Path) -> list[str]:
    return [fault.file for fault in list_tiles(folder)[1]]


def test_what_a_power_cut_left_of_a_file_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `Files.write` itself names it: the rename that was under way is what the cut took."""
    left: list[Path] = []
    monkeypatch.setattr(Files, "rename", lambda _self, source, _target: left.append(source))
    for name in ("key.pub", "checkpoint"):
        Files().write(tmp_path / name, b"unfinished\n")
    assert [path.exists() for path in left] == [True, True]
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    ["other", ".key.pub.tmp", ".key.pub.aaaaaaa1.tmp", ".other.aaaaaaaa.tmp", "key.pub.aaaaaaaa.tmp", ".aaaaaaaa.tmp"],
)
def test_anything_else_is_a_stranger(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert found(tmp_path) == [name]


def test_it_belongs_beside_its_file_only(tmp_path: Path) -> None:
    (tmp_path / "tile" / "0").mkdir(parents=True)
    (tmp_path / "tile" / "0" / ".key.pub.aaaaaaaa.tmp").write_bytes(b"x")
    assert found(tmp_path) == ["tile/0/.key.pub.aaaaaaaa.tmp"]
