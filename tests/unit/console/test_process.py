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
from tests.unit.console.gatekeeper import SESSION, Gatekeeper
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


@pytest.fixture(autouse=True)
def gatekeeper(house: House) -> Iterator[Gatekeeper]:
    """Somebody who knows who is signed in."""
    with Gatekeeper(house.home.console_socket) as made:
        yield made


def get(url: str, path: str, session: str = SESSION) -> tuple[int, str, dict[str, str]]:
    """One answer for whoever is signed in: status, body, headers."""
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        connection.request("GET", path, headers={"Cookie": f"keten-{parts.port}-session={session}"} if session else {})
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


def test_it_says_what_browsers_call_it_and_shows_nothing_to_strangers(house: House, gatekeeper: Gatekeeper) -> None:
    house.declare()
    with console(house) as (_process, ready):
        assert ready["console"].startswith("http://localhost:")
        assert get(ready["console"], "/en")[0] == 200
        assert gatekeeper.origins == [ready["console"]]
        for session in ("", "x" * 26):
            status, body, headers = get(ready["console"], "/en", session)
            assert (status, headers["location"]) == (303, "/en/sign-in")
            assert "Drukwerk" not in body


def test_it_shows_nothing_while_the_keeper_is_away_and_goes_on_after_that(house: House) -> None:
    house.declare()
    path = house.home.console_socket
    with console(house) as (_process, ready):
        assert get(ready["console"], "/en")[0] == 200
        path.rename(path.with_suffix(".away"))
    with console(house) as (_process, ready):
        status, body, _headers = get(ready["console"], "/en")
        assert (status, "Drukwerk" in body) == (503, False)
        assert "The keeper cannot be reached" in body
        path.with_suffix(".away").rename(path)
        for _ in range(600):
            if get(ready["console"], "/en")[0] == 200:
                return
            time.sleep(0.05)
    pytest.fail("it did not find the keeper again")


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
    (tmp_path / "run").mkdir()
    line = [sys.executable, "-m", "keten", "_console", "--home", str(tmp_path), "--console", "127.0.0.1:0"]
    keeper = Gatekeeper(tmp_path / "run" / "console.sock")
    with keeper, subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            status, body, _headers = get(ready["console"], "/nl")
            assert status == 503
            assert "Het overzicht kan niet worden getoond" in body
        finally:
            process.kill()
