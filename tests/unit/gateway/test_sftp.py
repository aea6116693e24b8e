"""SFTP as its clients meet it: what can be seen, and reading."""

from __future__ import annotations

import asyncio
import io
import os
import time
import unicodedata
from pathlib import Path
from typing import Any

import asyncssh
import msgspec
import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import NotFound, Unavailable
from keten.core.ids import new_id
from keten.core.settings import Limits
from keten.gateway.sftp import Covered
from keten.gateway.sftp_files import folders_of
from keten.keeper import protocol as said
from tests.unit.gateway.asking import in_thread
from tests.unit.gateway.conftest import Serving
from tests.unit.gateway.fake import SHARE, Scene
from tests.unit.gateway.ssh_client import USER, Opened, connected, forever, sftp_client, sftp_path

# ---- what is there --------------------------------------------------------------------------------------------------


def test_folders_and_files(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"12345", "étude.csv")

        def look() -> None:
            with sftp_client(scene, key) as client:
                assert client.listdir("/") == ["share"]
                assert client.listdir(".") == ["share"]
                assert client.listdir("/share") == ["étude.csv"]
                found = client.stat("/share/étude.csv")
                assert (found.st_size, found.st_mtime) == (5, 1_700_000_000)
                assert oct(found.st_mode or 0) == "0o100440"
                assert oct(client.stat("/share").st_mode or 0) == "0o40550"
                assert client.normalize("share/../x/./y") == "/x/y"
                decomposed = unicodedata.normalize("NFD", "/share/étude.csv")
                assert client.stat(decomposed).st_size == 5
                (line,) = [one.longname for one in client.listdir_attr("/share") if one.filename == "étude.csv"]
                assert line.startswith("-r--r-----")
                for absent in (
                    "/none",
                    "/share/none",
                    "/share/étude.csv/x",
                    "/share/x/y/z",
                    "/share/\u202ex",
                    "/share/\0",
                ):
                    with pytest.raises(FileNotFoundError):
                        client.stat(absent)

        await in_thread(look)
        asked = scene.keeper.bodies("exchange.shares")
        assert sum(one.bare for one in asked) == 1, "the folders' names serve for some seconds"
        assert [one.limit for one in asked if not one.bare and not one.name] == [100, 100], "both times it was listed"
        assert {one.name for one in asked if one.name} == {"none"}, "what was listed just now is not looked up"
        session = asked[0].caller.session
        assert session is not None
        assert scene.keeper.bodies("exchange.open") == []
        assert content.info.size == 5

    serving(testing)


def test_any_push_makes_one_look_anew(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"1", "one.csv")

        def size(client: paramiko.SFTPClient) -> int | None:
            return client.stat("/share/one.csv").st_size

        with await in_thread(Opened, scene, key) as client:
            assert await in_thread(size, client) == 1
            del scene.keeper.objects[content.info.id]
            scene.keeper.put(b"22", "one.csv")
            assert await in_thread(size, client) == 1
            scene.keeper.push("an-opening-elsewhere")
            await scene.keeper.heard("keeper.acknowledge")
            assert await in_thread(size, client) == 2
            assert [one.bare for one in scene.keeper.bodies("exchange.shares")] == [True, False] * 2

    serving(testing)


