"""The gateway as a process: what it says, how it waits for its keeper, and how it stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from keten.keeper import protocol as said
from tests.unit.gateway.conftest import Keys, write_keys
from tests.unit.gateway.fake import FakeKeeper


async def started(home: Path, *options: str) -> asyncio.subprocess.Process:
    words = ("-m", "keten", "_gateway", "--home", str(home), *options)
    return await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=dict(os.environ)
    )


async def line(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    return json.loads(await asyncio.wait_for(process.stdout.readline(), 60))


def test_it_waits_for_the_keeper_then_says_where_it_is_and_stops_in_good_order(tmp_path: Path, keys: Keys) -> None:
    write_keys(tmp_path, keys)

    async def testing() -> None:
        keeper = FakeKeeper(tmp_path)
        process = await started(tmp_path, "--gateway", "127.0.0.1:0", "--sftp", "127.0.0.1:0")
        await asyncio.sleep(0.2)
        await keeper.start()
        ready = await line(process)
        assert ready["gateway"].startswith("https://127.0.0.1:")
        assert ready["sftp"].startswith("127.0.0.1:")
        assert ready["sftp_host_key"].startswith("ssh-ed25519 AAAA")
        hello = keeper.bodies("keeper.hello")[0]
        assert isinstance(hello, said.Hello)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        await keeper.stop()

    asyncio.run(testing())


def test_it_can_be_stopped_while_it_waits(tmp_path: Path, keys: Keys) -> None:
    write_keys(tmp_path, keys)

    async def testing() -> None:
        process = await started(tmp_path, "--gateway", "127.0.0.1:0")
        assert process.stderr is not None
        assert b"waiting for the keeper" in await asyncio.wait_for(process.stderr.readline(), 60)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0

    asyncio.run(testing())


@pytest.mark.parametrize(
    ("missing", "settings", "code"),
    [
        ("", '[gateway]\ncertificate = "/none.pem"\ncertificate_key = "/none.key"\n', "certificate"),
        ("ssh_host_ed25519_key", "", "ssh-host-key"),
        ("", '[sftp]\nproxy = "X-Forwarded-For"\ntrusted_proxies = ["10.0.0.0/8"]\n', "settings"),
        ("", '[gateway]\nbind = "nonsense"\n', "bind"),
    ],
)
def test_what_is_wrong_is_said_at_once(tmp_path: Path, keys: Keys, missing: str, settings: str, code: str) -> None:
    write_keys(tmp_path, keys)
    if missing:
        (tmp_path / "gateway" / missing).unlink()
    (tmp_path / "keten.toml").write_text(settings)

    async def testing() -> None:
        keeper = FakeKeeper(tmp_path)
        await keeper.start()
        options = ["--sftp", "127.0.0.1:0"] + ([] if "bind" in settings else ["--gateway", "127.0.0.1:0"])
        process = await started(tmp_path, *options)
        told = await line(process)
        assert (told["ready"], told["code"]) == (False, code)
        assert await asyncio.wait_for(process.wait(), 60) == 2
        await keeper.stop()

    asyncio.run(testing())


def test_a_port_that_is_taken_is_said(tmp_path: Path, keys: Keys) -> None:
    write_keys(tmp_path, keys)

    async def testing() -> None:
        keeper = FakeKeeper(tmp_path)
        await keeper.start()
        taken = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        process = await started(tmp_path, "--gateway", f"127.0.0.1:{port}")
        assert (await line(process))["code"] == "cannot-listen"
        assert await asyncio.wait_for(process.wait(), 60) == 3
        taken.close()
        await keeper.stop()

    asyncio.run(testing())
