"""Connections that end when their time is over, whatever the other side does.

A socket's own timeout is for each operation: a receiver that sends byte by byte never meets it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator

from keten.watch.export.drivers.driver import CONNECT_SECONDS


@contextlib.contextmanager
def within(seconds: float, connection: socket.socket) -> Iterator[None]:
    """Cut a connection once what is done with it has taken so many seconds. Raises `TimeoutError` then.

    It is held by a descriptor of its own meanwhile: wrapping a socket in TLS takes the first one away.
    """
    line = socket.socket(fileno=os.dup(connection.fileno()))
    late, closing = threading.Event(), threading.Lock()

    def cut() -> None:
        with closing, contextlib.suppress(OSError):
            late.set()
            line.shutdown(socket.SHUT_RDWR)

    over = threading.Timer(seconds, cut)
    over.daemon = True
    over.start()
    try:
        yield
    except Exception as error:
        if late.is_set():
            raise TimeoutError("it takes too long") from error
        raise
    finally:
        over.cancel()
        with closing:
            line.close()
    if late.is_set():  # what was cut off may look like what came to its end
        raise TimeoutError("it takes too long")


def connected(host: str, port: int) -> socket.socket:
    """A connection. Raises `OSError`."""
    return socket.create_connection((host, port), timeout=CONNECT_SECONDS)


def secured(host: str, port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection with TLS. Raises `OSError`: also for a handshake that has no end."""
    plain = connected(host, port)
    try:
        with within(CONNECT_SECONDS, plain):
            return context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise
