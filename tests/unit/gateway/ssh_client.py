"""An SFTP client that is not ours, in threads, while the gateway runs in the test's own loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import paramiko

from tests.unit.gateway.fake import Content, Scene

USER = "c" * 26


@contextmanager
def connected(scene: Scene, key: paramiko.PKey) -> Iterator[paramiko.Transport]:
    """A signed-in connection."""
    transport = paramiko.Transport(scene.sftp)
    try:
        transport.connect(username=USER, pkey=key)
        yield transport
    finally:
        transport.close()


@contextmanager
def sftp_client(scene: Scene, key: paramiko.PKey) -> Iterator[paramiko.SFTPClient]:
    """A client, for a test that runs in a thread."""
    with connected(scene, key) as transport:
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        yield client


def sftp_path(content: Content) -> str:
    """Where an object is."""
    return f"/share/{content.info.name}"


class Opened:
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


def quietly(act: Callable[[], object]) -> None:
    """Do something that ends in an error of the connection."""
    try:
        act()
    except (paramiko.SSHException, EOFError, OSError):
        return


def forever() -> NoReturn:
    """Stop, as a client that hangs does."""
    while True:
        time.sleep(3600)
