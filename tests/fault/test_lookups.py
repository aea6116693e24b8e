"""A full disk, and processes that are killed, while records of a system are asked for at a budget's edge.

Whatever was given is recorded and charged; what was charged never passes the budget; all of it verifies.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http import HTTPStatus
from pathlib import Path

import pytest

from keten.core.errors import KetenError
from keten.drills.neighbours import until
from keten.drills.supplier import SupplierSystem
from tests.fault.small_disk import small_disk
from tests.fault.test_disk import entries, verified
from tests.town import UNWATCHED, Town, estate

BUDGET, PEOPLE, ASKING = 60, 400, 4
REGISTER = f"""
systems:
  - {{id: archive, name: The archive, kind: sqlite, owner: dpo}}
datasets:
  - id: archived
    owner: dpo
    classification: confidential
    source: {{system: archive, table: people, key: bsn, columns: [{{name: bsn, category: identifier}}]}}
grants:
  - id: archived-for-drukwerk
    dataset: archived
    contract: vwo-1
    purpose: election-cards
    form: lookup
    budget: {{records: {BUDGET}, per: month}}
"""


def town_of(folder: Path, settings: str = "") -> Town:
    """The town, with a register in a file that is not on its disk."""
    register = folder / "people.db"
    with closing(sqlite3.connect(register)) as raw, raw:
        raw.execute("CREATE TABLE people (bsn text PRIMARY KEY)")
        raw.executemany("INSERT INTO people VALUES (?)", [(f"{n:09}",) for n in range(PEOPLE)])
    town = Town(folder)
    town.keten.configure(f'{UNWATCHED}{settings}[systems.archive]\nurl = "sqlite://{register}"\n')
    return town


def start(town: Town) -> None:
    town.keten.up()
    head = estate(town.printer_key.line, town.carrier_key.line).partition("datasets:\n")[0]
    town.keten.apply(head + REGISTER.lstrip("\n"))


class Asking:
    """A supplier that asks for ever other people, with several hands."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._own = threading.local()
        self._share = self._system().shares()[0]["id"]
        self.given: dict[str, str] = {}  # entry → key
        self.statuses: set[int] = set()

    def _system(self) -> SupplierSystem:
        found: SupplierSystem | None = getattr(self._own, "system", None)
        if found is None:
            found = self._own.system = self._town.printer()
        return found

    def one(self, number: int) -> int:
        """Ask for one; 0 when nobody answered."""
        key = f"{number:09}"
        try:
            answer = self._system().get(f"/v1/lookups/{self._share}?key={key}&case=C")
        except (OSError, KetenError, AssertionError, ValueError):  # it is away, or can't sign anybody in
            self._own.system = None
            return 0
        self.statuses.add(answer.status)
        if answer.status == HTTPStatus.OK:
            assert json.loads(answer.body)["records"] == [{"bsn": key}]
            self.given[answer.headers["keten-entry"]] = key
        elif answer.status == HTTPStatus.UNAUTHORIZED:
            self._own.system = None
        return answer.status

    def many(self, numbers: range) -> None:
        with ThreadPoolExecutor(ASKING) as hands:
            list(hands.map(self.one, numbers))


def holds(town: Town, asking: Asking) -> None:
    """What was given is recorded and charged; the sum of charges is what is spent, and never more than the budget."""
    answered = entries(town, "--kind", "exchange.lookup.answered")
    charged = sum(one["details"]["charged"] for one in answered)
    assert set(asking.given) <= {one["id"] for one in answered}
    assert len(set(asking.given.values())) <= charged <= BUDGET
    shown = town.keten.run("budget", "show", "archived-for-drukwerk")["budgets"]
    assert [line["spent"] for one in shown for line in one["budget"] if line["spent"]] == [charged]
    verified(town)


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_full_while_a_system_is_asked(tmp_path: Path) -> None:
    with small_disk(tmp_path / "instance", 48) as disk:
        town = town_of(tmp_path, "[keeper]\nreserve_bytes = 0\n")
        with town.keten:
            start(town)
            asking = Asking(town)
            for at, pages in enumerate((0, 3, 8, 20)):
                disk.fill(pages * 4096)
                asking.many(range(8 * at, 8 * at + 8))
            verified(town)
            disk.free()
            assert HTTPStatus.SERVICE_UNAVAILABLE in asking.statuses, "it was full at times"
            assert until(lambda: asking.one(300) == HTTPStatus.OK)
            asking.many(range(100, 100 + BUDGET))
            assert HTTPStatus.TOO_MANY_REQUESTS in asking.statuses, "to the edge of the budget"
            holds(town, asking)
            assert "Traceback" not in town.keten.log()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "victim", ["keeper", *(pytest.param(one, marks=pytest.mark.slow) for one in ("connector", "gateway"))]
)
def test_killed_while_a_system_is_asked(tmp_path: Path, victim: str) -> None:
    """At the budget's edge, with four at once."""
    rng = random.Random(victim)
    town = town_of(tmp_path)
    with town.keten:
        start(town)
        asking = Asking(town)
        over = threading.Event()
        killing = threading.Thread(target=_kill, args=(town, victim, rng, over, lambda: len(asking.given)))
        killing.start()
        try:
            for number in range(0, 240, 40):
                asking.many(range(number, number + 40))
        finally:
            over.set()
            killing.join()
        assert until(lambda: asking.one(1) in {HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS})
        assert any(asking.one(310 + n) == HTTPStatus.TOO_MANY_REQUESTS for n in range(BUDGET + 1)), "to its edge"
        assert asking.given
        holds(town, asking)


def _kill(town: Town, victim: str, rng: random.Random, over: threading.Event, given: Callable[[], int]) -> None:
    """Kill it again and again, each time after some more was given."""
    for _time in range(6):
        before, more = given(), rng.randint(1, 6)
        while not over.wait(0.005) and given() < before + more:
            pass
        if over.is_set():
            return
        with suppress(OSError, KetenError, KeyError, StopIteration, ValueError):
            os.kill(town.keten.pid(victim), signal.SIGKILL)
