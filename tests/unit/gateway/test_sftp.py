"""SFTP as its clients meet it: signing in, what can be seen, reading, and everything that is refused."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import struct
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import asyncssh
import msgspec
import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Denied, NotFound, Unavailable
from keten.core.ids import new_id
from keten.core.settings import Limits
from keten.gateway import ssh as ssh_module
from keten.gateway.sftp import Covered, Handler
from keten.gateway.sftp_files import tree_of
from keten.keeper import protocol as said
from tests.unit.gateway.conftest import Serving
from tests.unit.gateway.fake import Content, Scene

T = TypeVar("T")
USER = "c" * 26


async def in_thread(act: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.to_thread(act, *arguments)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> paramiko.Ed25519Key:
    path = tmp_path_factory.mktemp("key") / "key"
    path.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    return paramiko.Ed25519Key.from_private_key_file(str(path))


@contextmanager
def connected(scene: Scene, key: paramiko.PKey) -> Iterator[paramiko.Transport]:
    transport = paramiko.Transport(scene.sftp)
    try:
        transport.connect(username=USER, pkey=key)
        yield transport
    finally:
        transport.close()


@contextmanager
def sftp_client(scene: Scene, key: paramiko.PKey) -> Iterator[paramiko.SFTPClient]:
    with connected(scene, key) as transport:
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        yield client


def path_of(content: Content) -> str:
    return f"/share/{content.info.name}"


# ---- signing in -----------------------------------------------------------------------------------------------------


def test_the_keeper_gets_what_was_signed(serving: Serving, key: paramiko.PKey) -> None:
    """It is what RFC 4252 §7 says: the signature holds over session id and request, and the request names the user."""

    async def testing(scene: Scene) -> None:
        def sign_in() -> bytes:
            with connected(scene, key) as transport:
                assert transport.is_authenticated()
                assert transport.session_id is not None
                return transport.session_id

        session_id = await in_thread(sign_in)
        (asked,) = scene.keeper.bodies("identity.ssh_sign_in")
        assert (asked.user, asked.key, asked.session_id) == (USER, key.asbytes(), session_id)
        assert (asked.address, asked.direct) == ("127.0.0.1", True)
        message = paramiko.Message()
        message.add_string(session_id)
        message.add_bytes(asked.signed)
        public = paramiko.Ed25519Key(data=asked.key)
        assert public.verify_ssh_sig(message.asbytes(), paramiko.Message(asked.signature))
        assert USER.encode() in asked.signed
        await scene.keeper.heard("identity.ssh_end")

    serving(testing)


def test_who_the_keeper_refuses_is_not_in(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        async def refuse(_body: said.SshSignIn) -> msgspec.Struct:
            raise Denied("key-unknown", "No.")

        scene.keeper.verbs["identity.ssh_sign_in"] = refuse

        def try_it() -> None:
            with connected(scene, key):
                pass

        with pytest.raises(paramiko.AuthenticationException):
            await in_thread(try_it)
        assert scene.keeper.bodies("identity.ssh_end") == []

    serving(testing)


def test_an_offered_key_is_answered_alike_for_everybody(serving: Serving) -> None:
    """The offer without a signature is how one would find out which clients and keys exist."""

    async def testing(scene: Scene) -> None:
        accepted: list[tuple[str, bytes]] = []

        class Offering(asyncssh.SSHClient):
            def __init__(self, user: str) -> None:
                self.user = user
                self.keys = [asyncssh.generate_private_key("ssh-ed25519")]

            def public_key_auth_requested(self) -> Any:
                return self.keys.pop() if self.keys else None

        async def refuse(body: said.SshSignIn) -> msgspec.Struct:
            accepted.append((body.user, body.key))
            raise Denied("key-unknown", "No.")

        scene.keeper.verbs["identity.ssh_sign_in"] = refuse
        for user in (USER, "x", "a" * 26, "näme", ""):
            offering = Offering(user)
            options = {"known_hosts": None, "username": user, "config": None, "client_keys": None}
            with pytest.raises(asyncssh.PermissionDenied):
                await asyncssh.connect(*scene.sftp, client_factory=lambda found=offering: found, **options)
        # Each went through the offer to a signature, so each was told that its key may be tried.
        assert [user for user, _key in accepted] == [USER, "x", "a" * 26, "näme", ""]

    serving(testing)


@pytest.mark.parametrize("algorithm", ["ssh-rsa", "ecdsa-sha2-nistp256"])
def test_other_kinds_of_keys_are_not_taken(serving: Serving, algorithm: str) -> None:
    async def testing(scene: Scene) -> None:
        other = asyncssh.generate_private_key(algorithm)
        with pytest.raises((asyncssh.PermissionDenied, asyncssh.DisconnectError)):
            await asyncssh.connect(*scene.sftp, username=USER, client_keys=[other], known_hosts=None, config=None)
        assert scene.keeper.bodies("identity.ssh_sign_in") == []

    serving(testing)


def test_a_certificate_is_not_taken(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        authority, own = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        certificate = authority.generate_user_certificate(own, "me", principals=[USER])
        async with asyncssh.connect(
            *scene.sftp, username=USER, client_keys=[(own, certificate)], known_hosts=None, config=None
        ):
            asked = scene.keeper.bodies("identity.ssh_sign_in")
            assert [one.key for one in asked] == [own.public_data], "only as the plain key that it is"

    serving(testing)


def test_no_password_and_nothing_but_keys(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        def try_them() -> list[str]:
            transport = paramiko.Transport(scene.sftp)
            try:
                transport.start_client()
                with pytest.raises(paramiko.BadAuthenticationType) as refused:
                    transport.auth_password(USER, "secret")
                return refused.value.allowed_types
            finally:
                transport.close()

        assert await in_thread(try_them) == ["publickey"]
        assert scene.keeper.bodies("identity.ssh_sign_in") == []

    serving(testing)


def test_guessing_ends_the_connection(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        async def refuse(_body: said.SshSignIn) -> msgspec.Struct:
            raise Denied("key-unknown", "No.")

        scene.keeper.verbs["identity.ssh_sign_in"] = refuse
        keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(12)]
        with pytest.raises(asyncssh.DisconnectError):
            await asyncssh.connect(*scene.sftp, username=USER, client_keys=keys, known_hosts=None, config=None)
        assert len(scene.keeper.bodies("identity.ssh_sign_in")) == ssh_module.MAX_ATTEMPTS

    serving(testing)


def test_strangers_are_bounded_and_do_not_keep_others_out_for_ever(
    serving: Serving, key: paramiko.PKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_module, "MAX_STARTING_PER_ADDRESS", 3)

    async def testing(scene: Scene) -> None:
        silent = [await asyncio.open_connection(*scene.sftp) for _ in range(3)]
        for reader, _writer in silent:
            assert (await reader.readline()).startswith(b"SSH-2.0-Keten\r\n")
        reader, writer = await asyncio.open_connection(*scene.sftp)
        with suppress(ConnectionResetError):
            assert await reader.readline() == b""
        for _reader, each in silent:
            each.close()
        while scene.gateway.connections:  # noqa: ASYNC110 - looks at what has no event
            await asyncio.sleep(0.005)

        def sign_in() -> bool:
            with connected(scene, key) as transport:
                return transport.is_authenticated()

        assert await in_thread(sign_in)
        writer.close()

    serving(testing)


def test_a_client_that_went_away_while_the_keeper_thought_leaves_no_session(
    serving: Serving, key: paramiko.PKey
) -> None:
    async def testing(scene: Scene) -> None:
        gate = asyncio.Event()

        async def slow(_body: said.SshSignIn) -> msgspec.Struct:
            await gate.wait()
            return said.SessionOpened("the-session", 3_600_000_000, new_id())

        scene.keeper.verbs["identity.ssh_sign_in"] = slow
        transport = paramiko.Transport(scene.sftp)
        await in_thread(transport.start_client)
        asking = threading.Thread(target=lambda: _quietly(lambda: transport.auth_publickey(USER, key)), daemon=True)
        asking.start()
        await scene.keeper.heard("identity.ssh_sign_in")
        transport.close()
        while scene.gateway.connections:  # noqa: ASYNC110 - looks at what has no event
            await asyncio.sleep(0.005)
        gate.set()
        assert (await scene.keeper.heard("identity.ssh_end"))[0] == said.SessionEnd("the-session")
        await in_thread(asking.join, 60)

    serving(testing)


def _forever() -> NoReturn:
    while True:
        time.sleep(3600)


def _quietly(act: Callable[[], object]) -> None:
    try:
        act()
    except (paramiko.SSHException, EOFError, OSError):
        return


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
        assert len(scene.keeper.bodies("exchange.shares")) == 1, "a listing serves for some seconds"
        session = scene.keeper.bodies("exchange.shares")[0].caller.session
        assert session is not None
        assert scene.keeper.bodies("exchange.open") == []
        assert content.info.size == 5

    serving(testing)


def test_any_push_makes_listings_anew(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        scene.keeper.put(b"1", "one.csv")

        def names(client: paramiko.SFTPClient) -> list[str]:
            return client.listdir("/share")

        with await in_thread(_opened, scene, key) as client:
            assert await in_thread(names, client) == ["one.csv"]
            scene.keeper.put(b"2", "two.csv")
            assert await in_thread(names, client) == ["one.csv"]
            scene.keeper.push("an-opening-elsewhere")
            await scene.keeper.heard("keeper.acknowledge")
            assert await in_thread(names, client) == ["one.csv", "two.csv"]

    serving(testing)


class _opened:  # noqa: N801 - used like a function
    """A client that is opened in a thread and closed at the end of a `with`."""

    def __init__(self, scene: Scene, key: paramiko.PKey) -> None:
        self._transport = paramiko.Transport(scene.sftp)
        self._transport.connect(username=USER, pkey=key)
        client = paramiko.SFTPClient.from_transport(self._transport)
        assert client is not None
        self._client = client

    def __enter__(self) -> paramiko.SFTPClient:
        return self._client

    def __exit__(self, *_error: object) -> None:
        self._transport.close()


def test_shares_of_one_name_are_told_apart() -> None:
    info = said.ObjectInfo("o", "f.csv", 1, "", "", 0)
    shares = [
        said.Share("a" * 26, "file", "same", "p", 0, (info,)),
        said.Share("b" * 26, "file", "same", "p", 0, (info,)),
        said.Share("d" * 26, "intake", "inbox", "p", 0, ()),
    ]
    tree = tree_of(said.Shares("e", 0, tuple(shares), 0))
    assert sorted(tree.folders) == ["same", "same-bbbbbb"]
    assert tree.file(("same", "f.csv")) is info
    assert tree.file(("same",)) is None
    assert tree.file(()) is None


def test_without_a_keeper_sessions_are_reset_and_nobody_signs_in(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        with await in_thread(_opened, scene, key) as client:
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
        client.getfo(path, content)
        return content.getvalue()


@pytest.mark.parametrize("size", [0, 1, 32_768, 1024 * 1024, 1024 * 1024 + 1, 3_500_000])
def test_a_file_is_read_whole(serving: Serving, key: paramiko.PKey, size: int) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(size))
        assert await in_thread(fetch, scene, key, path_of(content)) == content.plain
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
            with sftp_client(scene, key) as client, client.open(path_of(content)) as file:
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
            client.open(path_of(content), "rb", block_size=0) as file,
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
            file = client.open(path_of(content))
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
        with await in_thread(_opened, scene, key) as client:
            file = await in_thread(client.open, path_of(content))
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
        with await in_thread(_opened, scene, key) as client:
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
            await in_thread(fetch, scene, key, path_of(content))
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

        with await in_thread(_opened, scene, key) as client:
            scene.keeper.verbs["exchange.open"] = refuse
            with pytest.raises(FileNotFoundError):
                await in_thread(client.open, path_of(content))
            scene.keeper.verbs["exchange.open"] = fail
            with pytest.raises(OSError, match="not available at this moment"):
                await in_thread(client.open, path_of(content))

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
            file = client.open(path_of(content))
            file.prefetch(content.info.size)
            time.sleep(0.05)
            transport.packetizer.read_message = _forever  # type: ignore[method-assign]  # it stops reading
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


# ---- what is refused ------------------------------------------------------------------------------------------------

REFUSED: dict[str, Callable[[paramiko.SFTPClient], object]] = {
    "write": lambda client: client.open("/share/file.bin", "w"),
    "update": lambda client: client.open("/share/file.bin", "r+"),
    "append": lambda client: client.open("/new", "a"),
    "create": lambda client: client.open("/share/new", "x"),
    "remove": lambda client: client.remove("/share/file.bin"),
    "mkdir": lambda client: client.mkdir("/share/x"),
    "rmdir": lambda client: client.rmdir("/share"),
    "rename": lambda client: client.rename("/share/file.bin", "/share/x"),
    "posix_rename": lambda client: client.posix_rename("/share/file.bin", "/share/x"),
    "symlink": lambda client: client.symlink("/etc/passwd", "/share/x"),
    "chmod": lambda client: client.chmod("/share/file.bin", 0o777),
    "utime": lambda client: client.utime("/share/file.bin", None),
    "truncate": lambda client: client.truncate("/share/file.bin", 0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_is_changed(serving: Serving, key: paramiko.PKey, name: str) -> None:
    async def testing(scene: Scene) -> None:
        scene.keeper.put(b"x")

        def act() -> None:
            with sftp_client(scene, key) as client:
                REFUSED[name](client)

        with pytest.raises(PermissionError):
            await in_thread(act)
        assert scene.keeper.bodies("exchange.open") == []

    serving(testing)


def test_links_are_not_there_and_folders_are_no_files(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        scene.keeper.put(b"x")

        def act() -> None:
            with sftp_client(scene, key) as client:
                with pytest.raises(FileNotFoundError):
                    client.readlink("/share/file.bin")
                for folder in ("/", "/share"):
                    with pytest.raises(OSError, match="folder"):
                        client.open(folder)
                with pytest.raises(FileNotFoundError):
                    client.listdir("/share/file.bin")

        await in_thread(act)

    serving(testing)


def test_handles_are_bounded(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        scene.keeper.put(b"x")

        def act() -> int:
            with sftp_client(scene, key) as client:
                files: list[paramiko.SFTPFile] = []

                def open_many() -> None:
                    while len(files) < 400:
                        files.append(client.open("/share/file.bin"))

                with pytest.raises(OSError, match="Too many"):
                    open_many()
                files.pop().close()
                client.open("/share/file.bin").close()
                return len(files) + 1

        assert await in_thread(act) == 256
        await scene.keeper.heard("exchange.delivered", 257)

    serving(testing)


def test_open_folders_are_handles_too(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        scene.keeper.put(b"x")
        own = asyncssh.generate_private_key("ssh-ed25519")
        async with (
            asyncssh.connect(
                *scene.sftp, username=USER, client_keys=[own], known_hosts=None, config=None
            ) as connection,
            connection.start_sftp_client() as client,
        ):
            handler = client._handler
            for _folder in range(256):
                await handler.opendir(b"/share")
            with pytest.raises(asyncssh.SFTPFailure, match="Too many"):
                await handler.opendir(b"/share")
            with pytest.raises(asyncssh.SFTPFailure, match="Too many"):
                await client.open("/share/file.bin")
            assert scene.keeper.bodies("exchange.open") == []

    serving(testing)


def test_no_shell_no_commands_no_forwarding(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        def act() -> None:
            with connected(scene, key) as transport:
                asks: list[Callable[[paramiko.Channel], object]] = [
                    lambda channel: channel.exec_command("scp -f /share/file.bin"),
                    lambda channel: channel.invoke_shell(),
                    lambda channel: channel.get_pty(),
                    lambda channel: channel.invoke_subsystem("netconf"),
                    lambda channel: channel.request_x11(),
                ]
                for ask in asks:
                    channel = transport.open_session()
                    with pytest.raises(paramiko.SSHException):
                        ask(channel)
                    channel.close()
                channel = transport.open_session()
                channel.set_environment_variable("LD_PRELOAD", "x")  # asks for no answer
                channel.close()
                for kind in ("direct-tcpip", "forwarded-tcpip", "x11", "auth-agent@openssh.com"):
                    with pytest.raises(paramiko.ChannelException):
                        transport.open_channel(kind, ("127.0.0.1", 22), ("127.0.0.1", 1))
                with pytest.raises(paramiko.SSHException):
                    transport.request_port_forward("127.0.0.1", 0)

        await in_thread(act)

    serving(testing)


def test_a_client_that_wants_crumbs_is_refused(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        own = asyncssh.generate_private_key("ssh-ed25519")
        async with asyncssh.connect(
            *scene.sftp, username=USER, client_keys=[own], known_hosts=None, config=None
        ) as connection:
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_session(asyncssh.SSHClientSession, subsystem="sftp", max_pktsize=100)

    serving(testing)


def test_extensions_that_are_not_offered_are_not_there() -> None:
    names = {name for name in Handler._packet_handlers if isinstance(name, bytes)}
    assert b"copy-data" not in names
    assert b"ranges@asyncssh.com" not in names
    assert Handler._extensions == [(b"limits@openssh.com", b"1")]


def offered_algorithms(where: tuple[str, int]) -> list[set[str]]:
    """The server's SSH_MSG_KEXINIT (RFC 4253 §7.1): ten lists of names."""
    with socket.create_connection(where, timeout=30) as raw, raw.makefile("rb") as heard:
        assert heard.readline() == b"SSH-2.0-Keten\r\n"
        raw.sendall(b"SSH-2.0-test\r\n")
        (length,) = struct.unpack(">I", heard.read(4))
        packet = heard.read(length)
        assert packet[1] == 20
        at, lists = 2 + 16, []
        for _list in range(10):
            (count,) = struct.unpack_from(">I", packet, at)
            lists.append({name for name in packet[at + 4 : at + 4 + count].decode().split(",") if name})
            at += 4 + count
        return lists


def test_only_strong_algorithms_are_offered(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        kex, host_keys, *ciphers_to_languages = await in_thread(offered_algorithms, scene.sftp)
        assert kex - {"ext-info-s", "kex-strict-s-v00@openssh.com"} <= set(ssh_module.KEY_EXCHANGES)
        assert {"curve25519-sha256", "mlkem768x25519-sha256", "kex-strict-s-v00@openssh.com"} <= kex
        assert host_keys == {"ssh-ed25519"}
        ciphers = set(ssh_module.CIPHERS)
        macs = set(ssh_module.MACS)
        assert ciphers_to_languages == [ciphers, ciphers, macs, macs, {"none"}, {"none"}, set(), set()]

    serving(testing)


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
