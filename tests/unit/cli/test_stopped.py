"""Commands on a stopped instance: they run a keeper for themselves, one after the other, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.cli.locks import Lock, command_lock
from keten.cli.operator import keeping
from keten.cli.processes import Child, refuse_other_user
from keten.core.errors import Invalid
from keten.core.settings import Paths
from tests.unit.cli.conftest import Keten
from tests.unit.cli.in_a_terminal import Session, in_a_terminal
from tests.unit.cli.town import estate


def command(home: Path, *words: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "keten", *words, "--home", str(home)]
    # A shell's background jobs, and what they start, ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def stopped(home: Path, keten: Keten) -> Iterator[Path]:
    """An instance with an estate; nothing may run on it afterwards."""
    (home.parent / "estate.yaml").write_text(estate())
    done = keten("apply", str(home.parent / "estate.yaml"), "--home", str(home))
    assert done.code == 0, done.err
    yield home
    assert not Paths(home).operator_socket.exists()
    assert keten("status", "--home", str(home)).code == 1


@pytest.mark.slow
def test_several_at_once_wait_for_each_other(stopped: Path, tmp_path: Path) -> None:
    running = []
    for number in range(4):
        (tmp_path / f"{number}.csv").write_text(f"id\n{number}\n")
        running.append(command(stopped, "put", "voters", str(tmp_path / f"{number}.csv"), "--json"))
    for one in running:
        out, err = one.communicate(timeout=100)
        assert one.returncode == 0, err
        assert '"unchanged":false' in out


def sparse(path: Path) -> Path:
    """A file that takes a while to put and no room: that is not over before somebody stops it."""
    with path.open("wb") as stream:
        stream.truncate(1 << 30)
    return path


def keeper_of(home: Path) -> int:
    """The process id of the keeper that a command started, once it listens."""
    deadline = time.monotonic() + 100
    while not Paths(home).operator_socket.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return int(Paths(home).keeper_lock.read_text())


def wait_gone(process: int) -> None:
    deadline = time.monotonic() + 100
    while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{process}").exists()


def test_the_keeper_goes_when_its_command_is_killed(stopped: Path, tmp_path: Path) -> None:
    big = sparse(tmp_path / "big.bin")
    putting = command(stopped, "put", "voters", str(big))
    keeper = keeper_of(stopped)
    putting.send_signal(signal.SIGKILL)
    putting.communicate()
    wait_gone(keeper)
    # Nothing of it is visible: other content can be put under that name.
    big.write_bytes(b"less")
    again = command(stopped, "put", "voters", str(big), "--json")
    out, err = again.communicate(timeout=100)
    assert again.returncode == 0, err
    assert '"unchanged":false' in out


def test_a_keeper_that_is_still_going_is_waited_for(stopped: Path) -> None:
    going = Lock(Paths(stopped).keeper_lock)  # held to its end, when its socket is gone already
    assert going.take()
    following = command(stopped, "put", "voters", __file__, "--json")
    time.sleep(2)
    going.give_back()
    _out, err = following.communicate(timeout=100)
    assert following.returncode == 0, err


def test_a_keeper_that_nobody_waits_for_any_more_stops_in_order(stopped: Path, keten: Keten) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as when its command is killed just before it is ready
    line = [sys.executable, "-m", "keten", "_keeper", "--home", str(stopped)]
    done = subprocess.run(line, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=100, check=False)
    os.close(writing)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    newest = keten("ledger", "show", "--newest", "--limit", "1", "--json", "--home", str(stopped)).json()
    assert newest["kind"] == "keeper.process.stopped"


@pytest.mark.slow
def test_interrupted_in_a_terminal(stopped: Path, tmp_path: Path) -> None:
    putting = command(stopped, "put", "voters", str(sparse(tmp_path / "big.bin")))
    deadline = time.monotonic() + 100
    while not list((stopped / "store").rglob(".*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.01)
    putting.send_signal(signal.SIGINT)
    _out, err = putting.communicate(timeout=100)
    assert putting.returncode == 130
    assert "Traceback" not in err
    assert [path for path in (stopped / "store").rglob("*") if path.is_file()] == []


def test_one_that_waits_too_long_says_for_what(stopped: Path, keten: Keten, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "WAIT_SECONDS", 0.1)
    held = command_lock(Paths(stopped))
    assert held.take()
    done = keten("decide", "x", "open", "y", "--home", str(stopped))
    held.give_back()
    assert done.code == 3
    assert "keten up" in done.err


def test_a_running_keeper_is_used(stopped: Path, keten: Keten) -> None:
    keeper = Child("keeper", stopped)
    try:
        keeper.wait_ready(60)
        assert keten("decide", "x", "open", "y", "--home", str(stopped)).code == 1
        assert keeper.exit_code is None
    finally:
        assert keeper.stop(30)


def test_a_socket_that_a_killed_keeper_left(stopped: Path, keten: Keten) -> None:
    keeper = Child("keeper", stopped)
    keeper.wait_ready(60)
    keeper.process.kill()
    keeper.process.wait()
    keeper.stdout.close()
    assert Paths(stopped).operator_socket.exists()
    assert keten("decide", "x", "open", "y", "--home", str(stopped)).code == 1


def test_another_user_is_refused(home: Path, keten: Keten) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    os.chown(home / "db", 65534, 65534)
    with pytest.raises(Invalid, match="sudo -u"):
        refuse_other_user(home)
    done = keten("put", "voters", __file__, "--home", str(home))  # says so before it looks for a keeper
    assert (done.code, done.out, "run this as that user" in done.err) == (2, "", True)
    os.chown(home / "db", 0, 0)
    refuse_other_user(home)


def test_on_a_terminal_the_end_of_access_is_asked_first(stopped: Path, tmp_path: Path) -> None:
    smaller = tmp_path / "smaller.yaml"
    smaller.write_text(estate().partition("grants:")[0])

    def answer(typed: bytes) -> Session:
        return in_a_terminal(typed, "apply", str(smaller), "--home", str(stopped))

    refused = answer(b"n\n")
    assert (refused.code, refused.out) == (1, "")
    agreed = answer(b"y\n")
    assert agreed.code == 0
    assert "- grant voters-for-drukwerk" in agreed.out
    again = answer(b"")  # nothing ends any more, and nothing is asked
    assert again.code == 0
    assert "Nothing was changed" in again.out


def test_the_start_of_a_keeper_is_told_on_a_terminal_only(stopped: Path, keten: Keten) -> None:
    words = ("decide", "drukwerk-batch", "open", "voters", "--at", "2026-06-01", "--json", "--home", str(stopped))
    session = in_a_terminal(b"", *words)
    assert "starting its keeper" in session.shown
    assert json.loads(session.out)["outcome"] == "allow"
    elsewhere = keten(*words)
    assert json.loads(elsewhere.out)["outcome"] == "allow"
    assert "starting its keeper" not in elsewhere.err
