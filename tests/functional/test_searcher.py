"""Whoever holds every remaining key and file finds nothing of what was erased; before, the searcher finds it all."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import msgspec
import pytest

from keten.core.upgrade import upgrade
from tests.fault.searcher.campaign import run
from tests.fault.searcher.ways import Found, Searcher, forms

pytestmark = pytest.mark.timeout(400)
VALUE = b"planted-0123456789abcdef0123456789abcdef"


@pytest.mark.slow
def test_nothing_of_what_was_erased_is_left(tmp_path: Path) -> None:
    result = run(tmp_path, seed=20261128, subjects=3)
    assert result.held, msgspec.json.encode(result).decode()
    assert result.erased >= 3
    assert {"utf-8", "sealed", "content"} <= set(result.control)
    assert {"drawer", "lost", "export"} == set(result.named), "what was out of reach holds it, and is named"
    assert result.verified == 3


def test_the_searcher_finds_every_form_at_every_offset(tmp_path: Path) -> None:
    """A searcher that can't find anything proves nothing."""
    (tmp_path / "keeper").mkdir()
    (tmp_path / "keeper" / "root.key").write_bytes(bytes(32))
    (tmp_path / "db").mkdir()
    upgrade(tmp_path / "db" / "keten.db")
    for number, (way, form) in enumerate(forms(VALUE).items()):
        (tmp_path / f"{way}.bin").write_bytes(b"\xff" * number + form + b"\xff")
    packed = {"zlib": zlib.compress(b"before " + VALUE), "gzip": gzip.compress(VALUE + b" after")}
    for way, content in packed.items():
        (tmp_path / f"{way}.bin").write_bytes(b"\x00" * 3 + content)
    found = Searcher(tmp_path).search({"value": VALUE, "other": VALUE[::2]})
    assert {one.name for one in found} == {"value"}
    assert {(one.way, one.where) for one in found} >= {(way, f"{way}.bin") for way in forms(VALUE)}
    assert {one for one in found if one.way == "packed"} == {Found("value", "packed", f"{way}.bin") for way in packed}
