"""`keten up` with its real processes: what dies comes back, twice is refused, a killed supervisor leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from keten.core.certificates import read
from keten.drills.throwaway import Command, Throwaway

LISTENERS = ("up", "--sftp", "off", "--console", "off")

WATCHED = True  # see conftest.py


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Throwaway]:
    with Throwaway(tmp_path) as made:
        yield made


def until(holds: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def answers(url: str, ca: Path) -> bool:
    where = urlsplit(url)
    context = ssl.create_default_context(cafile=str(ca))
    try:
        with (
            socket.create_connection((where.hostname, where.port), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname=where.hostname) as wire,
        ):
            wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return wire.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def test_what_is_said_and_kept_while_it_runs(instance: Throwaway) -> None:
    ready = instance.up()
    assert ready["ready"] is True
    assert set(ready) == {"ready", "gateway", "sftp", "sftp_host_key", "console", "portal", "ca"}
    assert answers(ready["gateway"], Path(ready["ca"]))
    status = instance.run("status")
    assert status["up"]["gateway"] == ready["gateway"]
    words = ("openssl", "x509", "-in", ready["ca"], "-noout", "-fingerprint", "-sha256")
    assert status["authority"] == subprocess.check_output(words, text=True).strip().partition("=")[2]
    assert status["up"]["pids"]["keeper"] == instance.pid("keeper")
    assert len(status["keeper"]["gateways"]) == 1

    again = instance.command(*LISTENERS, "--gateway", "127.0.0.1:0", "--json")
    assert again.returncode == 2
    assert json.loads(again.stdout) == {
        "ready": False,
        "code": "up-already",
        "error": json.loads(again.stdout)["error"],
    }
    assert answers(ready["gateway"], Path(ready["ca"]))

    pids = [instance.pid(name) for name in ("keeper", "gateway")]
    assert instance.down() == 0
    assert not any(map(alive, pids))
    assert instance.command("status").returncode == 1
    assert sorted(path.name for path in instance.paths.run.glob("*.pid")) == []


def test_what_dies_is_started_again_where_it_was(instance: Throwaway) -> None:
    ready = instance.up()
    ca = Path(ready["ca"])
    for name in ("gateway", "keeper"):
        before = instance.pid(name)
        os.kill(before, signal.SIGKILL)
        assert until(lambda name=name, before=before: instance.pid(name) != before)  # type: ignore[misc]
        assert until(lambda: answers(ready["gateway"], ca)), instance.log()
        assert f"The {name} stopped (signal SIGKILL)" in instance.log()
    # A command meanwhile waits for the keeper that comes back, instead of running one of its own.
    os.kill(instance.pid("keeper"), signal.SIGKILL)
    decided = instance.run("decide", "nobody", "open", "nothing", expect=1)
    assert decided["outcome"] == "deny"
    assert instance.down() == 0


def test_a_killed_supervisor_leaves_nothing_running(instance: Throwaway) -> None:
    instance.up()
    pids = [instance.pid(name) for name in ("keeper", "gateway")]
    supervisor = instance._up
    assert supervisor is not None
    supervisor.kill()
    supervisor.wait()
    assert until(lambda: not any(map(alive, pids)))
    assert instance.command("status").returncode == 1
    supervisor.stdout.close() if supervisor.stdout else None
    assert instance.up()["ready"] is True


@pytest.mark.slow
def test_a_certificate_for_the_name_it_is_reached_by(instance: Throwaway) -> None:
    before = instance.paths.tls_certificate.read_bytes()
    url = 'public_url = "https://files.example:8443"'
    (instance.home / "keten.toml").write_text(f"[gateway]\n{url}\n")
    ready = instance.up()
    assert ready["gateway"] == "https://files.example:8443"
    known = read(instance.paths.tls_certificate)
    assert {"files.example", "127.0.0.1", "localhost"} <= set(known.hosts)
    instance.down()
    after = instance.paths.tls_certificate.read_bytes()
    assert after != before
    instance.up()
    assert instance.paths.tls_certificate.read_bytes() == after  # it fits: no new one
    kinds = instance.command("ledger", "show", "--kind", "keeper.certificate.issued", "--json").stdout
    assert len(kinds.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_it_starts(number: signal.Signals, instance: Throwaway) -> None:
    pid_file = instance.paths.run / "keeper.pid"

    def stop() -> None:
        assert until(pid_file.exists)
        assert instance._up is not None
        instance._up.send_signal(number)

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(Command, match="ready"):
        instance.up()
    stopper.join()
    process = instance._up
    assert process is not None
    assert process.wait(30) == 0, instance.log()
    assert instance.command("status").returncode == 1
    assert "Traceback" not in instance.log()


def test_a_port_that_is_taken_is_said(instance: Throwaway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = instance.command(*LISTENERS, "--gateway", f"127.0.0.1:{port}", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout.splitlines()[0])["ready"] is False
    assert str(port) in done.stderr
    assert instance.command("status").returncode == 1


def test_a_keeper_that_cannot_start_ends_it(instance: Throwaway) -> None:
    (instance.paths.root_key).write_bytes(b"short")
    done = instance.command(*LISTENERS, "--gateway", "127.0.0.1:0", "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["code"] == "key-damaged"
    assert "Traceback" not in done.stderr
