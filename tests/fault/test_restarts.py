"""Processes are killed amid open downloads and SFTP sessions: all end, each end is recorded once, within its bounds."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import paramiko
import pytest

from keten.drills.reader import Reader
from tests.town import CARRIER, Town

DOWNLOADS = 50
SESSIONS = 3
BACK_SECONDS = 90.0


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("restarts"))
    with made.keten:
        made.start()
        yield made


def _entries(town: Town, kind: str) -> dict[str, dict[str, Any]]:
    done = town.keten.command("ledger", "show", "--json", "--kind", kind)
    assert done.returncode == 0, done.stderr
    return {entry["id"]: entry for entry in map(json.loads, done.stdout.splitlines())}


def _sftp(town: Town, stack: ExitStack) -> tuple[paramiko.Transport, paramiko.SFTPFile]:
    """A session with a file of which a part was read."""
    host, _, port = town.keten.ready["sftp"].rpartition(":")
    transport = stack.enter_context(paramiko.Transport((host, int(port))))
    key = paramiko.Ed25519Key.from_private_key_file(str(town.carrier_key.path))
    transport.connect(username=town.keten.ids["client"][CARRIER], pkey=key)
    client = paramiko.SFTPClient.from_transport(transport)
    assert client is not None
    (share,) = client.listdir("/")
    (name,) = client.listdir(f"/{share}")
    file = client.open(f"/{share}/{name}")
    assert file.read(4096)
    return transport, file


def _served_again(town: Town) -> None:
    carrier = town.system(CARRIER, town.carrier_key)
    deadline = time.monotonic() + BACK_SECONDS
    while True:
        try:
            if carrier.sign_in().status == 200 and carrier.shares():
                return
        except OSError:  # nobody listens at the moment
            pass
        assert time.monotonic() < deadline, town.keten.log()[-3000:]
        time.sleep(0.1)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "killed",
    [*(pytest.param((one,), marks=pytest.mark.slow) for one in ("keeper", "gateway")), ("keeper", "gateway")],
    ids="-".join,
)
def test_everything_ends_and_every_end_is_recorded_once(town: Town, killed: tuple[str, ...]) -> None:
    carrier = town.carrier()
    path = f"/v1/objects/{carrier.shares()[0]['objects'][0]['id']}"
    size = town.care.stat().st_size
    before = set(_entries(town, "exchange.object.opened"))
    readers = [Reader(carrier, path, stall_after=100_000) for _ in range(DOWNLOADS)]
    with ExitStack() as stack:
        for reader in readers:
            stack.callback(reader.resume.set)
            reader.start()
        sessions = [_sftp(town, stack) for _ in range(SESSIONS)]
        for reader in readers:
            assert reader.began.wait(60), reader.failure
        for name in killed:
            os.kill(town.keten.pid(name), signal.SIGKILL)
        for transport, _file in sessions:
            transport.join(60)
            assert not transport.is_active(), "the session went on"
        for reader in readers:
            reader.resume.set()
        for reader in readers:
            reader.join(60)
            assert reader.reset_at
            assert reader.received < size
    _served_again(town)

    opened = {entry: one for entry, one in _entries(town, "exchange.object.opened").items() if entry not in before}
    received = {reader.entries[0]: reader.received for reader in readers}
    assert set(received) <= set(opened), "bytes left without an entry"
    assert len(opened) >= DOWNLOADS + SESSIONS
    deadline = time.monotonic() + BACK_SECONDS
    while True:
        delivered = _entries(town, "exchange.object.delivered").values()
        ends = [one for one in delivered if one["details"]["opening"] in opened]
        if len(ends) >= len(opened):
            break
        assert time.monotonic() < deadline, f"{len(ends)} ends of {len(opened)}"
        time.sleep(0.5)
    assert set(Counter(one["details"]["opening"] for one in ends).values()) == {1}
    for one in ends:
        details = one["details"]
        got = received.get(details["opening"], 4096)
        most = details["at_most"] if details["end"] == "unknown" else one["bytes"]
        least = details["at_least"] if details["end"] == "unknown" else 0
        assert got <= most <= size, details
        assert 0 <= least <= most
        if "gateway" not in killed:
            assert details["end"] in {"cut", "client-closed"}, "the gateway lives, and knows"
        else:
            assert details["end"] in {"unknown", "client-closed"}
    assert town.keten.command("ledger", "verify").returncode == 0
