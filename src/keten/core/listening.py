"""HOST:PORT, and sockets that listen there, for every process that does."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack

from keten.core.errors import Invalid, Unavailable

_PORT = re.compile(r"[0-9]{1,5}\Z")


def split_bind(bind: str) -> tuple[str, int]:
    """Host and port of HOST:PORT or [IPv6]:PORT. Raises `Invalid` ("bind"), which says how to write it."""
    host, colon, port = bind.rpartition(":")
    if not colon or not _PORT.match(port) or int(port) > 65_535:
        raise Invalid("bind", f"{bind!r}: write HOST:PORT, such as 127.0.0.1:8443; port 0 picks a free one.")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host or "[" in host or "]" in host:
        raise Invalid("bind", f"{bind!r}: an IPv6 address stands in brackets: [::1]:8443.")
    return host, int(port)


def join_host(host: str, port: int) -> str:
    """HOST:PORT, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(bind: str, backlog: int) -> tuple[str, socket.socket]:
    """The host of HOST:PORT, and a socket that listens there and does not block; port 0 picks one.

    An empty host is every address, of IPv4 as well. Raises `Invalid` ("bind"), `Unavailable` ("cannot-listen").
    """
    host, port = split_bind(bind)
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _kind, _protocol, _name, where = found[0]
        with ExitStack() as stack:
            listening = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listening.bind(where)
            listening.listen(backlog)
            listening.setblocking(False)
            stack.pop_all()
    except (OSError, UnicodeError) as error:  # UnicodeError: no host's name
        raise Unavailable("cannot-listen", f"Cannot listen on {bind}: {error}.") from error
    return host, listening
