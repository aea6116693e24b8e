"""Keys of a gateway, and running one for a test."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Struct
from msgspec.structs import replace

from keten.core.settings import Limits, Listener, Settings
from keten.keeper.certificates import create_authority, issue
from tests.unit.gateway.fake import LOOPS, Scene

T = TypeVar("T")


class Keys(Struct, frozen=True):
    """The keys of a gateway, made once."""

    ca: bytes
    certificate: bytes
    key: bytes
    host_key: bytes


@pytest.fixture(scope="session")
def keys() -> Keys:
    authority = create_authority("test")
    issued = issue(authority, ("127.0.0.1", "localhost"))
    host_key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return Keys(authority.certificate, issued.certificate, issued.key, host_key)


@pytest.fixture(scope="session")
def key() -> paramiko.Ed25519Key:
    """A client's key, as its SFTP library has it."""
    private = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    return paramiko.Ed25519Key.from_private_key(io.StringIO(private))


def write_keys(home: Path, keys: Keys) -> None:
    """What `keten init` leaves for a gateway."""
    folder = home / "gateway"
    folder.mkdir()
    (home / "ca.pem").write_bytes(keys.ca)
    (folder / "tls.pem").write_bytes(keys.certificate)
    (folder / "tls.key").write_bytes(keys.key)
    (folder / "ssh_host_ed25519_key").write_bytes(keys.host_key)
    (home / "store").mkdir()
    (home / "ledger").mkdir()


Serving = Callable[..., Any]


@pytest.fixture
def serving(tmp_path: Path, keys: Keys) -> Serving:
    """`serving(test, limits=…, gateway=…, sftp=…, loop=…)`: run a coroutine function against a gateway of its own."""
    write_keys(tmp_path, keys)

    def serve(
        testing: Callable[[Scene], Awaitable[T]],
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        gateway: Listener = Listener(),  # noqa: B008 - frozen
        sftp: Listener = Listener(),  # noqa: B008 - frozen
        loop: str = "uvloop",
    ) -> T:
        settings = Settings(
            home=str(tmp_path),
            gateway=replace(gateway, bind="127.0.0.1:0"),
            sftp=replace(sftp, bind="127.0.0.1:0"),
            limits=limits,
        )
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            return runner.run(Scene(tmp_path, settings).serve(testing))

    return serve
