"""The ledger's public tree, read-only: names in the one spelling of c2sp.org/tlog-tiles, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from keten.core.errors import Corrupt, Invalid
from keten.ledger.succession import MAX_BYTES, PREDECESSORS
from keten.ledger.tiles import MAX_BUNDLE_BYTES, parse_path, read_file

MAX_NOTE = 64 * 1024
_TEXT = b"text/plain; charset=utf-8"
_FOR_EVER = b"public, max-age=31536000, immutable"
_NOW = b"no-cache"


class LedgerFiles:
    """The files of `settings.paths.ledger` that anyone may read."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def there(self, names: Iterable[str]) -> frozenset[str]:
        """Which of these there are."""
        return frozenset(name for name in names if (self._root / name).is_file())

    def read(self, name: str) -> tuple[bytes, bytes, bytes] | None:
        """Content type, caching and content of a file; None when there is none, or the name is not one of a tree."""
        if name in ("checkpoint", "witnessed", "key.pub"):
            kind, caching, limit = _TEXT, _NOW, MAX_NOTE
        elif name == PREDECESSORS:
            kind, caching, limit = _TEXT, _NOW, MAX_BYTES
        else:
            try:
                name = parse_path(name).path()
            except Invalid:
                return None
            kind, caching, limit = b"application/octet-stream", _FOR_EVER, MAX_BUNDLE_BYTES
        try:
            return kind, caching, read_file(self._root, name, limit)
        except Corrupt as error:
            if error.code == "tile-missing":
                return None
            raise
