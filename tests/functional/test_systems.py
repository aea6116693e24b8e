"""Records that stay in the organisation's own databases: a file of SQLite's and a server of PostgreSQL's."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from keten.core.db import reading_engine, writing_engine
from keten.drills.supplier import Answer, SupplierSystem
from keten.keeper.protocol import Nothing, Status
from keten.keeper.record_protocol import AskRecord, RecordId
from keten.keeper.system_protocol import AskSystems, SystemTables
from keten.ledger.query import Filter, find
from keten.ledger.reading import flatten
from keten.vault.keys import Keys
from keten.vault.personal import destroy_subject_key
from tests.cluster import shared
from tests.town import UNWATCHED, Town, estate

COLUMNS = "[{name: bsn, category: identifier}, {name: name, category: name}, {name: debt, category: financial}]"
SYSTEMS = f"""
systems:
  - {{id: archive, name: The archive, kind: sqlite, owner: dpo}}
  - {{id: burgerzaken, name: Burgerzaken, kind: postgres, owner: dpo}}
datasets:
  - id: archived
    owner: dpo
    classification: confidential
    retention_days: 0
    source: {{system: archive, table: people, key: bsn, columns: {COLUMNS}}}
  - id: citizens
    owner: dpo
    classification: confidential
    retention_days: 0
    source: {{system: burgerzaken, table: public.citizens, key: bsn, columns: {COLUMNS}}}
  - id: cases
    owner: dpo
    classification: internal
    retention_days: 0
    source:
      system: burgerzaken
      table: public.cases
      key: bsn
      columns: [{{name: bsn, category: identifier}}, {{name: advisers, category: other}}]
"""
GRANTS = """
grants:
  - id: archived-for-drukwerk
    dataset: archived
    contract: vwo-1
    purpose: election-cards
    form: lookup
    label: archived
    columns: [name]
    budgets: [{records: 6, per: month}]
  - id: citizens-for-zorgvervoer
    dataset: citizens
    contract: vwo-2
    purpose: care-transport
    form: lookup
    label: citizens
    columns: [name, debt]
    budget: {records: 100, per: month}
    caseload: {dataset: cases, column: advisers, outside: refuse}
"""
MADE = """
CREATE TABLE {people} (bsn {key} PRIMARY KEY, name text, debt numeric(8, 2));
INSERT INTO {people} VALUES (100000001, 'Ada', 1.50), (100000002, 'Bo', NULL), (100000003, 'Cas', 3),
  (100000004, 'Do', 4), (100000005, 'Els', 5), (100000006, 'Fay', 6), (100000007, 'Gé', 7), (100000008, 'Han', 8),
  (100000009, 'Ida', 9);
"""
VIEW = """
CREATE TABLE cases (bsn bigint PRIMARY KEY, advisers text);
INSERT INTO cases VALUES (100000001, 'zorgvervoer-batch, other'), (100000002, 'other'),
  (100000005, 'zorgvervoer-batch'), (100000006, 'zorgvervoer-batch');
CREATE VIEW citizens AS SELECT bsn, name, debt FROM people
  UNION ALL SELECT 100000005, 'again', 0 UNION ALL SELECT 100000006, 'slow', 0 FROM pg_sleep(0) WHERE EXISTS (
    SELECT 1 FROM cases WHERE bsn = 999999999) AND EXISTS (SELECT 1 FROM pg_sleep(60));
