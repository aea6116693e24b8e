"""Keys of a gateway, and running one for a test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

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


Serving = Callable[..., Any]


@pytest.fixture
def serving(tmp_path: Path, keys: Keys) -> Serving:
    """`serving(test, limits=…, gateway=…, sftp=…, loop=…)`: run a coroutine function against a gateway of its own."""
    gateway_keys = tmp_path / "gateway"
    gateway_keys.mkdir()
    (tmp_path / "ca.pem").write_bytes(keys.ca)
    (gateway_keys / "tls.pem").write_bytes(keys.certificate)
    (gateway_keys / "tls.key").write_bytes(keys.key)
    (gateway_keys / "ssh_host_ed25519_key").write_bytes(keys.host_key)
    (tmp_path / "store").mkdir()
    (tmp_path / "ledger").mkdir()

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
