"""Damages to bytes, wherever they are: pages of the database, its log, ciphertext, the public tree.

Nobody has to name them exactly. Each must be noticed, or else change nothing: whatever is read is as it was.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from keten.budgets.checking import ChargesCheck
from keten.core.errors import KetenError
from keten.ledger.verify import verify
from keten.vault.checking import ContentCheck
from tests.fault.damage.stock import opened_contents
from tests.made_ledger import MadeLedger

PAGE = 4096


class Raw:
    """A copy of a ledger whose files are damaged."""

    def __init__(self, made: MadeLedger, random: Random) -> None:
        self.made = made
        self.random = random

    def damage(self, path: Path, first: int, length: int) -> str:
        """Change something of these bytes of a file; what."""
        content = bytearray(path.read_bytes())
        at = first + self.random.randrange(length)
        how = self.random.choice(("bit", "bit", "byte", "sector", "cut"))
        if how == "bit":
            content[at] ^= 1 << self.random.randrange(8)
        elif how == "byte":
            content[at] = (content[at] + self.random.randrange(1, 256)) % 256
        elif how == "sector":
            begin = at // 512 * 512
            content[begin : begin + 512] = self.random.choice((bytes(512), self.random.randbytes(512)))[
                : len(content) - begin
            ]
        else:
            del content[at:]
        path.write_bytes(content)
        return f"{how} at {at} of {path.name}"


def _pages(database: Path) -> dict[str, list[int]]:
    """The database's pages by kind: "table NAME leaf" and so on; SQLite's own dbstat knows."""
    found: dict[str, list[int]] = {"header": [1]}
    with closing(sqlite3.connect(database)) as connection:
        for name, page, kind in connection.execute("SELECT name, pageno, pagetype FROM dbstat"):
            found.setdefault(f"{name} {kind}", []).append(page)
    return found


def page(raw: Raw) -> str:
    """A page of the database, of a kind drawn first, so that small tables get their share."""
    pages = _pages(raw.made.database)
    kind = raw.random.choice(sorted(pages))
    number = raw.random.choice(pages[kind])
    length = 100 if kind == "header" else PAGE
    return f"{kind}: " + raw.damage(raw.made.database, (number - 1) * PAGE, length)


def log(raw: Raw) -> str:
    """The write-ahead log with the newest entries in it."""
    path = Path(f"{raw.made.database}-wal")
    return raw.damage(path, 0, path.stat().st_size)


def tree(raw: Raw) -> str:
    """A file of the public tree."""
    paths = sorted(path for path in raw.made.folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    path = raw.random.choice([one for one in paths if one.stat().st_size])
    return raw.damage(path, 0, path.stat().st_size)


def ciphertext(raw: Raw) -> str:
    """A blob of the store."""
    path = raw.random.choice(sorted(path for path in (raw.made.home / "store").rglob("*") if path.is_file()))
    return raw.damage(path, 0, path.stat().st_size)


RAW: dict[str, Callable[[Raw], str]] = {"page": page, "log": log, "tree": tree, "ciphertext": ciphertext}


def everything(made: MadeLedger) -> Any:
    """All that can be read: each table's rows in the order of their keys, and each object's content."""
    with closing(sqlite3.connect(f"file:{made.database}?mode=ro", uri=True)) as connection:
        if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("integrity_check")
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in names}
    return rows, opened_contents(made)


def grown(made: MadeLedger, home: Path) -> MadeLedger:
    """A copy whose newest entries are in its log only, as on a running instance."""
    shutil.copytree(made.home, home)
    copy = MadeLedger(home)
    with closing(sqlite3.connect(copy.database)) as held:
        held.execute("PRAGMA wal_autocheckpoint=0")
        held.execute("SELECT count(*) FROM entries").fetchone()
        copy.time_us = made.time_us
        copy.fill(copy.head().size + 30)
        copy.publish()  # what nobody outside has seen can be taken back unseen
        copy.close()
        for suffix in ("", "-wal"):
            shutil.copy(f"{copy.database}{suffix}", home / f"kept{suffix}")
    for suffix in ("", "-wal"):
        (home / f"kept{suffix}").replace(f"{copy.database}{suffix}")
    return copy


def unnoticed(made: MadeLedger, before: Any) -> list[str]:
    """Nothing when a damage is noticed or changes nothing; else what reads differently.

    1. By `keten ledger verify`.
    2. By whoever opens the content.
    3. By SQLite's own check of the file, which `verify` need not make.
    """
    checks = ChargesCheck(), ContentCheck(made.home / "store")
    try:
        if not verify(made.database, made.folder, key=made.key, checks=checks, processes=1).ok:
            return []  # 1
        rows, contents = everything(made)  # 2, 3
    except (KetenError, sqlite3.DatabaseError):
        return []
    faults = [f"table {name} reads differently" for name in before[0] if rows.get(name) != before[0][name]]
    return faults + (["content reads differently"] if contents != before[1] else [])
