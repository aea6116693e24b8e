"""The connector as a process of its own, and the keeper's way to it: what hangs, dies, lies or is somebody else."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from keten.connector.pool import WAITING, Pool
from keten.core.errors import Invalid, Unavailable
from keten.core.settings import Paths
from keten.core.sources import SystemPlace
from keten.keeper.client import KeeperClient
from keten.keeper.connector_link import ConnectorLink
from keten.systems.asking import AskRows, Describe, Described, Rows, Where

T = TypeVar("T")
PEOPLE = Where("archive", "sqlite", "people", "code")
PLACE = SystemPlace("sqlite:archive.db", timeout="1s", connections=1)
ME = frozenset({os.getuid()})
ASKED = AskRows(PEOPLE, ("name",), ("ab-1",))


class Process:
    """A connector on a folder that looks like an instance."""

    def __init__(self, home: Path) -> None:
        self.home, self.paths = home, Paths(home)
        self.paths.keeper.mkdir(parents=True)
        self.paths.run.mkdir()
        with closing(sqlite3.connect(home / "archive.db")) as raw, raw:
            raw.execute("CREATE TABLE people (code TEXT PRIMARY KEY, name TEXT)")
            raw.execute("INSERT INTO people VALUES ('ab-1', 'Ada')")
            raw.execute(
                "CREATE VIEW slow AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                "SELECT 'ab-1' AS code, (SELECT count(*) FROM n) AS name"
            )
        self.settings('[systems.archive]\nurl = "sqlite:archive.db"\ntimeout = "1s"\nconnections = 1\n')
        self.process: subprocess.Popen[bytes] | None = None

    def settings(self, text: str) -> None:
        (self.home / "keten.toml").write_text(text)

    def start(self) -> None:
        command = [sys.executable, "-m", "keten", "_connector", "--home", str(self.home)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert b'"ready": true' in self.process.stdout.readline()

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(30)

    def link(self, users: frozenset[int] = ME) -> ConnectorLink:
        return ConnectorLink(self.paths.connector_socket, users, {"archive": PLACE, "other": PLACE})


@pytest.fixture(scope="module")
def connector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    made = Process(tmp_path_factory.mktemp("connector"))
    made.start()
    yield made
    made.stop(signal.SIGKILL)


def within(link: ConnectorLink, ask: Callable[[ConnectorLink], Awaitable[T]]) -> T:
    async def run() -> T:
        try:
            return await ask(link)
        finally:
            await link.close()

    return asyncio.run(run())


def refused(link: ConnectorLink, asked: AskRows = ASKED) -> Unavailable:
    with pytest.raises(Unavailable) as found:
        within(link, lambda known: known.rows(asked))
    return found.value


def test_rows_and_form(connector: Process) -> None:
    asked = AskRows(PEOPLE, ("name",), ("nobody", "ab-1"))
    assert within(connector.link(), lambda link: link.rows(asked)) == Rows((None, ["Ada"]))
    seen = within(connector.link(), lambda link: link.describe(Describe(PEOPLE, ("name",))))
    assert isinstance(seen, Described)
    assert seen.columns == {"code": "TEXT", "name": "TEXT"}


def test_what_is_not_set_up_or_of_another_kind(connector: Process) -> None:
    for where, code in (
        (msgspec.structs.replace(PEOPLE, system="other"), "system-unavailable"),
        (msgspec.structs.replace(PEOPLE, system="nobody"), "system-unavailable"),
        (msgspec.structs.replace(PEOPLE, kind="postgres"), "system-changed"),
    ):
        assert refused(connector.link(), AskRows(where, ("name",), ("ab-1",))).code == code


@pytest.mark.parametrize("keys", [(), ("AB-1",), (" ab-1",), ("a\0b",), ("",), ("x" * 201,), ("k",) * 51])
def test_the_socket_takes_normal_keys_only(connector: Process, keys: tuple[str, ...]) -> None:
    with KeeperClient(connector.paths.connector_socket) as client, pytest.raises(Invalid):
        client.call("connector.rows", AskRows(PEOPLE, ("name",), keys), Rows)


def test_it_knows_no_other_verb_and_no_malformed_frame(connector: Process) -> None:
    with KeeperClient(connector.paths.connector_socket) as client:
        for verb in ("keeper.status", "connector.query", "systems.check"):
            with pytest.raises(Invalid, match="unknown-verb"):
                client.call(verb, ASKED, Rows)
    with closing(socket.socket(socket.AF_UNIX)) as raw:
        raw.connect(str(connector.paths.connector_socket))
        raw.sendall(struct.pack(">I", 1 << 31))
        assert raw.recv(1) == b""
    assert within(connector.link(), lambda link: link.rows(ASKED)).rows == (["Ada"],)


def test_a_slow_table_ends_in_time_and_what_waits_behind_it_too(connector: Process) -> None:
    slow = AskRows(msgspec.structs.replace(PEOPLE, table="slow"), ("name",), ("ab-1",))

    async def both(link: ConnectorLink) -> Sequence[Any]:
        return await asyncio.gather(link.rows(slow), link.rows(slow), return_exceptions=True)

    for error in within(connector.link(), both):
        assert isinstance(error, Unavailable)
        assert error.code == "system-unavailable"
    assert within(connector.link(), lambda link: link.rows(ASKED)).rows == (["Ada"],)


def test_a_second_one_is_refused_and_a_killed_one_replaced(connector: Process) -> None:
    command = [sys.executable, "-m", "keten", "_connector", "--home", str(connector.home)]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "is running on this instance already" in second.stdout
    slow = AskRows(msgspec.structs.replace(PEOPLE, table="slow"), ("name",), ("ab-1",))

    async def killed(link: ConnectorLink) -> tuple[Any, Rows]:
        waiting = asyncio.ensure_future(link.rows(slow))
        await asyncio.sleep(0)
        while not link._pending:  # noqa: ASYNC110  # what it waits for has no event
            await asyncio.sleep(0.001)
        assert connector.process is not None
        connector.process.kill()
        (gone,) = await asyncio.gather(waiting, return_exceptions=True)
        with pytest.raises(Unavailable):
            await link.rows(ASKED)
        connector.ended()
        connector.start()
        return gone, await link.rows(ASKED)

    gone, again = within(connector.link(), killed)
    assert isinstance(gone, Unavailable)
    assert "went away" in gone.reason
    assert again.rows == (["Ada"],)


def test_it_stops_although_a_question_is_under_way(connector: Process) -> None:
    slow = AskRows(msgspec.structs.replace(PEOPLE, table="slow"), ("name",), ("ab-1",))
    assert connector.process is not None
    with KeeperClient(connector.paths.connector_socket) as client, ThreadPoolExecutor(1) as asking:
        waiting = asking.submit(client.call, "connector.rows", slow, Rows)
        connector.process.send_signal(signal.SIGTERM)
        assert isinstance(waiting.exception(), Unavailable), "whichever comes first"
    assert connector.ended() == 0
    connector.start()


def test_the_keeper_believes_no_other_user_and_nobody_else_is_heard(connector: Process) -> None:
    assert "of user" in refused(connector.link(frozenset({12345}))).reason
    if os.getuid() != 0:
        pytest.skip("only root can become another user, to knock as a stranger")
    stranger = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1]); "
        "s.sendall(bytes(4)); sys.exit(0 if s.recv(1) == b'' else 9)"
    )
    mode = connector.paths.connector_socket.stat().st_mode
    connector.paths.connector_socket.chmod(0o666)
    for folder in (connector.home, *connector.home.parents):
        if not folder.stat().st_mode & 0o001 and str(folder).startswith(("/tmp/pytest", str(connector.home))):
            folder.chmod(folder.stat().st_mode | 0o011)
    line = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", stranger]
    done = subprocess.run([*line, str(connector.paths.connector_socket)], capture_output=True, text=True, check=False)
    connector.paths.connector_socket.chmod(mode)
    assert done.returncode == 0 or "PermissionError" in done.stderr or "ResetError" in done.stderr, done.stderr


class Liar:
    """Something on the connector's socket that answers what it is told to."""

    def __init__(self, path: Path, answer: bytes | None) -> None:
        self.path, self._answer = path, answer

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack(">I", await reader.readexactly(4))
        await reader.readexactly(length)
        writer.write(self._answer or b"")
        await reader.read()  # until nobody waits any more
        writer.close()
        await writer.wait_closed()


