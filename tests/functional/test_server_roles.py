"""An instance on a database server from its first command: what its administrator runs, and what each role may."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

import keten.vault.tables  # noqa: F401  # declares which tables hold keys
from keten.core.db import writing_engine
from keten.core.errors import Invalid
from keten.core.places import place_of
from keten.core.upgrade import REVISION, upgrade
from keten.drills.throwaway import Command, Throwaway
from tests.cluster import Cluster, own, shared
from tests.statements import run
from tests.town import SETTINGS, Town
from tests.visitor import Visitor

KEYS = ("dataset_keys", "subject_keys", "content_keys", "puts")


@pytest.mark.slow
def test_what_the_administrator_runs(tmp_path: Path) -> None:
    """As printed, on a server that has neither role; then an instance is made in what came of it."""
    with own() as cluster:
        for role in ("keten_keeper", "keten_console"):
            cluster.execute(f"DROP ROLE {role}")
        making = Throwaway.__new__(Throwaway)
        making.folder, making.home = tmp_path, tmp_path / "none"
        printed = making.command("init", "--print-sql")
        assert printed.returncode == 0, printed.stderr
        statements = [one.strip() for one in re.sub(r"--.*|\\connect keten", "", printed.stdout).split(";")]
        for statement in filter(None, statements):
            cluster.execute(statement, "keten" if "SCHEMA" in statement else "postgres")
        made = Throwaway(tmp_path, database=cluster.url("keten"))
        assert made.command("ledger", "verify").returncode == 0
        with (
            psycopg.connect(cluster.url("keten", "keten_console")) as console,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            console.execute("CREATE TABLE mine (x int)")


@pytest.mark.slow
def test_each_role_has_what_it_needs(tmp_path: Path) -> None:
    cluster = shared()
    name = cluster.fresh()
    town = Town(tmp_path, database=cluster.url(name), console=True)
    said = f'console_url = "{cluster.url(name, "keten_console")}"\n'
    with town.keten.paths.settings.open("a") as stream:
        stream.write(said)
    with town.keten:
        town.start()
        officer = Visitor(town.keten.ready["console"])
        officer.enrol(town.keten.run("person", "invite", "dpo")["link"])
        page = officer.get("/en")
        assert (page.status, "voters" in page.text) == (200, True)
        codes = {one["code"] for one in town.keten.run("doctor")["findings"]}
        assert not {code for code in codes if code.startswith(("database", "console-role", "unknown"))}, codes
        cluster.execute("GRANT SELECT ON content_keys TO keten_console", name)
        doctor = town.keten.run("doctor", expect=1)
        assert {one["code"] for one in doctor["findings"]} >= {"database-console"}
    readable = {table for table in KEYS if _may_read(cluster, name, table)}
    assert readable == {"content_keys"}
    upgrade(place_of(cluster.url(name)))
    assert not any(_may_read(cluster, name, table) for table in KEYS), "a start takes back what is too much"
    assert _may_read(cluster, name, "entries")
    town.keten.configure(SETTINGS)
    assert "console-role" in {one["code"] for one in town.keten.run("doctor")["findings"]}


def _may_read(cluster: Cluster, name: str, table: str) -> bool:
    asked = f"SELECT has_table_privilege('keten_console', '{table}', 'SELECT')"
    return bool(cluster.execute(asked, name)[0][0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--database", "postgresql://keten_keeper:secret@db/keten"), "holds a password"),
        (("--database", "oracle://x"), "must begin with postgresql://"),
        (("--database-file", "/nowhere/at/all"), "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, words: tuple[str, str], said: str) -> None:
    made = Throwaway.__new__(Throwaway)
    made.folder, made.home = tmp_path, tmp_path / "i"
    refused = made.command("init", *words)
    assert (refused.returncode in (2, 3), said in refused.stderr) == (True, True), refused.stderr
    assert not (tmp_path / "i" / "keten.toml").exists()


def test_a_url_in_a_file(tmp_path: Path) -> None:
    """The keeper's alone to read; a database that has something already is not made anew."""
    cluster = shared()
    file = tmp_path / "url"
    file.write_text(cluster.url(cluster.fresh()) + "\n")
    file.chmod(0o600)
    made = Throwaway.__new__(Throwaway)
    made.folder, made.home, made.database = tmp_path, tmp_path / "i", ""
    made.run("init", "--database-file", str(file))
    assert f'url_file = "{file}"' in (made.home / "keten.toml").read_text()
    assert made.command("ledger", "verify").returncode == 0
    again = Throwaway.__new__(Throwaway)
    again.folder, again.home = tmp_path, tmp_path / "j"
    with pytest.raises(Command) as refused:
        again.run("init", "--database-file", str(file))
    assert "holds an instance" in refused.value.reason


def test_a_newer_or_foreign_database_is_refused() -> None:
    place = place_of(shared().url(shared().fresh()))
    assert upgrade(place) == ""
    assert upgrade(place) == REVISION
    run(place, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Invalid) as newer:
        upgrade(place)
    assert newer.value.code == "instance-newer"
    foreign = place_of(shared().url(shared().fresh()))
    run(foreign, "CREATE TABLE theirs (x int)")
    with pytest.raises(Invalid) as strange:
        upgrade(foreign)
    assert strange.value.code == "instance-foreign"


def test_an_upgrade_is_one_transaction(tmp_path: Path) -> None:
    """One that fails half-way leaves nothing; one of before this version is brought up to it."""
    migrations = tmp_path / "migrations"
    source = Path(upgrade.__code__.co_filename).with_name("migrations")
    (migrations / "versions").mkdir(parents=True)
    for path in [source / "env.py", *source.glob("versions/*.py")]:
        (migrations / path.relative_to(source)).write_text(path.read_text())
    (migrations / "versions" / "later.py").write_text(
        f'from alembic import op\nrevision = "later"\ndown_revision = "{REVISION}"\n'
        'def upgrade():\n    op.execute("CREATE TABLE half (x int)")\n    raise ZeroDivisionError\n'
    )
    place = place_of(shared().url(shared().fresh()))
    assert upgrade(place) == ""
    with pytest.raises(ZeroDivisionError):
        upgrade(place, migrations=migrations)
    assert upgrade(place) == REVISION
    engine = writing_engine(place)
    with engine.connect() as connection:
        assert not engine.dialect.has_table(connection, "half")
    engine.dispose()
    later = (migrations / "versions" / "later.py").read_text().replace("raise ZeroDivisionError", "")
    (migrations / "versions" / "later.py").write_text(later)
    assert upgrade(place, migrations=migrations) == REVISION
    with pytest.raises(Invalid) as newer:
        upgrade(place)
    assert newer.value.code == "instance-newer"
