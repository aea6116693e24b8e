"""A gateway hangs: every command that ends something says that it is not done, with exit code 3, and what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keten.drills.reader import Reader
from tests.town import CARRIER, Town, estate


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("hanging"))
    with made.keten:
        made.start()
        yield made


@contextmanager
def hanging(town: Town) -> Iterator[None]:
    """The gateway stands still, with its connections open."""
    pid = town.keten.pid("gateway")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _unconfirmed(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 3, done.stdout + done.stderr
    assert "has not confirmed" in done.stdout + done.stderr
    assert "keten status" in done.stdout + done.stderr


@pytest.mark.slow
def test_each_command_says_so_and_what_it_changed_holds(town: Town, tmp_path: Path) -> None:
    carrier, printer = town.carrier(), town.printer()
    care = f"/v1/objects/{carrier.shares()[0]['objects'][0]['id']}"
    reader = Reader(carrier, care, stall_after=64 * 1024)
    reader.start()
    assert reader.began.wait(30)
    new = tmp_path / "new.bin"
    new.write_bytes(b"new")
    lines = estate(town.printer_key.line, town.carrier_key.line).splitlines()
    file = tmp_path / "estate.yaml"
    file.write_text("\n".join(line for line in lines if "care-for-zorgvervoer" not in line) + "\n")
    with hanging(town):
        _unconfirmed(town.keten.command("put", "voters", str(new)))
        _unconfirmed(town.keten.command("apply", str(file)))
        revoked = town.keten.command("revoke", "client", CARRIER, "--reason", "a test", "--json")
        assert revoked.returncode == 3
        steps = {step["step"]: step["outcome"] for step in json.loads(revoked.stdout)["steps"]}
        assert steps == {"register": "done", "transfers": "not-done", "gateways": "not-done"}
        _unconfirmed(town.keten.command("revoke", "client", CARRIER, "--reason", "again"))
    # It goes on: the first thing that it does is what it was told meanwhile.
    again = town.keten.run("revoke", "client", CARRIER, "--reason", "again")
    assert {step["outcome"] for step in again["steps"]} == {"already", "done"}
    reader.resume.set()
    reader.join(60)
    assert reader.reset_at, "the transfer was cut"
    assert {one["name"] for one in printer.shares()[0]["objects"]} == {"voters.csv", "new.bin"}
    assert town.keten.run("put", "voters", str(new))["objects"][0]["unchanged"]
    assert {one["change"] for one in town.keten.run("apply", str(file))["changes"]} == {"kept-ended"}
    assert town.keten.command("ledger", "verify").returncode == 0
