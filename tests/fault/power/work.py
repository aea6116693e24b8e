"""What an operator does at the moment of a power cut, what was acknowledged of it, and what must hold afterwards."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from keten.core.upgrade import MIGRATIONS, REVISION
from tests.town import Town

NAMES = 4
NEXT = '''"""A later revision."""
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{present}"
branch_labels = None
depends_on = None

def upgrade():
    op.create_table("later", sa.Column("id", sa.Integer(), primary_key=True))
    with op.batch_alter_table("cursors") as batch:
        batch.add_column(sa.Column("note", sa.Text(), nullable=True))
    op.execute("UPDATE cursors SET note = 'upgraded'")
'''
_UPGRADE = """
import sys
from pathlib import Path
from keten.core.upgrade import upgrade
upgrade(Path(sys.argv[1]), migrations=Path(sys.argv[2]))
"""


class Work(Protocol):
    """One thing that an operator does. `begin` starts it, `killed` is after the cut, `judge` when all runs again."""

    def begin(self) -> None:
        """Start it, and do not wait."""

    def killed(self) -> None:
        """The power is gone: whatever has not ended by now never will."""

    def judge(self) -> list[str]:
        """What does not hold."""


class _Command:
    """A command under way; `answer` is what it said, once it ended with 0 before the cut."""

    def __init__(self, words: list[str], folder: Path) -> None:
        environment = os.environ | {"XDG_CONFIG_HOME": str(folder / "config")}
        self._process = subprocess.Popen(
            [sys.executable, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self.answer: dict[str, Any] | None = None
        self.said = ""

    def killed(self) -> None:
        """Kill it, unless it has ended."""
        self._process.kill()
        out, self.said = self._process.communicate()
        if self._process.returncode == 0:
            self.answer = json.loads(out) if out.strip() else {}


class Idle:
    """Suppliers fetch; the operator does nothing."""

    def begin(self) -> None:
        """Nothing."""

    def killed(self) -> None:
        """Nothing."""

    def judge(self) -> list[str]:
        """Nothing to say."""
        return []


class Operator:
    """Does things to a town's instance; remembers what was acknowledged, and what may have been done besides."""

    def __init__(self, town: Town, disk: Path, choice: random.Random) -> None:
        self.town = town
        self.disk = disk
        self.choice = choice
        self.entries: list[str] = []
        self.contents: dict[str, set[bytes]] = {}
        self.days = {90}
        self.number = 0
        self.gone: list[str] = []

    def keten(self, *words: str) -> _Command:
        """Start a command on the instance."""
        return _Command(["-m", "keten", *words, "--home", str(self.town.keten.home), "--json"], self.town.keten.folder)

    def estate(self, days: int, extra: str = "") -> Path:
        """The estate file with another retention, and with datasets that were declared on the way."""
        datasets = "".join(
            f"  - {{id: {name}, owner: dpo, classification: confidential, retention_days: 30}}\n" for name in self.gone
        )
        path = self.town.keten.folder / f"estate-{days}.yaml"
        text = (self.town.keten.folder / "estate.yaml").read_text(encoding="utf-8")
        path.write_text(
            text.replace("retention_days: 90", f"retention_days: {days}").replace("grants:\n", f"{datasets}grants:\n")
            + extra,
            encoding="utf-8",
        )
        return path

    def work(self, what: str) -> Work:
        """Something to do, by name."""
        made: dict[str, Callable[[], Work]] = {
            "load": Idle,
            "put": lambda: Put(self),
            "apply": lambda: Apply(self),
            "destroy": lambda: Destroy(self),
            "upgrade": lambda: Upgrade(self),
            "init": lambda: Init(self),
        }
        self.number += 1
        return made[what]()


