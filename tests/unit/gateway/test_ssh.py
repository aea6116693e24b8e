"""SSH: signing in by the keeper, and everything that is refused."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncssh
import msgspec
import paramiko
import pytest

from keten.core.errors import Busy, Denied
from keten.core.ids import new_id
from keten.gateway import ssh as ssh_module
from keten.gateway.sftp import Handler
from keten.keeper import protocol as said
from tests.unit.gateway.asking import in_thread
from tests.unit.gateway.conftest import Serving
from tests.unit.gateway.fake import Scene
from tests.unit.gateway.ssh_client import USER, connected, quietly, sftp_client

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


def test_a_client_with_too_many_sessions_is_told_so(serving: Serving, key: paramiko.PKey) -> None:
    async def testing(scene: Scene) -> None:
        async def busy(_body: said.SshSignIn) -> msgspec.Struct:
            raise Busy("too-many-sessions", "There are too many of these.")

        def sign_in() -> None:
            with connected(scene, key):
                pass

        scene.keeper.verbs["identity.ssh_sign_in"] = busy
        with pytest.raises((EOFError, paramiko.SSHException)):
            await in_thread(sign_in)
        assert len(scene.keeper.bodies("identity.ssh_sign_in")) == 1, "it is disconnected, and not asked for more keys"

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
        asking = threading.Thread(target=lambda: quietly(lambda: transport.auth_publickey(USER, key)), daemon=True)
        asking.start()
        await scene.keeper.heard("identity.ssh_sign_in")
        transport.close()
        while scene.gateway.connections:  # noqa: ASYNC110 - looks at what has no event
            await asyncio.sleep(0.005)
        gate.set()
        assert (await scene.keeper.heard("identity.ssh_end"))[0] == said.SessionEnd("the-session")
        await in_thread(asking.join, 60)

    serving(testing)


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
