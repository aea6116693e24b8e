"""What the keeper wants to hear from the OpenID Connect provider: asked from here, where the network outwards is.

On the worker's own socket, on which the keeper alone may speak. What comes back is taken apart by the keeper; here only
its size and its time are bounded, and its certificate checked.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from keten import __version__
from keten.core.errors import Busy, Denied, Unavailable
from keten.core.settings import Settings
from keten.keeper.fetch_protocol import FETCH_SECONDS, MAX_BODY, MAX_FRAME, Fetch, Fetched
from keten.keeper.server import Connection, waiting_verb
from keten.watch.export.drivers.bounded import within
from keten.watch.export.drivers.driver import context
from keten.worker.listening import Listening

log = logging.getLogger(__name__)
AT_ONCE = 8
MOST_WAITING = 64
_FORM = "application/x-www-form-urlencoded"


class Fetching(Listening):
    """Questions: each is asked in one of a few threads beside the one that listens."""

    def __init__(self, settings: Settings) -> None:
        verbs = {"provider.fetch": waiting_verb(Fetch, self.fetch)}
        super().__init__("provider", settings, settings.paths.provider_socket, verbs, MAX_FRAME)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="provider")
        self._waiting = 0

    async def fetch(self, _connection: Connection, body: Fetch) -> Fetched:
        """Ask once. Raises `Unavailable` ("provider-unreachable"), `Busy`; nothing that is sent is ever logged."""
        if self._waiting >= MOST_WAITING:
            raise Busy("too-many-at-once", "Too much waits for the provider already.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, body)
        finally:
            self._waiting -= 1

    def _ask(self, body: Fetch) -> Fetched:
        """In a thread. An address of neither HTTPS nor this machine is the keeper's mistake, and is not asked."""
        provider = self._settings.oidc
        parts = urlsplit(body.url)
        if parts.scheme != "https" and not (parts.scheme == "http" and provider.issuer.startswith("http:")):
            raise Denied("provider-address", "Only addresses by HTTPS are asked.", body.url[:200])
        tls = context(Path(self._settings.home) / provider.ca if provider.ca else None)
        try:
            return _asked(parts, body, tls)
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = f"{parts.hostname}: {type(error).__name__}: {error}"[:300]
            raise Unavailable("provider-unreachable", "The provider does not answer.", why) from error


def _asked(parts: SplitResult, body: Fetch, tls: ssl.SSLContext) -> Fetched:
    until = time.monotonic() + FETCH_SECONDS
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    port = parts.port or (http.client.HTTPS_PORT if secure else http.client.HTTP_PORT)
    plain = socket.create_connection((host, port), timeout=FETCH_SECONDS)
    connection = http.client.HTTPConnection(parts.netloc)
    try:
        with within(max(0.1, until - time.monotonic()), plain):
            connection.sock = tls.wrap_socket(plain, server_hostname=host) if secure else plain
            headers = {"Accept": "application/json", "User-Agent": f"keten/{__version__}", "Connection": "close"}
            if body.authorization:
                headers["Authorization"] = body.authorization
            if body.form:
                headers["Content-Type"] = _FORM
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST" if body.form else "GET", path, body.form.encode() or None, headers)
            with connection.getresponse() as response:
                content = response.read(MAX_BODY + 1)
                kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()[:100]
                date = response.headers.get("Date", "")[:100]
    finally:
        connection.close()
        plain.close()
    if len(content) > MAX_BODY:
        raise ValueError(f"its answer is longer than {MAX_BODY} bytes")
    return Fetched(response.status, kind, content, date)