GRANT SELECT ON cases, citizens TO keten_keeper;
"""


class Elsewhere:
    """The town, and what its organisation keeps in databases of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.town = Town(folder)
        self.keten = self.town.keten
        self.file = folder / "archive.db"
        with closing(sqlite3.connect(self.file)) as raw, raw:
            raw.executescript(MADE.format(people="people", key="text"))
        self.database = shared().fresh()
        self.execute(MADE.format(people="people", key="bigint"))
        self.execute(VIEW)
        url = shared().url(self.database)
        (self.keten.home / "password").write_text("not asked for here\n")
        (self.keten.home / "password").chmod(0o600)
        self.keten.configure(
            f'{UNWATCHED}[systems.archive]\nurl = "sqlite://{self.file}"\ntimeout = "2s"\n'
            f'[systems.burgerzaken]\nurl = "{url}"\npassword_file = "password"\ntimeout = "1s"\nconnections = 2\n'
        )

    def start(self) -> None:
        self.keten.up()
        head = estate(self.town.printer_key.line, self.town.carrier_key.line).partition("datasets:\n")[0]
        self.keten.apply(head + SYSTEMS.lstrip("\n") + GRANTS.lstrip("\n"))

    def execute(self, statements: str) -> None:
        shared().execute(statements, self.database)

    def entries(self, kind: str = "exchange.lookup") -> list[dict[str, Any]]:
        engine = reading_engine(self.keten.place)
        try:
            with engine.connect() as connection:
                found = [flatten(entry) for entry in find(connection, Filter(kind=kind))]
        finally:
            engine.dispose()
        return [json.loads(msgspec.json.encode(entry)) for entry in found]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    made = Elsewhere(tmp_path_factory.mktemp("elsewhere"))
    try:
        made.start()
        yield made
    finally:
        made.keten.down()


class Share:
    """One share of one supplier's system."""

    def __init__(self, system: SupplierSystem) -> None:
        self.system = system
        (self.share,) = json.loads(system.get("/v1/shares").body)["shares"]

    def ask(self, number: int | str, more: str = "") -> Answer:
        key = f"{100_000_000 + number}" if isinstance(number, int) else number
        return self.system.get(f"/v1/lookups/{self.share['id']}?key={key}&case=C-1{more}")


def records(answer: Answer) -> list[Any]:
    assert answer.status == HTTPStatus.OK, answer.body
    return list(json.loads(answer.body)["records"])


def test_a_record_of_a_file(elsewhere: Elsewhere) -> None:
    share = Share(elsewhere.town.printer())
    assert (share.share["key"], share.share["columns"]) == ("bsn", ["name"])
    answer = share.ask(1)
    assert records(answer) == [{"name": "Ada"}]
    assert share.ask("nobody").status == HTTPStatus.NOT_FOUND
    assert share.ask(1, "&columns=debt").status == HTTPStatus.BAD_REQUEST
    answered, missed = elsewhere.entries()[:2]
    assert answered["id"] == answer.headers["keten-entry"]
    assert (answered["details"]["found"], answered["details"]["charged"]) == (1, 1)
    assert (missed["details"]["missed"], missed["details"]["charged"]) == (1, 0)
    record = elsewhere.keten.run("subject", "record", "archived", " 100000001 ")["id"]
    assert record in answered["subjects"]
    for secret in ("Ada", "100000001"):
        assert secret not in json.dumps(answered)
        assert secret not in elsewhere.keten.log()
    made = elsewhere.entries("vault.key.made")
    assert [one["actor"] for one in made] == ["keeper"], "the dataset's key, made when it was first needed"
    refused = elsewhere.keten.command("put", "archived", str(elsewhere.file))
    assert "stay in a system" in refused.stderr


def test_whoever_was_erased_is_given_out_no_more(elsewhere: Elsewhere) -> None:
    """No command erases the subject of a record yet: here its key is destroyed as that would do it."""
    share = Share(elsewhere.town.printer())
    assert records(share.ask(2)) == [{"name": "Bo"}]
    with elsewhere.keten.keeper() as client:
        record = client.call("subjects.record", AskRecord("archived", "100000002"), RecordId).id
    engine = writing_engine(elsewhere.keten.place)
    with engine.begin() as connection:
        assert destroy_subject_key(cast("Any", SimpleNamespace(connection=connection)), Keys(bytes(32)), record)
    engine.dispose()
    assert share.ask(2).status == HTTPStatus.NOT_FOUND


def test_the_budget_is_the_bound(elsewhere: Elsewhere) -> None:
    share = Share(elsewhere.town.printer())
    given = [share.ask(number).status for number in range(3, 9)]
    assert given == [HTTPStatus.OK] * 4 + [HTTPStatus.TOO_MANY_REQUESTS] * 2
    assert json.loads(share.ask(9).body)["code"] == "budget-spent"
    assert records(share.ask(3)) == [{"name": "Cas"}], "what was received costs nothing again"