def framed(number: int, body: Any, *, ok: bool = True) -> bytes:
    said = msgspec.msgpack.encode([number, ok, body])
    return struct.pack(">I", len(said)) + said


@pytest.mark.parametrize(
    "answer",
    [
        None,
        struct.pack(">I", 1 << 31),
        struct.pack(">I", 3) + b"\xc1\xc1\xc1",
        framed(1, {"rows": [["Ada", "and more than was asked for"]]}),
        framed(1, {"rows": [["Ada"], ["Bo"]]}),
        framed(1, {"rows": [{"name": "Ada"}]}),
        framed(1, ["nothing of the kind"]),
        framed(1, {"category": "invalid", "code": "x", "public": "y"}, ok=False),
        framed(1, 7, ok=False),
    ],
)
def test_an_answer_that_is_none_gives_nothing(tmp_path: Path, answer: bytes | None) -> None:
    async def run() -> None:
        path = tmp_path / "s"
        served = await asyncio.start_unix_server(Liar(path, answer), str(path))
        link = ConnectorLink(path, ME, {"archive": PLACE})
        with pytest.raises(Unavailable) as found:
            await link.rows(ASKED)
        assert found.value.code == "system-unavailable"
        await link.close()
        served.close()
        await served.wait_closed()
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110  # streams keep their tasks to themselves
            await asyncio.sleep(0)

    asyncio.run(run())


def test_a_pool_takes_so_many_and_no_more() -> None:
    place = msgspec.structs.replace(PLACE, timeout="1s")

    async def run() -> list[Any]:
        def unreachable() -> Any:
            raise Unavailable("system-unavailable", "It is not there.")

        pool = Pool("archive", place, unreachable)
        asked = [pool.ask(lambda driver, seconds: (driver, seconds)) for _one in range(WAITING + 5)]
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(run())
    assert all(isinstance(one, Unavailable) for one in found)
    assert [one.reason for one in found].count("too many lookups wait for it") == 5


def test_a_password_is_read_from_a_file_that_is_its_owners(tmp_path: Path) -> None:
    place = SystemPlace("postgresql://x@/y", password_file="secret")
    with pytest.raises(Unavailable, match="cannot be read"):
        place.password(tmp_path)
    path = tmp_path / "secret"
    path.write_text("pass word\n")
    path.chmod(0o640)
    with pytest.raises(Unavailable, match="Others may read"):
        place.password(tmp_path)
    path.chmod(0o600)
    assert place.password(tmp_path) == "pass word"
