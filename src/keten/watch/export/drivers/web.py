"""Asking a receiver over HTTPS: one connection kept open, answers bounded in size and in time."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from keten import __version__
from keten.core.destinations import Destination
from keten.core.errors import Invalid, Unavailable
from keten.suppliers.mistakes import plain
from keten.watch.export.drivers.bounded import connected, secured, within
from keten.watch.export.drivers.driver import ANSWER_SECONDS, context

MAX_ANSWER = 256 * 1024
_NOT_THESE = frozenset({400, 413, 422})
"""What a receiver answers when the events themselves are not to its liking; anything else is about the connection."""


class Reply(msgspec.Struct, frozen=True):
    """An answer, read whole."""

    status: int
    body: bytes


class Web:
    """One server. Redirects are not followed: events go where the settings say, or nowhere."""

    def __init__(self, destination: Destination, home: Path) -> None:
        self.url = destination.url
        parts = urlsplit(destination.url)
        self._host, self._port, self._secure = parts.hostname or "", parts.port, parts.scheme == "https"
        self.path = parts.path or "/"
        self._context = context(home / destination.ca if destination.ca else None) if self._secure else None
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Post, and take a 2xx answer.

        Raises `Invalid` ("rejected") for one that refuses these events, `Unavailable` for every other and for none:
        also when a server answers byte by byte, for ever.
        """
        told = {"Content-Type": "application/json", "User-Agent": f"keten/{__version__}", **headers}
        try:
            connection = self._connected()
            with within(ANSWER_SECONDS, connection.sock):
                connection.request("POST", path, body, told)
                response = connection.getresponse()
                content = response.read(MAX_ANSWER + 1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            why = plain(f"{type(error).__name__}: {error}")[:500]
            raise Unavailable("export-unreachable", f"{self.url} does not answer.", why) from error
        if response.will_close or len(content) > MAX_ANSWER:
            self.close()
        if len(content) > MAX_ANSWER:
            raise Unavailable("export-refused", f"{self.url} sent an answer without an end.")
        said = plain(content[:200].decode("utf-8", "replace"))
        if response.status in _NOT_THESE:
            raise Invalid("rejected", f"{self.url} does not take these events.", f"{response.status} {said}")
        if not 200 <= response.status < 300:
            raise Unavailable("export-refused", f"{self.url} answered {response.status}.", said)
        return Reply(response.status, content)

    def close(self) -> None:
        """Let go of the connection; the next request makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            made: http.client.HTTPConnection
            if self._context is not None:
                made = http.client.HTTPSConnection(self._host, self._port, context=self._context)
                made.sock = secured(self._host, made.port, self._context)
            else:
                made = http.client.HTTPConnection(self._host, self._port)
                made.sock = connected(self._host, made.port)
            made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.sock.settimeout(ANSWER_SECONDS)
            self._connection = made
        return self._connection

