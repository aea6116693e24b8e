"""The three things to try, as commands that can be copied into any shell."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from keten.cli.demo import estate
from keten.cli.demo.folder import Folder, checkout
from keten.core.settings import Paths


def things(folder: Folder, ends: datetime) -> list[dict[str, Any]]:
    """Title and commands of each."""
    home = f"--home {_quoted(folder.instance)}"
    local = ends.astimezone(ZoneInfo(estate.ZONE))
    return [
        {
            "title": "Be a supplier: fetch 200 MB, decrypted on the way and checked against the ledger. "
            "It appears on the page.",
            "commands": [_as(folder, estate.ARCHIVE, f"get /migratie/zaken-export.csv -o {_out(folder)} --force")],
        },
        {
            "title": "End a supplier's access, for good. The second command is that supplier, refused from then on.",
            "commands": [
                f"{_keten()} revoke supplier drukwerk --reason 'stempassen zijn verstuurd' {home}",
                _as(folder, estate.PRINTER, "ls"),
            ],
        },
        {
            "title": f"Cheat: after {local:%H:%M:%S}, when the contract of Zorgvervoer Oost is over, make it last "
            "until 2099 in the database.\n   Access stays denied, and the ledger names the row that someone changed.",
            "commands": [
                _cheat(folder, local),
                _as(folder, estate.CARRIER, "ls"),
                f"{_keten()} ledger verify {home}",
            ],
        },
    ]


def _keten() -> str:
    """How this Keten is called from a shell, wherever that stands."""
    root = checkout()
    return "keten" if root is None else _quoted(root / "keten")


def _as(folder: Folder, client: str, words: str) -> str:
    config = folder.login(estate.SUPPLIERS[client]) / "config"
    return f"XDG_CONFIG_HOME={_quoted(config)} {_keten()} {words}"


def _out(folder: Folder) -> str:
    return _quoted(folder.login(estate.SUPPLIERS[estate.ARCHIVE]) / "zaken-export.csv")


def _cheat(folder: Folder, ends: datetime) -> str:
    """Change the contract's row as someone with the database file would, with nothing but Python's standard library."""
    year = datetime(2099, 12, 31, 23, tzinfo=UTC)
    old, new = (f"{int(moment.timestamp())}000000" for moment in (ends, year))
    what = ", ".join(f"'{value}'" for value in (old, new, estate.SHORT_CONTRACT))
    # Nothing in it that a shell would look at between double quotes.
    script = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); "
        "print(db.execute('UPDATE contracts SET body = CAST(replace(body, ?, ?) AS BLOB) WHERE name = ?', "
        "(WHAT)).rowcount, 'row changed'); db.commit()"
    ).replace("WHAT", what)
    return f'{_quoted(sys.executable)} -c "{script}" {_quoted(Paths(folder.instance).database)}'


def _quoted(word: str | Path) -> str:
    return shlex.quote(str(word))
