"""Names of files of the public ledger: nothing but files of the tree is ever read, by their one spelling."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from keten.core.errors import KetenError
from keten.gateway.ledger_files import LedgerFiles
from keten.ledger.tiles import parse_path
from tests.fuzz.target import Target, text_of

NAMES = ("checkpoint", "key.pub", "tile/0/000", "tile/entries/x001/234.p/7", "tile/0/x001/x234/067")
HIDDEN = ("secret", "tile/secret", "tile/0/secret", ".staging/000")


@functools.cache
def _public() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    """A tree, with what must not be read in it and beside it; each file holds its own name."""
    held = tempfile.TemporaryDirectory(prefix="keten-fuzz-")
    root = Path(held.name) / "ledger"
    for name in (*NAMES, *HIDDEN, "../secret"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (root / "tile/0/001").symlink_to(root.parent / "secret")
    return held, root


def check(data: bytes) -> bool:
    name = text_of(data)
    try:
        found = LedgerFiles(_public()[1]).read(name)
    except KetenError:
        return False
    if found is None:
        return False
    assert name in NAMES, "one spelling"
    assert found[2] == name.encode()
    assert "/" not in name or parse_path(name).path() == name
    return True


TARGET = Target(
    "ledger-path",
    check,
    lambda: [name.encode() for name in NAMES],
    words=(b"/../", b"tile", b"entries", b".p/", b"x001", b"secret", b"tile/0/001", b"000", b"%2e", b"//"),
    longest=300,
)
