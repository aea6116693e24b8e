"""The console as a process: ready line, answers, end; and addresses that cannot be had."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from keten.core.errors import Invalid, Unavailable
from keten.core.listening import listen
from tests.unit.console.house import House


@contextmanager
def console(house: House, bind: str = "127.0.0.1:0") -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A running console, and its ready line."""
    line = [sys.executable, "-m", "keten", "_console", "--home", house.settings.home, "--console", bind]
    with subprocess.Popen([*line, "--parent", str(os.getpid())], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def get(url: str, path: str) -> tuple[int, str, dict[str, str]]:
    """One answer: status, body, headers."""
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(house: House, number: signal.Signals) -> None:
    house.declare()
    house.publish()
    with console(house) as (process, ready):
        assert set(ready) == {"console"}
        status, body, headers = get(ready["console"], "/en")
        assert status == 200
        assert "Drukwerk BV" in body
        assert "server" not in headers
        process.send_signal(number)
        assert process.wait(30) == 0


def test_it_sees_what_changes(house: House) -> None:
    house.declare()
    with console(house) as (_process, ready):
        assert "De leverancier is beëindigd." not in get(ready["console"], "/nl")[1]
        house.end("supplier", house.id("supplier", "drukwerk"), "niet meer nodig")
        for _ in range(600):
            if "De leverancier is beëindigd." in get(ready["console"], "/nl")[1]:
                return
            time.sleep(0.05)
    pytest.fail("what ended was not shown")


def test_it_writes_nothing(house: House) -> None:
    house.declare()
    house.publish()
    before = {path: path.read_bytes() for path in house.home.home.rglob("*") if path.is_file()}
    with console(house) as (process, ready):
        assert get(ready["console"], "/nl")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    after = {path: path.read_bytes() for path in house.home.home.rglob("*") if path.is_file()}
    beside = ("-wal", "-shm")  # SQLite's own, of whoever has the database open
    assert {path for path in after if not path.name.endswith(beside)} == {
        path for path in before if not path.name.endswith(beside)
    }
    assert all(after[path] == content for path, content in before.items() if not path.name.endswith(beside))


def test_an_address_that_is_taken_is_said(house: House) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        with console(house, bind) as (process, said):
            assert (said["ready"], said["code"]) == (False, "cannot-listen")
            assert process.wait(30) == 3


@pytest.mark.parametrize("bind", ["", "localhost", ":x", "127.0.0.1:70000", "127.0.0.1:-1", "127.0.0.1:٣"])
def test_what_is_no_address(bind: str) -> None:
    with pytest.raises(Invalid) as caught:
        listen(bind, 1)
    assert caught.value.code == "bind"


@pytest.mark.parametrize("bind", ["192.0.2.1:0", "no-such-host.invalid:0"])
def test_an_address_that_is_not_here(bind: str) -> None:
    with pytest.raises(Unavailable) as caught:
        listen(bind, 1)
    assert caught.value.code == "cannot-listen"


def test_a_folder_without_an_instance(tmp_path: Path) -> None:
    """It runs, and says that it cannot see anything, as long as there is nothing."""
    line = [sys.executable, "-m", "keten", "_console", "--home", str(tmp_path), "--console", "127.0.0.1:0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            status, body, _headers = get(ready["console"], "/nl")
            assert status == 503
            assert "Het overzicht kan niet worden getoond" in body
        finally:
            process.kill()
