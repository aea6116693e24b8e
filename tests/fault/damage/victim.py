"""A ledger that is to be damaged, with the tools of somebody who owns the machine but not the signing key."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from keten.ledger.sealing import commitment, leaf_bytes
from tests.fault.damage.stock import stock
from tests.made_ledger import MadeLedger

ENTRIES = 700  # two full blocks of 256 and a cut one


_TRIES = 300


class Exhausted(Exception):  # not an error: several damages may use up what there is
    """Nothing whole is left of what was to be damaged."""


class Victim:
    """A copy of a ledger. Damages that share one victim keep off each other's entries, rows and files (`fresh_…`)."""

    def __init__(self, made: MadeLedger, random: Random) -> None:
        self.made = made
        self.random = random
        self.folder = made.folder
        self.store = made.home / "store"
        self.size = self.value("SELECT size FROM head")
        self.posted = self.value("SELECT idx FROM cursors WHERE name = 'postings'")
        self._taken: set[object] = set()

    def run(self, statement: str, *values: Any) -> None:
        """Change the database; exactly one row at least must be touched."""
        with closing(sqlite3.connect(self.made.database)) as connection:
            done = connection.execute(statement, values).rowcount
            connection.commit()
        assert done, f"no damage done by {statement}"

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read the database."""
        with closing(sqlite3.connect(self.made.database)) as connection:
            return connection.execute(query, values).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        """One value out of the database."""
        return self.rows(query, *values)[0][0]

    def take(self, thing: object) -> bool:
        """Whether nobody has damaged this yet; from now on somebody has."""
        if thing in self._taken:
            return False
        self._taken.add(thing)
        return True

    def whole(self, index: int) -> bool:
        """Whether nobody has damaged an entry yet."""
        return ("entry", index) not in self._taken

    def index(self, low: int = 0, high: int | None = None) -> int:
        """An entry that is still whole, and so is its row in the register if it is a change to it."""
        for _ in range(_TRIES):
            index = self.random.randrange(low, self.size if high is None else high)
            if self.take(("entry", index)):
                return index
        raise Exhausted

    def file(self) -> Path:
        """A published bundle or tile that is still whole."""
        for _ in range(_TRIES):
            paths = sorted(path for path in (self.folder / "tile").rglob("*") if path.is_file())
            path = self.random.choice(paths)
            if self.take(path):
                return path
        raise Exhausted

    def current(self, path: Path) -> bool:
        """Whether a file is needed for the present checkpoint, and not left over from an earlier one."""
        full = path.parent.with_suffix("").is_file() if path.parent.suffix == ".p" else False
        widths = [int(each.name) for each in path.parent.iterdir()] if path.parent.suffix == ".p" else []
        return not full and (not widths or int(path.name) == max(widths))

    def name(self, path: Path) -> str:
        """A file's name below the public folder."""
        return path.relative_to(self.folder).as_posix()

    def client(self) -> tuple[str, int]:
        """A row of the register that is still whole: its id and its entry."""
        for _ in range(_TRIES):
            row_id, entry = self.random.choice(self.rows("SELECT id, entry FROM clients ORDER BY id"))
            if self.take(("row", row_id)):
                return row_id, entry
        raise Exhausted

    def flip(self, data: bytes) -> bytes:
        """The same bytes with one bit changed."""
        at = self.random.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << self.random.randrange(8)]) + data[at + 1 :]

    def forge(self, index: int, payload: bytes) -> None:
        """Give an entry another payload, with a salt and a leaf that fit it."""
        entry_id = self.value("SELECT id FROM entries WHERE idx = ?", index)
        salt = self.random.randbytes(32)
        leaf = leaf_bytes(entry_id, commitment(salt, entry_id, payload))
        self.run("UPDATE entries SET payload = ?, salt = ?, leaf = ? WHERE idx = ?", payload, salt, leaf, index)


def make_victims_original(home: Path) -> MadeLedger:
    """The ledger that victims are copies of: published at several sizes, its newest entries not yet posted."""
    made = MadeLedger.create(home, seed=20)
    stock(made)
    made.fill(ENTRIES, publish_at=(3, 100, 300, 500))
    made.publish()
    made.post(ENTRIES - 25)
    made.close()
    return made
