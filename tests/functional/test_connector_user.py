"""The connector under a user of its own, as the manual sets it up: it serves the keeper alone.

The register is a file of SQLite's that only the connector's user may read.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from keten.drills.neighbours import until
from keten.drills.supplier import SupplierSystem
from tests.functional.separate import GATEWAY, KEEPER, SETTINGS, Separate
from tests.town import PRINTER, estate

CONNECTOR, STRANGER = 64012, 64013
REGISTER = """
systems:
  - {id: archive, name: The archive, kind: sqlite, owner: dpo}
datasets:
  - id: archived
    owner: dpo
    classification: confidential
    source:
      system: archive
      table: people
      key: bsn
      columns: [{name: bsn, category: identifier}, {name: name, category: name}]
grants:
  - id: archived-for-drukwerk
    dataset: archived
    contract: vwo-1
    purpose: election-cards
    form: lookup
    budget: {records: 1000, per: day}
"""
ASKED = """
import socket, sys
with socket.socket(socket.AF_UNIX) as found:
    found.settimeout(10)
    try:
        found.connect(sys.argv[1])
        found.sendall(bytes.fromhex(sys.argv[2]))
        print(found.recv(1000).hex() or "nothing")
    except OSError as error:
        print(error.__class__.__name__)
"""
READ = """
import os, sys
for top in sys.argv[1:]:
    for path in [top, *(os.path.join(at, one) for at, folders, files in os.walk(top) for one in (*folders, *files))]:
        try:
            readable = os.access(path, os.R_OK)
        except OSError:
            continue
        if readable:
            print(path)
"""


class Connected(Separate):
    """With a connector."""

    def set_up(self) -> None:
        super().set_up()
        self.register = self.folder / "archive"
        self.register.mkdir()
        with closing(sqlite3.connect(self.register / "people.db")) as raw, raw:
            raw.execute("CREATE TABLE people (bsn text PRIMARY KEY, name text)")
            raw.executemany("INSERT INTO people VALUES (?, ?)", [(f"{n:09}", f"Naam {n}") for n in range(1000)])
        self.register.chmod(0o700)
        for path in (self.register, self.register / "people.db"):
            os.chown(path, CONNECTOR, CONNECTOR)
        self.give_socket_to(CONNECTOR)
        self.paths.settings.write_text(
            f'{SETTINGS}connector_users = ["{CONNECTOR}"]\n[watch]\nenabled = false\n'
            f'[systems.archive]\nurl = "sqlite://{self.register}/people.db"\n',
            encoding="utf-8",
        )

    def give_socket_to(self, user: int) -> None:
        """As `install -d -o USER -g USER -m 711` does."""
        folder = self.paths.connector_socket.parent
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        os.chown(folder, user, user)
        folder.chmod(0o711)
        os.chown(folder.parent, KEEPER, KEEPER)
        folder.parent.chmod(0o755)

    def start(self) -> None:
        self._process(KEEPER, "_keeper")
        self.start_gateway()
        head = estate(self.printer_key.line, self.carrier_key.line).partition("datasets:\n")[0]
        (self.folder / "estate.yaml").write_text(head + REGISTER.lstrip("\n"))
        self.ids = self.keten("apply", str(self.folder / "estate.yaml"))["ids"]
        self.start_connector(CONNECTOR)

    def start_connector(self, user: int) -> None:
        self._process(user, "_connector")

    def end_connector(self, number: signal.Signals) -> None:
        process = self.processes.pop()
        process.send_signal(number)
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="module")
def town() -> Iterator[Connected]:
    with Connected() as made:
        made.set_up()
        made.start()
        yield made


@pytest.fixture(scope="module")
def system(town: Connected) -> SupplierSystem:
    return town.system(PRINTER)


def look_up(system: SupplierSystem, number: int) -> tuple[int, Any]:
    (share,) = system.shares()
    answer = system.get(f"/v1/lookups/{share['id']}?key={number:09}&case=C-1")
    return answer.status, json.loads(answer.body)


def said(town: Connected, user: int, program: str, *words: str) -> list[str]:
    done = town.python.run(user, "-c", program, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_record_comes_by_it_and_by_no_other_way(town: Connected, system: SupplierSystem) -> None:
    status, body = look_up(system, 7)
    assert (status, body["records"][0]["name"]) == (HTTPStatus.OK, "Naam 7")
    for user in (KEEPER, GATEWAY):
        assert said(town, user, READ, str(town.register)) == [], "the register is the connector's user's alone"
    assert str(town.register / "people.db") in said(town, CONNECTOR, READ, str(town.register))


def test_it_reaches_neither_key_nor_database_nor_content(town: Connected) -> None:
    read = {Path(path) for path in said(town, CONNECTOR, READ, str(town.home))}
    hidden = (town.paths.keeper, town.paths.database.parent, town.paths.store, town.paths.gateway)
    for path in read:
        assert not any(path.is_relative_to(one) for one in hidden), path
    assert town.paths.settings in read, "it looked as the connector's user"


def test_it_answers_the_keeper_alone(town: Connected) -> None:
    """A frame with a question: whoever else asks is told why not, if it listens, and cut off."""
    frame = "00000001c0"
    for user in (GATEWAY, STRANGER):
        answer = said(town, user, ASKED, str(town.paths.connector_socket), frame)
        if answer[0] not in {"nothing", "ConnectionResetError", "BrokenPipeError"}:
            assert b"denied" in bytes.fromhex(answer[0]), bytes.fromhex(answer[0])


def test_the_keeper_believes_no_other(town: Connected, system: SupplierSystem) -> None:
    """A connector of a user that the settings do not name is asked for nothing; nor is one that is killed missed."""
    town.end_connector(signal.SIGKILL)
    status, body = look_up(system, 8)
    assert (status, body["code"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "system-unavailable")
    town.give_socket_to(STRANGER)
    town.start_connector(STRANGER)
    status, body = look_up(system, 8)
    assert (status, body["code"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "system-unavailable")
    refused = town.entries("--kind", "exchange.lookup.refused")
    assert {tuple(one["reasons"]) for one in refused} == {("system-unavailable",)}
    town.end_connector(signal.SIGTERM)
    town.give_socket_to(CONNECTOR)
    town.start_connector(CONNECTOR)
    assert until(lambda: look_up(system, 8)[0] == HTTPStatus.OK)
    charged = [one["details"]["charged"] for one in town.entries("--kind", "exchange.lookup.answered")]
    assert sum(charged) == 2, "what could not be given cost nothing"