def test_a_view_of_a_server_and_own_cases_only(elsewhere: Elsewhere) -> None:
    share = Share(elsewhere.town.carrier())
    assert records(share.ask(1)) == [{"name": "Ada", "debt": "1.50"}]
    for other in (2, 3):  # somebody else's case, and nobody's
        assert share.ask(other).status == HTTPStatus.NOT_FOUND
    assert share.ask("x' or '1'='1".replace(" ", "%20")).status == HTTPStatus.NOT_FOUND
    assert [one["reasons"] for one in elsewhere.entries("exchange.lookup.refused")][-2:] == [["outside-caseload"]] * 2


def test_what_a_system_cannot_give_is_refused_and_costs_nothing(elsewhere: Elsewhere) -> None:
    share = Share(elsewhere.town.carrier())
    twice = share.ask(5)
    assert (twice.status, json.loads(twice.body)["code"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "system-unavailable")
    elsewhere.execute("INSERT INTO cases VALUES (999999999, '')")  # from now on the view sleeps
    with ThreadPoolExecutor(4) as asking:
        waiting = [asking.submit(share.ask, 1) for _one in range(3)]
        # The keeper goes on meanwhile: what is elsewhere is answered, and operators are.
        assert records(Share(elsewhere.town.printer()).ask(1)) == [{"name": "Ada"}]
        with elsewhere.keten.keeper() as client:
            assert client.call("keeper.status", Nothing(), Status).size
        assert [one.result().status for one in waiting] == [HTTPStatus.SERVICE_UNAVAILABLE] * 3
    elsewhere.execute("DELETE FROM cases WHERE bsn = 999999999")
    assert records(share.ask(1)) == [{"name": "Ada", "debt": "1.50"}]
    reasons = [one["reasons"] for one in elsewhere.entries("exchange.lookup.refused")]
    assert reasons[-4:] == [["system-ambiguous"], *[["system-unavailable"]] * 3]


def test_a_connector_that_is_killed_comes_back(elsewhere: Elsewhere) -> None:
    share = Share(elsewhere.town.carrier())
    elsewhere.execute("INSERT INTO cases VALUES (999999999, '')")
    before = elsewhere.keten.pid("connector")
    keeper = elsewhere.keten.pid("keeper")
    with ThreadPoolExecutor(1) as asking:
        waiting = asking.submit(share.ask, 1)
        while not shared().execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
            assert not waiting.done()
        os.kill(before, signal.SIGKILL)
        answer = waiting.result()
    assert (answer.status, json.loads(answer.body)["code"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "system-unavailable")
    elsewhere.execute("DELETE FROM cases WHERE bsn = 999999999")
    deadline = time.monotonic() + 60
    while (answer := share.ask(1)).status != HTTPStatus.OK:
        assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert elsewhere.keten.pid("connector") != before
    assert elsewhere.keten.pid("keeper") == keeper


def test_what_is_wrong_is_said(elsewhere: Elsewhere) -> None:
    with elsewhere.keten.keeper() as client:
        fine = {one.dataset: one for one in client.call("systems.check", AskSystems(), SystemTables).tables}
    assert {name: (one.code, one.form) for name, one in fine.items()} == {
        "archived": ("", "table"),
        "citizens": ("", "view"),
        "cases": ("", "table"),
    }
    assert fine["archived"].estimate == 9
    elsewhere.execute("ALTER VIEW citizens RENAME COLUMN debt TO owed; GRANT DELETE ON cases TO keten_keeper")
    share = Share(elsewhere.town.carrier())
    assert share.ask(1).status == HTTPStatus.SERVICE_UNAVAILABLE
    elsewhere.file.rename(elsewhere.file.with_suffix(".away"))
    found = elsewhere.keten.run("systems", expect=1)["tables"]
    assert [one["code"] for one in found if one["dataset"] == "citizens"] == ["system-changed"]
    findings = elsewhere.keten.run("doctor", expect=1)["findings"]
    codes = {one["code"] for one in findings}
    assert {"system-changed", "system-writes", "system-password"} <= codes
    assert any("no column debt" in one["what"] for one in findings)
    assert not {code for code in codes if code.startswith(("ledger", "register"))}, "all of it verifies"
