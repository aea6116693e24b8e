"""`keten demo` as a newcomer runs it: what it prints, what its three things to try do, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from pathlib import Path

import pytest

from tests.browser.conftest import Demo

pytestmark = pytest.mark.timeout(400)


def test_what_it_prints(demo: Demo) -> None:
    told = demo.told
    assert {"ready", "home", "gateway", "sftp", "console", "ca", "pages", "ids", "contract_ends", "try"} <= set(told)
    assert told["gateway"].startswith("https://127.0.0.1:")
    assert Path(told["ca"]).exists()
    assert [len(one["commands"]) for one in told["try"]] == [1, 2, 3]
    for page in told["pages"].values():
        with urllib.request.urlopen(page) as answer:
            assert answer.status == 200
    said = demo.errors()
    assert said.count("✓") >= 8
    assert "Traceback" not in said


def test_a_second_one_in_the_same_folder_is_refused(demo: Demo) -> None:
    line = [sys.executable, "-m", "keten", "demo", "--home", str(demo.folder), "--once"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "runs in" in done.stderr
    with urllib.request.urlopen(demo.told["pages"]["nl"]) as answer:
        assert answer.status == 200


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where another demo can be made; a short path, for there are Unix sockets in it."""
    return tmp_path_factory.mktemp("d") / "demo"


@pytest.mark.slow
def test_it_leaves_nothing_running(folder: Path) -> None:
    """Nor does Ctrl-C: the demo that other tests share is stopped that way."""
    made = Demo(folder)
    assert made.told.get("ready"), made.errors()
    pids = [int(path.read_text()) for path in (Path(made.told["home"]) / "run").glob("*.pid")]
    assert len(pids) == 4
    made.process.send_signal(signal.SIGTERM)
    assert made.process.wait(60) == 0
    made.stop()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    port = int(made.told["console"].rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.slow
def test_the_three_things_to_try(folder: Path) -> None:
    """As they are printed, on a demo of their own; the last waits until the contract is over. Then a killed demo."""
    made = Demo(folder)
    assert made.told.get("ready"), made.errors()
    first, second, third = (one["commands"] for one in made.told["try"])

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, shell=True, capture_output=True, text=True, check=False)

    assert run(first[0]).returncode == 0
    assert sum(path.stat().st_size for path in (made.folder / "suppliers").rglob("zaken-export.csv")) > 200_000_000
    assert run(second[0]).returncode == 0
    assert run(second[1]).returncode == 1
    left = datetime.fromisoformat(made.told["contract_ends"]).timestamp() - time.time()
    time.sleep(max(left, 0) + 1)
    assert run(third[0]).stdout.strip() == "1 row changed"
    assert run(third[1]).returncode == 1
    verified = run(third[2])
    assert verified.returncode == 1
    assert "contracts" in verified.stdout

    os.kill(made.process.pid, signal.SIGKILL)  # the next demo stops what this one leaves running
    made.process.wait()
    line = [sys.executable, "-m", "keten", "demo", "--home", str(made.folder), "--once", "--json"]
    again = subprocess.run(line, capture_output=True, text=True, check=False)
    made.stop()
    assert again.returncode == 0, again.stderr
    assert "left process" in again.stderr
    assert json.loads(again.stdout)["ready"]
