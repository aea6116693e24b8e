"""Which engine keeps the state is known in `core` alone: everybody else asks `keten.core.db`."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.checkout import SOURCE, nodes, python_files, relative

ENGINES = ("sqlite", "postgres", "psycopg")
KNOWING = (
    "src/keten/core/places.py",
    "src/keten/core/db.py",
    "src/keten/core/sqlite.py",
    "src/keten/core/wal.py",
    "src/keten/core/keyed.py",
    "src/keten/core/postgres.py",
    "src/keten/core/pulse.py",
    "src/keten/core/migrations/",
    # The organisation's own databases, which keep no state of ours: of what kind they are, and how each is read.
    "src/keten/core/sources.py",
    "src/keten/systems/model.py",
    "src/keten/connector/drivers/",
)
# What somebody is to type who cheats with the database's file, in a demo that always has one; a drill's own server.
ALLOWED = {"src/keten/cli/demo/try_it.py", "src/keten/drills/cluster.py"}
# How a table is best laid out is said where it is declared; an engine that has no such choice takes no notice.
LAYOUT = {"sqlite_with_rowid", "sqlite"}


def mentions(source: str) -> list[str]:
    """Imports of an engine, its name as a keyword, and texts that begin with it (a document for people may name it)."""
    found: list[str] = []
    for node in nodes(source):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.keyword):
            names = [node.arg or ""]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        parts = [part for name in names if name not in LAYOUT for part in name.split(".")]
        found += [part for part in parts if part.startswith(ENGINES)]
    return found


def test_nobody_else_knows_the_engine() -> None:
    knowing = {
        name: found
        for path in python_files(SOURCE)
        if not (name := relative(path)).startswith(KNOWING) and name not in ALLOWED
        if (found := mentions(path.read_text(encoding="utf-8")))
    }
    assert knowing == {}


@pytest.mark.parametrize(
    "source",
    [
        "import sqlite3",
        "from keten.core import postgres",
        "from keten.core.sqlite import translate",
        "error.sqlite_errorname",
        "table(postgresql_using='hash')",
        "getattr(error, 'sqlite_errorname')",
        "engine.dialect.name == 'postgresql'",
    ],
)
def test_it_is_noticed(source: str) -> None:
    assert mentions(source)


def test_what_may_be_said() -> None:
    assert not mentions('Table("x", sqlite_with_rowid=False)\nhelp = "Keep it in PostgreSQL: postgresql://…"')