class Put:
    """Content under one of a few names."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._name = f"put-{operator.choice.randrange(NAMES)}.bin"
        self._content = operator.choice.randbytes(operator.choice.choice((1, 5_000, 300_000, 3_000_000)))
        self._command: _Command | None = None

    def begin(self) -> None:
        """Put it."""
        path = self._operator.town.keten.folder / "put.bin"
        path.write_bytes(self._content)
        self._command = self._operator.keten("put", "voters", str(path), "--as", self._name, "--replace")

    def killed(self) -> None:
        """What was acknowledged is from now on what must be there."""
        assert self._command is not None
        self._command.killed()
        may_be = self._operator.contents.setdefault(self._name, {b""})
        if self._command.answer is None:
            may_be.add(self._content)
            return
        may_be.clear()
        may_be.add(self._content)
        self._operator.entries += [one["entry"] for one in self._command.answer["objects"] if "entry" in one]

    def judge(self) -> list[str]:
        """Every name holds what was acknowledged last, or what was under way since."""
        operator = self._operator
        printer = operator.town.printer()
        listed = {one["name"]: one["id"] for share in printer.shares() for one in share["objects"]}
        wrong = []
        for name, may_be in operator.contents.items():
            found = printer.get(f"/v1/objects/{listed[name]}").body if name in listed else b""
            if found not in may_be:
                wrong.append(f"{name} holds {len(found)} bytes that are none of the {len(may_be)} it may hold")
            operator.contents[name] = {found}
        return wrong


class Apply:
    """An estate with another retention."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._days = operator.choice.randrange(30, 89)
        self._command: _Command | None = None

    def begin(self) -> None:
        """Apply it."""
        self._command = self._operator.keten("apply", str(self._operator.estate(self._days)))

    def killed(self) -> None:
        """As with content."""
        assert self._command is not None
        self._command.killed()
        self._operator.days = {self._days} | (set() if self._command.answer else self._operator.days)

    def judge(self) -> list[str]:
        """The register is as it was acknowledged: for one of these, nothing is left to change."""
        for days in sorted(self._operator.days):
            planned = self._operator.town.keten.command("apply", str(self._operator.estate(days)), "--plan", "--json")
            changes = json.loads(planned.stdout)["changes"] if planned.returncode == 0 else [{"change": "refused"}]
            if all(one["change"] == "kept-ended" for one in changes):  # destroyed on the way
                self._operator.days = {days}
                return []
        return [f"the register has none of the retentions {sorted(self._operator.days)}"]


