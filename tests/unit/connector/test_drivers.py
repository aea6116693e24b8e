"""Single rows of real databases: files of SQLite's and a server of PostgreSQL's."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keten.connector.drivers.driver import Driver
from keten.connector.drivers.postgres import PostgresDriver
from keten.connector.drivers.sqlite import SqliteDriver
from keten.core.errors import Unavailable
from keten.core.sources import SystemPlace
from keten.systems.asking import Where
from tests.cluster import Cluster, shared

SECONDS = 5.0
MADE = """
CREATE TABLE people (id {number} PRIMARY KEY, code {text}, name {text}, born {date}, debt {decimal}, photo {bytes});
INSERT INTO people VALUES (1, 'ab-1', 'Ada', '1980-02-03', 12.50, NULL), (2, 'Ab-2', NULL, NULL, NULL, NULL),
  (3, 'AB-3', 'Cas', NULL, 7, NULL), (4, 'twice', 'Dirk', NULL, NULL, NULL), (5, 'TWICE', 'Else', NULL, NULL, NULL),
  (6, 'straße', 'Fons', NULL, NULL, NULL), (7, '日本', 'Gon', NULL, NULL, NULL),
  (8, 'o''brien"; --', 'Han', NULL, NULL, NULL);
CREATE VIEW grown AS SELECT code, name AS "full name" FROM people WHERE id < 4;
CREATE INDEX by_code ON people (code);
"""
TYPES = {
    "postgres": {"number": "bigint", "text": "text", "date": "date", "decimal": "numeric(8, 2)", "bytes": "bytea"},
    "sqlite": {"number": "INTEGER", "text": "TEXT", "date": "TEXT", "decimal": "REAL", "bytes": "BLOB"},
}
HOSTILE = [
    "x' or '1'='1",
    '"; drop table people; --',
    "%",
    "_",
    "ab*",
    "ab-1 or 1=1",
    "{ab-1,ab-2}",
    "array['ab-1']",
    "\\",
    "null",
    "01",
    "1.0",
    "+1",
    "1e0",
    "9" * 30,
    "-9223372036854775809",
    "\N{ARABIC-INDIC DIGIT ONE}",
    "ab-1\u200b",
    "\N{FULLWIDTH LATIN SMALL LETTER P}" * 10,
    "💣",
    "é" * 200,
]


class Base:
    """A database and how to change it."""

    def __init__(self, kind: str, place: SystemPlace, execute: Callable[[str], object], schema: str) -> None:
        self.kind, self.place, self.execute, self._schema = kind, place, execute, schema
        execute(MADE.format(**TYPES[kind]))

    def where(self, table: str = "people", key: str = "code") -> Where:
        return Where("burgerzaken", self.kind, self._schema + table, key)

    def driver(self) -> Driver:
        if self.kind == "sqlite":
            return SqliteDriver(self.place.file(Path("/")), SECONDS)
        return PostgresDriver(self.place, "", SECONDS)


def on_postgres(cluster: Cluster) -> Base:
    name = cluster.fresh()
    made = Base("postgres", SystemPlace(cluster.url(name)), lambda text: cluster.execute(text, name), "public.")
    cluster.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO keten_keeper", name)
    return made


def on_sqlite(folder: Path) -> Base:
    path = folder / "own database?#.db"

    def execute(text: str) -> None:
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.executescript(text)

    return Base("sqlite", SystemPlace(f"sqlite://{folder}/own%20database%3F%23.db"), execute, "")


@pytest.fixture(params=["sqlite", "postgres"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Base:
    return on_sqlite(tmp_path) if request.param == "sqlite" else on_postgres(shared())


@pytest.fixture
def driver(base: Base) -> Iterator[Driver]:
    with closing(base.driver()) as made:
        yield made


def test_the_columns_that_are_asked_for_and_no_more(base: Base, driver: Driver) -> None:
    found = driver.rows(base.where(), ["born", "name", "debt"], ["ab-1", "nobody", "ab-3"], SECONDS)
    debt = "12.50" if base.kind == "postgres" else 12.5
    assert found.rows[0] == ["1980-02-03", "Ada", debt]
    assert found.rows[1] is None
    assert found.rows[2] is not None, "also a key that is stored in capitals"
    assert found.rows[2][:2] == [None, "Cas"]
    assert driver.rows(base.where("people", "id"), ["name"], ["3"], SECONDS).rows == (["Cas"],)
    assert driver.rows(base.where("grown"), ["full name"], ["ab-1", "twice"], SECONDS).rows == (["Ada"], None)
    assert driver.rows(base.where(), ["name"], ["日本", 'o\'brien"; --'], SECONDS).rows[0] == ["Gon"]


def test_hostile_keys_find_nothing_and_break_nothing(base: Base, driver: Driver) -> None:
    for key in ("code", "id"):
        for hostile in HOSTILE:
            assert driver.rows(base.where("people", key), ["name"], [hostile], SECONDS).rows == (None,), hostile
    assert driver.rows(base.where(), ["name"], ["ab-1"], SECONDS).rows == (["Ada"],)


@pytest.mark.parametrize("name", ['name"; DROP TABLE people; --', "nobody", "Name", "name ", "*", "rowid", "ctid"])
def test_a_name_is_one_of_the_catalogue_or_nothing(base: Base, driver: Driver, name: str) -> None:
    for asked in (
        lambda: driver.rows(base.where(), [name], ["ab-1"], SECONDS),
        lambda: driver.rows(base.where("people", name), ["name"], ["ab-1"], SECONDS),
        lambda: driver.rows(base.where(name), ["name"], ["ab-1"], SECONDS),
        lambda: driver.describe(base.where(), [name], SECONDS),
    ):
        with pytest.raises(Unavailable) as refused:
            asked()
        assert refused.value.code == "system-changed"
    assert driver.rows(base.where(), ["name"], ["ab-1"], SECONDS).rows == (["Ada"],)


def test_more_than_one_row_and_bytes_are_said(base: Base, driver: Driver) -> None:
    with pytest.raises(Unavailable) as twice:
        driver.rows(base.where(), ["name"], ["twice"], SECONDS)
    assert twice.value.code == "system-ambiguous"
    held = r"'\x00ff'" if base.kind == "postgres" else "x'00ff'"
    base.execute(f"UPDATE people SET photo = {held} WHERE id = 1")
    with pytest.raises(Unavailable) as bytes_:
        driver.rows(base.where(), ["photo"], ["ab-1"], SECONDS)
    assert bytes_.value.code == "system-value"
    for error in (twice.value, bytes_.value):
        assert "twice" not in str(error)
        assert "ab-1" not in str(error)


def test_a_table_that_changes_under_way_is_read_as_it_is(base: Base, driver: Driver) -> None:
    assert driver.rows(base.where(), ["name"], ["ab-1"], SECONDS).rows == (["Ada"],)
    base.execute("DROP VIEW grown")
    base.execute("ALTER TABLE people RENAME COLUMN name TO called")
    with pytest.raises(Unavailable) as gone:
        driver.rows(base.where(), ["name"], ["ab-1"], SECONDS)
    assert gone.value.code == "system-changed", "and never the text 'name' itself"
    base.execute("ALTER TABLE people ADD COLUMN name integer")
    base.execute("UPDATE people SET name = 41")
    assert driver.rows(base.where(), ["name"], ["ab-1"], SECONDS).rows == ([41],)
    base.execute("DROP TABLE people")
    with pytest.raises(Unavailable) as dropped:
        driver.describe(base.where(), ["name"], SECONDS)
    assert dropped.value.code == "system-changed"


def test_it_can_but_read(base: Base, driver: Driver) -> None:
    raw = driver._raw  # type: ignore[attr-defined]  # what a statement of ours could do at most
    with pytest.raises(Exception, match=r"read-only|readonly|read only"):
        raw.execute("UPDATE people SET name = 'Eve'")
    seen = driver.describe(base.where(), ["name", "debt"], SECONDS)
    assert (seen.form, set(seen.columns)) == ("table", {"id", "code", "name", "born", "debt", "photo"})
    assert seen.indexed
    assert driver.describe(base.where("grown"), ["full name"], SECONDS).form == "view"
    if base.kind == "postgres":
        assert seen.writes == ""
        base.execute("GRANT UPDATE (name) ON people TO keten_keeper")
        assert "may change" in driver.describe(base.where(), ["name"], SECONDS).writes
    else:
        assert "may write the file" in seen.writes
        assert seen.estimate == 8


def test_slow_ones_end_in_time(base: Base, driver: Driver) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*)"
    slow = "(SELECT 'x' FROM pg_sleep(60))" if base.kind == "postgres" else f"({endless} FROM n)"
    base.execute(f"CREATE VIEW slow AS SELECT code, {slow} AS name FROM people")
    if base.kind == "postgres":
        base.execute("GRANT SELECT ON slow TO keten_keeper")
    with pytest.raises(Unavailable) as late:
        driver.rows(base.where("slow"), ["name"], ["ab-1"], 0.3)
    assert (late.value.code, late.value.reason) == ("system-unavailable", "it took too long")
    assert driver.rows(base.where(), ["name"], ["ab-1"], SECONDS).rows == (["Ada"],)


def test_every_type_of_postgres_is_given_as_a_table_has_it_or_refused() -> None:
    base = on_postgres(shared())
    base.execute("CREATE DOMAIN bsn AS varchar(9)")
    base.execute(
        "CREATE TABLE odd (key bsn, id uuid, amount numeric, ratio float8, moment timestamptz, yes boolean, "
        "small int2, fixed char(8), doc jsonb, list int[], mark interval)"
    )
    one = str(uuid.UUID(int=0xABCDEF))
    base.execute(
        f"INSERT INTO odd VALUES ('123456782', '{one}', 42.00, 'NaN', '2026-01-02 03:04:05+01', true, -3, "
        "'padded', '{\"a\": [1]}', '{1,2}', '1 day')"
    )
    base.execute("GRANT SELECT ON odd TO keten_keeper")
    with closing(base.driver()) as driver:
        names = ["amount", "ratio", "moment", "yes", "small", "fixed", "doc", "mark", "id"]
        given = ["42.00", "nan", "2026-01-02 02:04:05+00", True, -3, "padded", '{"a": [1]}', "P1D", one]
        keys = {"key": "123456782", "id": one, "amount": "42", "small": "-3", "fixed": "padded"}
        for key, value in keys.items():
            assert driver.rows(base.where("odd", key), names, [value], SECONDS).rows == (given,), key
        assert driver.rows(base.where("odd", "small"), ["yes"], ["40000"], SECONDS).rows == (None,)
        for key, names, code in (
            ("ratio", ["yes"], "system-changed"),
            ("moment", ["yes"], "system-changed"),
            ("key", ["list"], "system-value"),
        ):
            with pytest.raises(Unavailable) as refused:
                driver.rows(base.where("odd", key), names, ["1"], SECONDS)
            assert refused.value.code == code
    base.execute("REVOKE SELECT ON odd FROM keten_keeper")
    with closing(base.driver()) as driver, pytest.raises(Unavailable) as barred:
        driver.rows(base.where("odd", "key"), ["yes"], ["1"], SECONDS)
    assert barred.value.code == "system-changed"


def test_a_database_of_another_encoding() -> None:
    cluster = shared()
    name = f"latin_{os.getpid()}"
    cluster.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    cluster.execute("CREATE TABLE people (code text, name text)", name)
    cluster.execute("INSERT INTO people VALUES ('josé', 'Añó')", name)
    cluster.execute("GRANT SELECT ON people TO keten_keeper", name)
    with closing(PostgresDriver(SystemPlace(cluster.url(name)), "", SECONDS)) as driver:
        where = Where("burgerzaken", "postgres", "public.people", "code")
        assert driver.rows(where, ["name"], ["日本", "josé"], SECONDS).rows == (None, ["Añó"])


def test_what_is_stored_in_sqlite_of_any_type(tmp_path: Path) -> None:
    base = on_sqlite(tmp_path)
    base.execute("CREATE TABLE loose (key, value)")
    base.execute("INSERT INTO loose VALUES (12, 1e999), ('012', 'text'), (1.5, 'float'), (x'6162', 'x'), ('bad', 'x')")
    base.execute("UPDATE loose SET value = CAST(x'ff' AS TEXT) WHERE key = 'bad'")
    with closing(base.driver()) as driver:
        where = base.where("loose", "key")
        found = driver.rows(where, ["value"], ["12", "012", "1.5", "ab"], SECONDS)
        assert found.rows == (["inf"], ["text"], None, None)
        with pytest.raises(Unavailable) as bad:
            driver.rows(where, ["value"], ["bad"], SECONDS)
        assert bad.value.code == "system-value"


def test_a_file_that_is_not_there_or_no_database(tmp_path: Path) -> None:
    for content in (None, b"no database at all, but some text that is long enough" * 100):
        path = tmp_path / "x.db"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(Unavailable) as refused:
            SqliteDriver(path, SECONDS).rows(Where("x", "sqlite", "t", "k"), ["v"], ["1"], SECONDS)
        assert refused.value.code == "system-unavailable"
        assert content is not None or not path.exists(), "nothing is made"