def test_a_file_is_found_without_its_folder_being_listed(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        content = [scene.keeper.put(b"%d" % n, f"{n}.csv") for n in range(50)][30]
        assert await in_thread(fetch, scene, key, sftp_path(content)) == content.plain
        asked = scene.keeper.bodies("exchange.shares")
        assert [(one.bare, one.share, one.name) for one in asked] == [(True, "", ""), (False, SHARE, "30.csv")]

    serving(testing)


def test_a_large_folder_is_listed_a_little_at_a_time(serving: Serving) -> None:
    """With a client that asks ahead, as sshfs does, every name comes once."""

    async def testing(scene: Scene) -> None:
        info = scene.keeper.put(b"x").info
        names = {"名" * 84 + f"{n:03}" for n in range(950)}

        async def answer(body: said.ShareQuery) -> msgspec.Struct:
            begin = int(body.cursor or 0)
            found = sorted(names)[begin : begin + body.limit]
            objects = () if body.bare else tuple(msgspec.structs.replace(info, name=name) for name in found)
            following = "" if body.bare or begin + body.limit >= len(names) else str(begin + body.limit)
            return said.Shares("e" * 26, 7, (said.Share(SHARE, "file", "share", "p", 0, objects),), 10**9, following)

        scene.keeper.verbs["exchange.shares"] = answer
        own = asyncssh.generate_private_key("ssh-ed25519")
        async with (
            asyncssh.connect(
                *scene.sftp, username=USER, client_keys=[own], known_hosts=None, config=None
            ) as connection,
            connection.start_sftp_client() as client,
        ):
            handler = client._handler
            folder = await handler.opendir(b"/share")
            assert len(scene.keeper.bodies("exchange.shares")) == 1, "nothing is listed before it is read"
            answers = await asyncio.gather(*(handler.readdir(folder) for _ahead in range(11)))
            seen = [os.fsdecode(one.filename) for found, _end in answers for one in found]
            with pytest.raises(asyncssh.SFTPEOFError):
                await handler.readdir(folder)
        assert sorted(seen) == sorted({".", ".."} | names)
        assert max(len(found) for found, _end in answers) <= 100
        assert len(scene.keeper.bodies("exchange.shares")) == 11

    serving(testing)


def test_a_listing_that_fails_in_the_middle_is_never_silently_short(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        for n in range(150):
            scene.keeper.put(b"x", f"{n}.csv")
        own = asyncssh.generate_private_key("ssh-ed25519")
        async with (
            asyncssh.connect(
                *scene.sftp, username=USER, client_keys=[own], known_hosts=None, config=None
            ) as connection,
            connection.start_sftp_client() as client,
        ):
            usual = scene.keeper.verbs["exchange.shares"]

            async def failing(body: said.ShareQuery) -> msgspec.Struct:
                if body.cursor:
                    raise Unavailable("disk-full", "Not now.", "private")
                return await usual(body)

            scene.keeper.verbs["exchange.shares"] = failing
            handler = client._handler
            folder = await handler.opendir(b"/share")
            assert [len((await handler.readdir(folder))[0]) for _answer in range(2)] == [2, 100]
            for _again in range(2):
                with pytest.raises(asyncssh.SFTPFailure, match="not available at this moment"):
                    await handler.readdir(folder)
            scene.keeper.verbs["exchange.shares"] = usual
            assert len((await handler.readdir(folder))[0]) == 50

    serving(testing)


def test_shares_of_one_name_are_told_apart() -> None:
    shares = [
        said.Share("a" * 26, "file", "same", "p", 0, ()),
        said.Share("b" * 26, "file", "same", "p", 0, ()),
        said.Share("d" * 26, "intake", "inbox", "p", 0, ()),
    ]
    assert folders_of(shares) == {"same": "a" * 26, "same-bbbbbb": "b" * 26}


def test_without_a_keeper_sessions_are_reset_and_nobody_signs_in(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        with await in_thread(Opened, scene, key) as client:
            await scene.keeper.stop()
            while scene.gateway.link.ready:  # noqa: ASYNC110 - looks at what has no event
                await asyncio.sleep(0.005)
            with pytest.raises((OSError, EOFError, paramiko.SSHException)):
                await in_thread(client.listdir, "/")

        def sign_in() -> None:
            with connected(scene, key):
                pass

        with pytest.raises(paramiko.SSHException):
            await in_thread(sign_in)

    serving(testing)


# ---- reading --------------------------------------------------------------------------------------------------------


def fetch(scene: Scene, key: paramiko.PKey, path: str) -> bytes:
    with sftp_client(scene, key) as client:
        content = io.BytesIO()
        # paramiko's prefetch may begin a second time when its thread is slow, and then truly reads parts twice
        client.getfo(path, content, prefetch=False)
        return content.getvalue()


@pytest.mark.parametrize("size", [0, 1, 32_768, 1024 * 1024, 1024 * 1024 + 1, 3_500_000])
def test_a_file_is_read_whole(serving: Serving, key: paramiko.PKey, size: int) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(size))
        assert await in_thread(fetch, scene, key, sftp_path(content)) == content.plain
        (delivered,) = await scene.keeper.heard("exchange.delivered")
        assert (delivered.end, delivered.sent) == ("complete", size)
        (asked,) = scene.keeper.bodies("exchange.open")
        assert asked.object == content.info.id
        assert asked.caller.session is not None
        assert asked.caller.http is None

    serving(testing)


def test_reading_here_and_there(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(4_000_000))

        def read() -> int:
            total = 0
            with sftp_client(scene, key) as client, client.open(sftp_path(content)) as file:
                for start, count in [(1_048_570, 12), (3_999_990, 100), (0, 5), (2_097_152, 1), (1_000_000, 120_000)]:
                    file.seek(start)
                    assert file.read(count) == content.plain[start : start + count]
                    total += len(content.plain[start : start + count])
                file.seek(5_000_000)
                assert file.read(10) == b""
            return total

        total = await in_thread(read)
        (delivered,) = await scene.keeper.heard("exchange.delivered")
        assert delivered.end == "client-closed"
        assert delivered.sent >= total

    serving(testing)


def test_a_huge_read_is_answered_with_what_fits(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(1_000_000))
        own = asyncssh.generate_private_key("ssh-ed25519")
        async with (
            asyncssh.connect(
                *scene.sftp, username=USER, client_keys=[own], known_hosts=None, config=None
            ) as connection,
            connection.start_sftp_client() as client,
            client.open(sftp_path(content), "rb", block_size=0) as file,
        ):
            first: Any = await file.read(1_000_000, 0)
            last: Any = await file.read(-1, 999_999)
            assert first == content.plain[: 255 * 1024]
            assert last == content.plain[999_999:]
            assert (client.limits.max_read_len, client.limits.max_write_len) == (255 * 1024, 255 * 1024)

    serving(testing)


def test_a_connection_that_breaks_is_reported(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(3_000_000))

        def begin() -> paramiko.Transport:
            transport = paramiko.Transport(scene.sftp)
            transport.connect(username=USER, pkey=key)
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            file = client.open(sftp_path(content))
            assert len(file.read(100_000)) == 100_000
            return transport

        transport = await in_thread(begin)
        transport.sock.close()
        (delivered,) = await scene.keeper.heard("exchange.delivered")
        assert delivered.end == "client-closed"
        assert delivered.sent >= 100_000
        await scene.keeper.heard("identity.ssh_end")
        await in_thread(transport.close)

    serving(testing)


@pytest.mark.parametrize("by", ["opening", "session", "everything"])
def test_a_cut_resets_the_connection(serving: Serving, key: paramiko.PKey, by: str) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(3_000_000))
        with await in_thread(Opened, scene, key) as client:
            file = await in_thread(client.open, sftp_path(content))
            assert len(await in_thread(file.read, 50_000)) == 50_000
            (opening,) = scene.gateway.accesses.openings
            session = scene.keeper.bodies("exchange.open")[0].caller.session.session
            if by == "opening":
                scene.keeper.push(opening)
            else:
                scene.keeper.push(sessions=(session,) if by == "session" else (), everything=by == "everything")
            await scene.keeper.heard("keeper.acknowledge")
            (delivered,) = await scene.keeper.heard("exchange.delivered")
            assert delivered.end == "cut"
            with pytest.raises((OSError, EOFError, paramiko.SSHException)):
                await in_thread(client.stat, "/share")

    serving(testing)


def test_a_session_that_is_cut_before_it_is_known_never_begins(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        async def overtaken(_body: said.SshSignIn) -> msgspec.Struct:
            scene.keeper.push(sessions=("the-session",))
            await scene.keeper.heard("keeper.acknowledge")
            return said.SessionOpened("the-session", 3_600_000_000, new_id())

        scene.keeper.verbs["identity.ssh_sign_in"] = overtaken

        def sign_in() -> None:
            with connected(scene, key):
                pass

        with pytest.raises((OSError, EOFError, paramiko.SSHException)):
            await in_thread(sign_in)

    serving(testing)


def test_a_session_ends_by_itself(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        scene.keeper.valid_for_us = 1_000_000
        with await in_thread(Opened, scene, key) as client:
            await scene.keeper.heard("identity.ssh_end")
            with pytest.raises((OSError, EOFError, paramiko.SSHException)):
                await in_thread(client.listdir, "/")

    serving(testing)


def test_a_damaged_frame_is_never_delivered(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(3_000_000))
        path = scene.keeper.blob(content)
        blob = bytearray(path.read_bytes())
        blob[1_500_000] ^= 1
        path.write_bytes(blob)
        with pytest.raises((OSError, EOFError, paramiko.SSHException)):
            await in_thread(fetch, scene, key, sftp_path(content))
        (delivered,) = await scene.keeper.heard("exchange.delivered")
        assert delivered.end == "damaged"

    serving(testing)


def test_what_the_keeper_forbids_after_listing_is_absent(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x")

        async def refuse(_body: said.OpenObject) -> msgspec.Struct:
            raise NotFound("absent", "There is nothing here.")

        async def fail(_body: said.OpenObject) -> msgspec.Struct:
            raise Unavailable("disk-full", "Not now.", "private")

        with await in_thread(Opened, scene, key) as client:
            scene.keeper.verbs["exchange.open"] = refuse
            with pytest.raises(FileNotFoundError):
                await in_thread(client.open, sftp_path(content))
            scene.keeper.verbs["exchange.open"] = fail
            with pytest.raises(OSError, match="not available at this moment"):
                await in_thread(client.open, sftp_path(content))

    serving(testing)


def test_a_reader_that_takes_nothing_is_let_go_and_memory_stays_bounded(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(30_000_000))

        def greedy() -> paramiko.Transport:
            """Asks for everything at once, with a window that has room for it, and reads nothing off the socket."""
            transport = paramiko.Transport(scene.sftp, default_window_size=2**30)
            transport.connect(username=USER, pkey=key)
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            file = client.open(sftp_path(content))
            file.prefetch(content.info.size)
            time.sleep(0.05)
            transport.packetizer.read_message = forever  # type: ignore[method-assign]  # it stops reading
            return transport

        transport = await in_thread(greedy)
        connection = scene.gateway.connections[0]
        most = 0
        while not scene.keeper.bodies("exchange.delivered"):
            most = max(most, connection.unsent())
            await asyncio.sleep(0.01)
        (delivered,) = scene.keeper.bodies("exchange.delivered")
        assert delivered.end == "failed"
        assert most <= 2 * 1024 * 1024
        transport.sock.close()

    serving(testing, limits=Limits(slow_reader_seconds=1))


# ---- how much was read ----------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=30), st.integers(0, 40))
def test_covered_is_what_a_set_of_bytes_says(reads: list[tuple[int, int]], size: int) -> None:
    covered, seen = Covered(), set()
    for start, count in reads:
        end = min(start + count, size)
        if start < end:
            covered.add(start, end)
            seen |= set(range(start, end))
    assert covered.whole(size) == (seen == set(range(size)))


def test_a_reader_of_every_other_byte_is_followed_only_so_far() -> None:
    covered = Covered()
    for start in range(0, 3 * Covered.MOST, 2):
        covered.add(start, start + 1)
    assert len(covered.spans) <= Covered.MOST


def test_host_key_line(serving: Serving, tmp_path: Path) -> None:
    async def testing(scene: Scene) -> None:
        keys = await asyncssh.get_server_host_key(*scene.sftp)
        assert keys is not None
        own = asyncssh.read_private_key(tmp_path / "gateway" / "ssh_host_ed25519_key")
        assert keys.public_data == own.public_data

    serving(testing)


def test_the_channel_ends_with_an_exit_status(serving: Serving, key: paramiko.PKey) -> None:
    """As of OpenSSH's server; without one `scp` reports a copy as failed."""

    async def testing(scene: Scene) -> None:
        def status() -> int:
            with connected(scene, key) as transport:
                channel = transport.open_session()
                channel.settimeout(20)
                channel.invoke_subsystem("sftp")
                channel.sendall(b"\0\0\0\5\1\0\0\0\3")  # SSH_FXP_INIT, version 3
                assert channel.recv(9)[4:9] == b"\2\0\0\0\3"
                channel.shutdown_write()
                return channel.recv_exit_status()

        assert await in_thread(status) == 0

    serving(testing)
