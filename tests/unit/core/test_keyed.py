"""A file of small values: all of a change or nothing of it, and no value that is not as it was written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from keten.core.errors import Corrupt, Unavailable
from keten.core.keyed import Keyed, remove


def test_what_was_committed_is_there_and_nothing_else(tmp_path: Path) -> None:
    file = Keyed(tmp_path / "states")
    file.put([(0, "a", 1, b"one"), (1, "a", 1, b"other")])
    file.commit({"cursor": b"1"})
    file.put([(0, "a", 2, b"two"), (0, "b", 2, b"new")])
    assert (file.get(0, "a"), file.get(0, "b")) == (b"two", b"new")
    file.close()
    file = Keyed(tmp_path / "states")
    assert (file.get(0, "a"), file.get(0, "b"), file.get(1, "a")) == (b"one", None, b"other")
    assert (file.note("cursor"), file.note("other")) == (b"1", None)
    file.close()


def test_going_back_and_forgetting() -> None:
    file = Keyed(None)
    file.put([(0, "a", 1, b"1"), (0, "b", 5, b"2"), (1, "a", 1, b"3")])
    file.commit({})
    file.put([(0, "a", 9, b"9")])
    file.rollback()
    assert file.get(0, "a") == b"1"
    file.forget(0, 5)
    assert (file.get(0, "a"), file.get(0, "b"), file.get(1, "a")) == (None, b"2", b"3")
    assert (file.count(0), file.count(1)) == (1, 1)
    file.check()
    file.close()


def test_a_value_under_another_key_is_damage(tmp_path: Path) -> None:
    file = Keyed(tmp_path / "states")
    file.put([(0, "a", 1, b"one"), (0, "b", 1, b"two")])
    file.commit({})
    file.close()
    raw = sqlite3.connect(tmp_path / "states")
    raw.execute("UPDATE held SET value = (SELECT value FROM held WHERE key = 'b') WHERE key = 'a'")
    raw.commit()
    raw.close()
    file = Keyed(tmp_path / "states")
    assert file.get(0, "b") == b"two"
    with pytest.raises(Corrupt, match="damaged"):
        file.get(0, "a")
    with pytest.raises(Corrupt, match="damaged"):
        file.check()
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_such_file(tmp_path: Path) -> None:
    path = tmp_path / "states"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(Corrupt):
        Keyed(path)
    remove(path)
    Keyed(path).close()
    with pytest.raises(Unavailable):
        Keyed(tmp_path / "no folder" / "states")


def test_two_cannot_hold_one_file(tmp_path: Path) -> None:
    file = Keyed(tmp_path / "states")
    with pytest.raises(Unavailable):
        Keyed(tmp_path / "states")
    file.close()