class Destroy:
    """A dataset made for it, with content."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._name = f"gone-{operator.number}"
        operator.gone.append(self._name)
        days = min(operator.days)
        operator.town.keten.run("apply", str(operator.estate(days)))
        operator.days = {days}
        path = operator.town.keten.folder / "gone.bin"
        path.write_bytes(operator.choice.randbytes(100_000))
        operator.town.keten.run("put", self._name, str(path))
        self._command: _Command | None = None

    def _words(self) -> list[str]:
        return ["destroy", "dataset", self._name, "--reason", "a test", "--yes"]

    def begin(self) -> None:
        """Destroy it."""
        self._command = self._operator.keten(*self._words())

    def killed(self) -> None:
        """Remember its entry."""
        assert self._command is not None
        self._command.killed()
        if self._command.answer is not None and self._command.answer["entry"]:
            self._operator.entries.append(self._command.answer["entry"])

    def judge(self) -> list[str]:
        """What was destroyed is still so; what may not be can be, now."""
        again = self._operator.town.keten.command(*self._words(), "--json")
        if again.returncode != 0:
            return [f"destroying it again: exit {again.returncode}: {again.stdout}{again.stderr}"]
        said = json.loads(again.stdout)
        acknowledged = self._command is not None and self._command.answer is not None
        return ["what was destroyed was there again"] if acknowledged and not said["already"] else []


class Init:
    """A second instance on the same disk."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._home = operator.disk / "i2"
        shutil.rmtree(self._home, ignore_errors=True)
        self._command: _Command | None = None

    def begin(self) -> None:
        """Make it."""
        words = ["-m", "keten", "init", "--home", str(self._home), "--json"]
        self._command = _Command(words, self._operator.town.keten.folder)

    def killed(self) -> None:
        """Whether it was made is known now."""
        assert self._command is not None
        self._command.killed()

    def judge(self) -> list[str]:
        """An instance that was acknowledged is whole; any other is whole, or recognised as none."""
        assert self._command is not None
        whole = (self._home / "ledger" / "key.pub").exists()
        if not whole and self._command.answer is not None:
            return ["the instance that was made has no key.pub"]
        words = [sys.executable, "-m", "keten", "ledger", "verify", "--home", str(self._home)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if not whole:
            told = done.returncode in (2, 3) and "Traceback" not in done.stderr
            return [] if told else [f"of a half-made instance, verify says {done.returncode}: {done.stderr}"]
        if done.returncode != 0:
            return [f"the new instance: {done.stdout}{done.stderr}"]
        estate = self._operator.town.keten.folder / "estate.yaml"
        words = [sys.executable, "-m", "keten", "apply", str(estate), "--home", str(self._home), "--json"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return [] if done.returncode == 0 else [f"the new instance does not start: {done.stderr}"]


class Upgrade:
    """A copy of the instance's database, upgraded to a later revision."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._folder = operator.disk / "upgraded"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._database = self._folder / "keten.db"
        source = f"file:{operator.town.keten.paths.database}?mode=ro"
        with closing(sqlite3.connect(source, uri=True)) as original, closing(sqlite3.connect(self._database)) as copy:
            original.backup(copy)
        os.sync()
        self._rows = self._count()
        self._migrations = operator.town.keten.folder / "later"
        if not self._migrations.exists():
            shutil.copytree(MIGRATIONS, self._migrations, ignore=shutil.ignore_patterns("__pycache__"))
            later = self._migrations / "versions" / "r9999_later.py"
            later.write_text(NEXT.format(present=REVISION), encoding="utf-8")
        self._command: _Command | None = None

    def _words(self) -> list[str]:
        return ["-c", _UPGRADE, str(self._database), str(self._migrations)]

    def _count(self, path: Path | None = None) -> tuple[int, int]:
        with closing(sqlite3.connect(path or self._database)) as database:
            (whole,) = database.execute("PRAGMA integrity_check").fetchone()
            assert whole == "ok", whole
            (entries,) = database.execute("SELECT count(*) FROM entries").fetchone()
            (objects,) = database.execute("SELECT count(*) FROM objects").fetchone()
            return entries, objects

    def begin(self) -> None:
        """Upgrade it."""
        self._command = _Command(self._words(), self._operator.town.keten.folder)

    def killed(self) -> None:
        """Whether it was done is known now."""
        assert self._command is not None
        self._command.killed()

    def judge(self) -> list[str]:
        """Of the one revision or the other, with every row; the copy, if it is there, whole; and it can go on."""
        assert self._command is not None
        wrong = []
        with closing(sqlite3.connect(self._database)) as database:
            (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
        if revision not in (REVISION, "9999") or (self._command.answer is not None and revision != "9999"):
            wrong.append(f"revision {revision} after the upgrade")
        before = self._folder / f"keten.db.before-{REVISION}"
        if revision == "9999" and not before.exists():
            wrong.append("it was upgraded, and there is no copy of before")
        counted = {path.name: self._count(path) for path in (self._database, before) if path.exists()}
        wrong += [f"{name} has not the rows of before: {rows}" for name, rows in counted.items() if rows != self._rows]
        done = subprocess.run([sys.executable, *self._words()], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            wrong.append(f"the upgrade cannot go on: {done.stderr}")
        return wrong


WORK = {"load": 10, "put": 3, "apply": 2, "destroy": 2, "init": 2, "upgrade": 1}
"""What is done at the moment of a cut, and how often."""
