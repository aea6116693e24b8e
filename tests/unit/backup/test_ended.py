"""What ended after a backup: written beside it, and no stranger adds to it or shortens it unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from keten.backup import ended
from keten.backup.ended import Line
from keten.backup.model import Place
from keten.core.errors import Unavailable

KEY, OTHER = bytes(32), bytes([1]) * 32
BACKUP = "a" * 26
FIRST, SECOND, THIRD = (Line(at, "clients", f"{at}" * 26, "2026-01-01T00:00:00.000000Z") for at in (3, 4, 7))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path, plain=False)
    ended.begin(made, BACKUP, KEY)
    ended.append(made, BACKUP, KEY, [FIRST, SECOND])
    return made


def test_what_was_written_is_read(place: Place) -> None:
    ended.append(place, BACKUP, KEY, [THIRD])
    found = ended.read(place, BACKUP, KEY)
    assert (found.lines, found.state) == ((FIRST, SECOND, THIRD), "whole")


def test_an_empty_list_is_whole_and_none_is_missing(tmp_path: Path) -> None:
    made = Place(tmp_path, plain=False)
    assert ended.read(made, BACKUP, KEY).state == "missing"
    ended.begin(made, BACKUP, KEY)
    assert (ended.read(made, BACKUP, KEY).lines, ended.read(made, BACKUP, KEY).state) == ((), "whole")


@pytest.mark.parametrize("left", [0, 1])
def test_one_that_was_shortened(place: Place, left: int) -> None:
    lines = place.ended.read_bytes().splitlines(keepends=True)
    place.ended.write_bytes(b"".join(lines[:left]))
    found = ended.read(place, BACKUP, KEY)
    assert (len(found.lines), found.state) == (left, "shortened")
    with pytest.raises(Unavailable):
        ended.append(place, BACKUP, KEY, [THIRD])


def test_one_from_which_a_line_was_taken_in_the_middle(place: Place) -> None:
    ended.append(place, BACKUP, KEY, [THIRD])
    lines = place.ended.read_bytes().splitlines(keepends=True)
    place.ended.write_bytes(lines[0] + lines[2])
    assert ended.read(place, BACKUP, KEY).state != "whole"


def test_a_line_by_a_stranger(place: Place) -> None:
    content = place.ended.read_bytes()
    ended.append(place, BACKUP, KEY, [])
    place.ended.write_bytes(content.replace(FIRST.row.encode(), b"z" * 26))
    assert ended.read(place, BACKUP, KEY).state == "damaged"
    assert ended.read(place, BACKUP, KEY).lines == ()
    place.ended.write_bytes(content)
    assert ended.read(place, BACKUP, OTHER).state == "damaged"
    assert ended.read(place, "b" * 26, KEY).state == "damaged"


def test_a_head_by_a_stranger(place: Place) -> None:
    place.ended_head.write_bytes(place.ended_head.read_bytes().replace(b'"lines":2', b'"lines":1'))
    assert ended.read(place, BACKUP, KEY).state == "damaged"


def test_a_line_that_a_crash_cut_off_is_written_again(place: Place) -> None:
    whole = place.ended.read_bytes()
    place.ended.write_bytes(whole + b'{"number":2,"li')
    assert ended.read(place, BACKUP, KEY).state == "whole"
    ended.append(place, BACKUP, KEY, [THIRD])
    assert ended.read(place, BACKUP, KEY).lines == (FIRST, SECOND, THIRD)


def test_a_crash_between_lines_and_head(place: Place) -> None:
    head = place.ended_head.read_bytes()
    ended.append(place, BACKUP, KEY, [THIRD])
    place.ended_head.write_bytes(head)
    found = ended.read(place, BACKUP, KEY)
    assert (found.lines, found.state) == ((FIRST, SECOND, THIRD), "whole")
