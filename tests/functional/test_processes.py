"""Processes that start twice, stop, die and come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.town import Town

WATCHED = True  # see conftest.py


def test_up_twice_is_refused(town: Town) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "keten", "up", "--home", str(town.keten.home), "--gateway", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert second.returncode != 0
    assert "runs already" in second.stdout + second.stderr
    assert town.printer().shares()


def test_without_a_keeper_nothing_is_served(fresh_town: Town) -> None:
    town = fresh_town
    printer = town.printer()
    found = printer.shares()[0]["objects"][0]["id"]
    os.kill(town.keten.pid("keeper"), signal.SIGSTOP)
    os.kill(town.keten.pid("keeper"), signal.SIGKILL)
    statuses = set()
    for _attempt in range(200):
        status = printer.get(f"/v1/objects/{found}").status
        statuses.add(status)
        if status == 200:
            break
        time.sleep(0.05)
    assert statuses <= {200, 401, 503}, statuses
    assert 200 in statuses, "it comes back by itself"


@pytest.mark.slow
def test_commands_work_while_it_is_stopped(fresh_town: Town) -> None:
    town = fresh_town
    assert town.keten.down() == 0
    assert town.keten.run("decide", "drukwerk-batch", "open", "voters", "--country", "NL")["outcome"] == "allow"
    town.keten.run("revoke", "client", "drukwerk-batch", "--reason", "stopped")
    assert town.keten.command("ledger", "verify").returncode == 0
    denied = town.keten.run("decide", "drukwerk-batch", "open", "voters", "--country", "NL", expect=1)
    assert denied["reasons"]
    town.keten.up()
    assert town.system("drukwerk-batch", town.printer_key).sign_in().status == 401


def test_two_applies_at_once(fresh_town: Town) -> None:
    town = fresh_town
    path = town.keten.folder / "estate.yaml"
    line = [sys.executable, "-m", "keten", "apply", str(path), "--json", "--home", str(town.keten.home)]
    text = path.read_text()
    path.write_text(text.replace("Drukwerk BV", "Drukwerk en Zonen BV"))
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outcomes = [(process.communicate(timeout=60), process.returncode) for process in both]
    assert [code for _said, code in outcomes] == [0, 0], outcomes
    done = town.keten.command("ledger", "show", "--json", "--kind", "suppliers.supplier.changed")
    assert len(done.stdout.splitlines()) == 1, "the second found nothing to change"
