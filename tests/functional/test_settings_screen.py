"""Settings and health at the console, over the real processes."""

from __future__ import annotations

import html
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.staff import House
from tests.visitor import Visitor

PATH = "/en/settings"
NOBODY_THERE = """
[export]
alarm_after = "1s"
[[export.destinations]]
name = "soc"
kind = "syslog"
url = "tls://127.0.0.1:1"
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("settings"), NOBODY_THERE)
    yield made
    made.close()


def page(who: Visitor) -> str:
    answer = who.get(PATH)
    assert answer.status == 200, answer.text
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", answer.text)))


def test_what_runs_and_what_is_weak(house: House) -> None:
    said = page(house.browser("security-officer"))
    for there in (
        "Keeper State Runs",
        "Gateway State Runs",
        "Worker State Runs",
        "There is no backup of this instance",
        "Nobody outside is asked to sign the ledger",
        "The keeper's key is not sealed",
        "SQLite",
        "of them public",
    ):
        assert there in said, there
    assert "127.0.0.0/8 = NL" in said


def test_a_destination_that_is_not_reached_is_seen(house: House) -> None:
    auditor = house.browser("auditor")
    until = time.monotonic() + 30
    while "Nothing reaches the destination soc since" not in (said := page(auditor)) and time.monotonic() < until:
        time.sleep(0.5)
    assert "Nothing reaches the destination soc since" in said
    assert "soc Kind syslog State Not reached" in said
    assert "tls://127.0.0.1:1 Said in keten.toml" in said


def test_a_backup_is_seen(house: House, tmp_path: Path) -> None:
    house.instance.run("backup", str(tmp_path / "copy"), "--plain")
    said = page(house.browser("auditor"))
    assert "There is no backup" not in said
    assert "A backup is not encrypted" in said
    assert "1 is known" in said


def test_a_worker_that_is_killed_is_seen(house: House) -> None:
    """`keten up` starts it again, so it is looked at while it can't."""
    officer = house.browser("security-officer")
    file = house.instance.paths.run / "worker.pid"
    kept = file.read_text()
    sleeper = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")
    try:
        file.write_text(f"{sleeper}\n")
        assert "The worker does not run" not in page(officer)
        os.kill(sleeper, signal.SIGKILL)
        os.waitpid(sleeper, 0)
        assert "The worker does not run" in page(officer)
        file.unlink()
        assert "Cannot be seen from here" in page(officer)
    finally:
        file.write_text(kept)


def test_a_gateway_that_is_gone_is_seen(house: House) -> None:
    officer = house.browser("security-officer")
    pid = int((house.instance.paths.run / "gateway.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        assert "No gateway is connected" not in page(officer), "it is only slow"
    finally:
        os.kill(pid, signal.SIGCONT)
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 30
    seen = False
    while time.monotonic() < until and not seen:
        seen = "No gateway is connected to the keeper" in page(officer)
    assert seen or "Gateway State Runs" in page(officer)


def test_only_who_may_see_it_does(house: House) -> None:
    for role in ("privacy-officer", "supplier-manager", "data-owner", "helpdesk"):
        assert house.browser(role).get(PATH).status == 404
