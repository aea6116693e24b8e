"""How much one client may have under way: counted by the keeper, so over every token, protocol and gateway."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import paramiko
import pytest

from keten.drills.supplier import SupplierSystem
from tests.town import CARRIER, SETTINGS, Town

MOST = 3


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    with made.keten:
        made.keten.paths.settings.write_text(f"{SETTINGS}[limits]\nparallel_per_client = {MOST}\n")
        made.start()
        yield made


@contextmanager
def another_gateway(town: Town) -> Iterator[dict[str, Any]]:
    """A second gateway on the same keeper; its ready line."""
    words = ["_gateway", "--home", str(town.keten.home), "--gateway", "127.0.0.1:0", "--sftp", "127.0.0.1:0"]
    with subprocess.Popen([sys.executable, "-m", "keten", *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


class Stalled:
    """A download whose reader stops after its first bytes."""

    def __init__(self, system: SupplierSystem, path: str) -> None:
        self._wire = system.connect(receive_buffer=64 * 1024)
        self._answer = system.send(self._wire, "GET", path, system.authorised("GET", path))
        assert self._answer.status == 200
        assert self._answer.read(1000)

    def finish(self) -> int:
        """Read the rest; how many bytes."""
        with self._wire:
            return len(self._answer.read())


@contextmanager
def sftp(town: Town, where: str) -> Iterator[paramiko.SFTPClient]:
    host, _, port = where.rpartition(":")
    transport = paramiko.Transport((host, int(port)))
    try:
        key = paramiko.Ed25519Key.from_private_key_file(str(town.carrier_key.path))
        transport.connect(username=town.keten.ids["client"][CARRIER], pkey=key)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        yield client
    finally:
        transport.close()


@pytest.mark.timeout(300)
def test_by_client_whatever_the_token_the_protocol_and_the_gateway(town: Town) -> None:
    with ExitStack() as stack:
        second = stack.enter_context(another_gateway(town))
        here = town.carrier()
        there = SupplierSystem(second["gateway"], town.keten.paths.ca, here.client_id, town.carrier_key.private)
        there.token = here.token  # which this gateway did not see issued
        path = f"/v1/objects/{here.shares()[0]['objects'][0]['id']}"
        assert there.get(path).status == 200
        readers = [Stalled(here, path), Stalled(there, path)]
        client = stack.enter_context(sftp(town, second["sftp"]))
        (folder,) = client.listdir("/")
        many = [client.open(f"{folder}/care.bin", "rb") for _number in range(10)]
        assert [one.read(3) for one in many] == [b"\0\1\2"] * 10, "a session counts once, whatever is open in it"
        for system in (here, there, town.carrier()):
            answer = system.get(path)
            assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        with pytest.raises(paramiko.SSHException), sftp(town, town.keten.ready["sftp"]):
            pass
        printer = town.printer()
        own = f"/v1/objects/{printer.shares()[0]['objects'][0]['id']}"
        assert printer.get(own).status == 200, "others are not held up"
        assert printer.get(path).status == 404
        # One is over: there is room for one, and a refusal takes none.
        assert readers.pop().finish() == town.care.stat().st_size - 1000
        deadline = time.monotonic() + 30
        while here.get(path).status == 429:  # until its end is recorded
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for _number in range(MOST * 3):
            assert here.get("/v1/objects/absent").status == 404
        assert here.get(path).status == 200
        readers.pop().finish()
